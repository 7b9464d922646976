"""Lists, page by page, in an order that does not move: a page is continued after the row that ended it."""

import base64
import binascii
import json
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Select, tuple_
from sqlalchemy.orm import load_only
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from database.tables import JourneyRow
from starter.gateway.api import records
from starter.gateway.api.bodies import ListedToken, TokenList
from starter.gateway.parts import Gateway

_SHOWN = load_only(*(getattr(JourneyRow, name) for name in ListedToken.model_fields), raiseload=True)
"""Without what lists don't show: policy, promises and address of each row are JSON to be read."""


class Page(BaseModel):
    """Which part of a list."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    limit: Annotated[int, Field(ge=1, le=200, description="How many at most.")] = 50
    cursor: Annotated[
        str | None, Field(max_length=600, description="`next` of the page before. Left out: the first page.")
    ] = None


async def listed(
    gateway: Gateway, request: Request, wanted: Select[JourneyRow], page: Page, *, newest_first: bool
) -> Response:
    """The page, with `Link: …; rel="next"` where another follows. Raises HTTPException 422 for a cursor that is none."""
    at, journey_id = JourneyRow.requested_at, JourneyRow.journey_id
    if page.cursor:
        # Compared as a pair, so that an index finds the place: the hundredth page takes as long as the first.
        place, last = tuple_(at, journey_id), _read(page.cursor)
        wanted = wanted.where(place < last if newest_first else place > last)
    order = (at.desc(), journey_id.desc()) if newest_first else (at, journey_id)
    query = wanted.order_by(*order).limit(page.limit + 1).options(_SHOWN)
    rows = await records.read(gateway.sessions, lambda session: list(session.scalars(query)))
    rows, more = rows[: page.limit], len(rows) > page.limit
    cursor = _written(rows[-1]) if more else None
    headers = {"Link": f'<{request.url.include_query_params(cursor=cursor)}>; rel="next"'} if cursor else None
    found = TokenList(tokens=[ListedToken.model_validate(row) for row in rows], next=cursor)
    return Response(found.model_dump_json(), media_type="application/json", headers=headers)


def _written(row: JourneyRow) -> str:
    place = json.dumps([row.requested_at.isoformat(), row.journey_id])
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _read(cursor: str) -> tuple[datetime, str]:
    try:
        place: Any = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        at, journey_id = datetime.fromisoformat(place[0]), place[1]
        if at.tzinfo is None or not isinstance(journey_id, str) or "\0" in journey_id:
            raise ValueError
    except (ValueError, TypeError, LookupError, binascii.Error):
        raise HTTPException(
            422, "The cursor is none of ours; send `next` of the page before, or leave it out."
        ) from None
    return at, journey_id
