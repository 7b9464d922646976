"""Makes the search attributes of `workflows.search_attributes` on the server that `TEMPORAL_*` names, where they are not there
yet: `python -m starter.search_attributes`. Temporal Cloud takes them by its own ways only (docs/deploying.md)."""

import asyncio
import time

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from connection import connect
from settings import Settings
from starter import job
from workflows.search_attributes import REGISTRY

_PATIENCE = 30.0
"""Seconds. A namespace that has just been made is unknown to parts of the server for one of them."""
_AGAIN = frozenset({RPCStatusCode.NOT_FOUND, RPCStatusCode.UNAVAILABLE, RPCStatusCode.INVALID_ARGUMENT})


class Mismatch(Exception):
    """One is there already with another type; the sentence says which."""


async def make(client: Client) -> list[str]:
    """Returns when the server knows all of them, with the names of those that were made. Raises Mismatch, RPCError."""
    deadline = time.monotonic() + _PATIENCE
    made: list[str] = []
    while True:
        try:
            missing = await _missing(client)
            if not missing:
                return made
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
            )
            made = sorted({*made, *missing})
        except RPCError as fault:
            if fault.status not in _AGAIN or time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.5)


async def _missing(client: Client) -> dict[str, IndexedValueType.ValueType]:
    request = ListSearchAttributesRequest(namespace=client.namespace)
    known = (await client.operator_service.list_search_attributes(request)).custom_attributes
    wanted = {name: _value_type(kind) for name, kind in REGISTRY.items()}
    for name, value_type in wanted.items():
        if name in known and known[name] != value_type:
            raise Mismatch(
                f"the search attribute {name} is there, but not as {REGISTRY[name]}; remove or rename it first"
            )
    return {name: value_type for name, value_type in wanted.items() if name not in known}


def _value_type(kind: str) -> IndexedValueType.ValueType:
    return IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{kind.upper()}")


async def main(settings: Settings) -> None:
    made = await make(await connect(settings))
    print(f"Search attributes made: {', '.join(made) or 'none, all were there'}.")


if __name__ == "__main__":
    job.run(main(Settings()), (Mismatch, RPCError, RuntimeError, ValueError), "The search attributes can't be made")
