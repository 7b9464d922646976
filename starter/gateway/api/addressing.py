"""Journeys in addresses: any id, percent-encoded, also one that was started in the Temporal UI and has a `/` in it."""

from typing import Annotated
from urllib.parse import quote, unquote

from fastapi import Depends, Path, Query
from starlette.exceptions import HTTPException

from workflows.messages import Identifier
from workflows.recorded import LONGEST_ID


def journey_id(
    journey_id: Annotated[
        str,
        Path(
            description="The journey's id, percent-encoded: whatever stands in it, a `/` is sent as `%2F`.",
            examples=["token-hard-4f1c2ab8"],
        ),
    ],
) -> str:
    """The id as it is."""
    plain = unquote(journey_id)
    if len(plain) > LONGEST_ID or "\0" in plain:
        raise HTTPException(404, "There is no such journey: no id is that long or has such characters in it.")
    return plain


JourneyId = Annotated[str, Depends(journey_id)]

Holder = Annotated[
    Identifier | None,
    Query(
        description="Whose token it must be. A system that acts for a signed-in prescriber names that prescriber here: "
        "anybody else's token is then answered 404, like one that does not exist.",
        examples=["P-1001"],
    ),
]


def location(journey_id: str) -> str:
    """Where to look at a token."""
    return f"/v1/tokens/{quote(journey_id, safe='')}"
