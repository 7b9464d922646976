"""A new link in place of one that has expired or been superseded: to the email on file, and to nobody else."""

import time
from collections.abc import Mapping

from starlette.responses import Response

from starter.gateway.activation.hard import SILENT
from starter.gateway.activation.visit import Visit
from starter.journeys import NotDone, Refused, Unanswered

_ONE_EACH = 600
"""Seconds in which one link is exchanged for one new one, by whichever copy of the gateway."""
_UNCONFIRMED = (
    "We have asked for a new link, and had no answer yet; if no email has come in ten minutes, please ask again."
)


async def resend(visit: Visit, _fields: Mapping[str, str]) -> Response:
    if visit.standing in ("enrolled", "over"):
        return visit.go()
    if visit.link.locked:
        return visit.closed("locked", 422)  # a new link would unlock it, and that is the team's to decide
    visit.refuse_too_often(visit.pace.resend(visit.link.journey_id))
    window = int(time.time()) // _ONE_EACH
    try:
        await visit.gateway.journeys.tell(
            visit.link.journey_id,
            "resend_activation",
            {"by": "activation page", "unlock": False},
            update_id=f"resend-{visit.link.link_hash[:32]}-{window}",
        )
    except Refused as refusal:
        await visit.look()
        return visit.stands() or visit.show("activate/not_taken.html", 422, sentence=str(refusal))
    except Unanswered:
        # What no worker has taken yet may still get lost with the server.
        return visit.show("activate/not_taken.html", 202, heading="Not confirmed yet", sentence=_UNCONFIRMED)
    except (NotDone, RuntimeError):
        return visit.show("activate/not_taken.html", 503, sentence=SILENT)
    return visit.show("activate/sent.html")
