"""Tells a journey what came."""

import asyncio

from temporalio.service import RPCError, RPCStatusCode

from starter.gateway.parts import Gateway
from starter.gateway.webhooks.event import Event

_PATIENCE = 2.0
"""Seconds. Shippo wants its answer within three, EasyPost within seven."""


class TemporalAway(Exception):
    """Temporal does not answer; whether the signal got through is not known, and sending it again does no harm."""


async def tell(gateway: Gateway, workflow_id: str, event: Event) -> bool:
    """Signals the event to the workflow; False where it has ended. Raises TemporalAway."""
    handle = gateway.client.get_workflow_handle(workflow_id)
    try:
        await asyncio.wait_for(handle.signal(event.message, event.body()), _PATIENCE)
    except RPCError as fault:
        if fault.status is RPCStatusCode.NOT_FOUND:
            return False
        raise TemporalAway from None
    except (TimeoutError, RuntimeError):  # RuntimeError: a lazy client that has never reached it
        raise TemporalAway from None
    return True
