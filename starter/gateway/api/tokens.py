"""Tokens: lists from the database, one token by its journey's own answer; `/v1/tokens`."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from database.tables import AuditRow, JourneyRow
from domain.chronicle import LATEST, Happening, Refusal
from domain.status import Kind, Status
from starter.api_keys import Scope
from starter.gateway.api import records
from starter.gateway.api.addressing import Holder, JourneyId
from starter.gateway.api.bodies import TokenList, TokenState
from starter.gateway.api.messages import journeys
from starter.gateway.api.openapi import ACCEPTED, answers
from starter.gateway.api.paging import Page, listed
from starter.gateway.api.routing import needs
from starter.gateway.parts import Gateway
from starter.journeys import Journeys, NotDone, Refused
from workflows.messages import Identifier

_GLANCE = timedelta(seconds=2)
"""How long a journey is waited for that is not recorded yet."""


class Filter(Page):
    prescriber_id: Identifier | None = None
    status: Annotated[list[Status], Field(description="Any of these; give it once for each.")] = []  # noqa: RUF012
    kind: Kind | None = None
    serial_number: Identifier | None = None
    needs_attention: Annotated[bool | None, Field(description="true: only those that need a person.")] = None


def add(routes: APIRouter, gateway: Gateway) -> None:
    """Adds the routes."""

    @routes.get(
        "/tokens",
        summary="Tokens and where they stand",
        response_model=TokenList,
        responses=answers(),
        **needs(Scope.READ),
    )
    async def tokens(query: Annotated[Filter, Query()], request: Request) -> Response:
        """The newest request first. Ended tokens are listed, too."""
        wanted = select(JourneyRow)
        if query.prescriber_id:
            wanted = wanted.where(JourneyRow.prescriber_id == query.prescriber_id)
        if query.status:
            wanted = wanted.where(JourneyRow.status.in_(query.status))
        if query.kind:
            wanted = wanted.where(JourneyRow.kind == query.kind)
        if query.serial_number:
            wanted = wanted.where(JourneyRow.serial_number == query.serial_number)
        if query.needs_attention is not None:
            needed = JourneyRow.needs_attention
            wanted = wanted.where(needed.is_not(None) if query.needs_attention else needed.is_(None))
        return await listed(gateway, request, wanted, query, newest_first=True)

    @routes.get(
        "/tokens/{journey_id}",
        summary="One token, by its journey's own answer",
        response_model=TokenState,
        responses=answers(404) | ACCEPTED,
        **needs(Scope.READ),
    )
    async def token(journey_id: JourneyId, prescriber_id: Holder = None) -> Response:
        """Status, promises, timeline, refused messages, and what may be done next. Where the journey's history is gone, or it
        does not answer at the moment, `source` is `record` and this is what was recorded last."""
        row = await records.journey(gateway.sessions, journey_id, prescriber_id)
        if row is None:
            await _not_recorded(gateway, journey_id, prescriber_id)
            raise records.unknown(journey_id)
        try:
            state = TokenState.model_validate({**await journeys(gateway).ask(journey_id), "source": "journey"})
        except NotDone:
            state = await records.read(gateway.sessions, lambda session: recorded(session, journey_id))
        return JSONResponse(state.model_dump(mode="json"))


async def _not_recorded(gateway: Gateway, journey_id: str, prescriber_id: str | None) -> None:
    """A request that no worker has taken up yet is not unknown, and one that was refused says why. Raises NotDone or
    HTTPException for them."""
    if prescriber_id is not None:
        return
    try:
        await Journeys(gateway.client, gateway.task_queue, _GLANCE).admitted(journey_id)
    except Refused as refusal:
        raise HTTPException(404, str(refusal)) from None


def recorded(session: Session, journey_id: str) -> TokenState:
    """What the journey recorded last."""
    row = session.get_one(JourneyRow, journey_id)
    trail = select(AuditRow).where(AuditRow.journey_id == journey_id).order_by(AuditRow.number.desc()).limit(2 * LATEST)
    entries = list(session.scalars(trail))[::-1]
    columns = (
        "journey_id",
        "prescriber_id",
        "kind",
        "status",
        "serial_number",
        "tracking_number",
        "replaces",
        "replaced_by",
        "needs_attention",
        "promises",
    )
    return TokenState(
        **{name: getattr(row, name) for name in columns},
        timeline=[Happening(at=e.at, what=e.what, by=e.by) for e in entries if e.refused is None][-LATEST:],
        refused=[
            Refusal(at=e.at, message=e.message or "", reason=e.refused, by=e.by)
            for e in entries
            if e.refused is not None
        ][-LATEST:],
        next=[],
        source="record",
    )
