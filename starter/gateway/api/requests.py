"""Requests for tokens, until they are tokens: `/v1/token-requests`."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from sqlalchemy import select
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from database.tables import JourneyRow
from domain.journey import edition
from domain.status import Kind, Status
from starter.api_keys import Scope
from starter.gateway.api.addressing import Holder, JourneyId, location
from starter.gateway.api.bodies import (
    Cancellation,
    Change,
    Done,
    Made,
    NewRequest,
    Processing,
    Requested,
    RequestState,
    TokenList,
)
from starter.gateway.api.messages import find, journeys, order, tell
from starter.gateway.api.openapi import ACCEPTED, answers
from starter.gateway.api.paging import Page, listed
from starter.gateway.api.routing import needs, not_done
from starter.gateway.parts import Gateway
from starter.gateway.problems import problem
from starter.journeys import NotDone, Refused, Unanswered
from workflows.reading import CHANGED

_PAUSES = (0, 0.01, 0.01, 0.02, 0.02, 0.04, *(0.1,) * 9)
"""Seconds before each look whether an edit stands in the records: most often it does after some hundredths."""


class Waiting(Page):
    kind: Kind | None = None


def add(routes: APIRouter, gateway: Gateway) -> None:
    """Adds the routes."""

    @routes.post(
        "/token-requests",
        summary="Request a hard token, a soft token, or both",
        status_code=201,
        response_model=Requested,
        responses=answers(409, 207) | ACCEPTED,
        **needs(Scope.REQUEST),
    )
    async def request_tokens(body: NewRequest, request: Request) -> Response:
        """Starts one journey for each kind; each joins the processing queue, and the prescriber gets an email. A prescriber
        has at most one live token of each kind. Where both were asked for and only one was taken, the status is 207 and each
        entry says what came of it."""
        kinds = list(Kind) if body.kind == "both" else [Kind(body.kind)]
        by = request.state.caller.name
        tried = [_request(gateway, f"token-{kind}-{request.state.request_id}", kind, body, by) for kind in kinds]
        outcomes = await asyncio.gather(*tried, return_exceptions=True)
        return _answer(list(zip(kinds, outcomes, strict=True)))

    @routes.get(
        "/token-requests",
        summary="The processing queue",
        response_model=TokenList,
        responses=answers(),
        **needs(Scope.OPERATE, Scope.READ),
    )
    async def queue(query: Annotated[Waiting, Query()], request: Request) -> Response:
        """Requests that wait to be processed, the oldest first."""
        waiting = select(JourneyRow).where(JourneyRow.status == Status.REQUESTED)
        if query.kind:
            waiting = waiting.where(JourneyRow.kind == query.kind)
        return await listed(gateway, request, waiting, query, newest_first=False)

    @routes.get(
        "/token-requests/{journey_id}",
        summary="A request, with what can be edited of it",
        response_model=RequestState,
        responses=answers(404),
        **needs(Scope.REQUEST, Scope.OPERATE),
    )
    async def request_as_it_stands(journey_id: JourneyId, prescriber_id: Holder = None) -> Response:
        """Its `ETag` is what an edit has to send as `If-Match`."""
        row = await find(gateway, journey_id, prescriber_id)
        return JSONResponse(RequestState.model_validate(row).model_dump(mode="json"), headers={"ETag": _etag(row)})

    @routes.patch(
        "/token-requests/{journey_id}",
        summary="Edit email or shipping address",
        response_model=Done,
        responses=answers(404, 409, 412, 428) | ACCEPTED,
        **needs(Scope.REQUEST, Scope.OPERATE),
    )
    async def edit(
        journey_id: JourneyId,
        body: Change,
        request: Request,
        prescriber_id: Holder = None,
        if_match: Annotated[
            str | None, Header(description="The `ETag` of the request as it was read; `*` for whatever it is now.")
        ] = None,
    ) -> Response:
        """Until the request is processed. What somebody else has changed meanwhile is not overwritten: the edit needs
        `If-Match`, and is refused (412) where the request is not as it was read."""
        row = await find(gateway, journey_id, prescriber_id)
        if if_match is None:
            raise HTTPException(
                428,
                "The edit needs If-Match with the ETag of the request as you read it; read it first, at this same address.",
            )
        seen = {} if if_match.strip() == "*" else {"if_match": _edition(if_match, row)}
        try:
            done = await tell(
                gateway, request, journey_id, "edit", {**order(body, by=request.state.caller.name), **seen}
            )
        except Refused as refusal:
            return problem(412 if CHANGED in refusal.details else 409, str(refusal))
        for pause in _PAUSES:
            await asyncio.sleep(pause)
            now = await find(gateway, journey_id, prescriber_id)
            if _etag(now) != _etag(row):
                done.headers["ETag"] = _etag(now)
                break
        return done

    @routes.post(
        "/token-requests/{journey_id}/cancel",
        summary="Cancel a request",
        response_model=Done,
        responses=answers(404, 409) | ACCEPTED,
        **needs(Scope.REQUEST, Scope.OPERATE),
    )
    async def cancel(
        journey_id: JourneyId, request: Request, body: Cancellation | None = None, prescriber_id: Holder = None
    ) -> Response:
        """Until the token is active; an active one is deactivated instead. One that has been shipped is asked back."""
        await find(gateway, journey_id, prescriber_id)
        sent = order(body or Cancellation(), by=request.state.caller.name)
        return await tell(gateway, request, journey_id, "cancel", sent)

    @routes.post(
        "/token-requests/{journey_id}/process",
        summary="Say that a request has been processed",
        response_model=Done,
        responses=answers(404, 409) | ACCEPTED,
        **needs(Scope.OPERATE),
    )
    async def process(
        journey_id: JourneyId, request: Request, body: Processing | None = None, prescriber_id: Holder = None
    ) -> Response:
        """Takes a hard token out of stock, has it shipped, and sends the activation email."""
        await find(gateway, journey_id, prescriber_id)
        sent = order(body or Processing(), operator=request.state.caller.name)
        return await tell(gateway, request, journey_id, "process", sent)


async def _request(gateway: Gateway, journey_id: str, kind: Kind, body: NewRequest, by: str) -> str:
    """The journey's id. Raises NotDone."""
    sent: dict[str, Any] = order(body, requested_by=by) | {"kind": kind.value}
    if kind is Kind.SOFT and body.kind == "both":
        sent.pop("shipping_address", None)
    await journeys(gateway).request(journey_id, sent)
    return journey_id


def _answer(outcomes: list[tuple[Kind, str | BaseException]]) -> Response:
    """One answer for all that was asked. Raises what is not a NotDone."""
    if len(outcomes) == 1 and isinstance(outcomes[0][1], NotDone):
        return not_done(outcomes[0][1])
    made, statuses = [], set[int]()
    for kind, outcome in outcomes:
        match outcome:
            case str():
                made.append(Made(kind=kind, status=Status.REQUESTED, journey_id=outcome))
                statuses.add(201)
            case NotDone():
                where = outcome.journey_id if isinstance(outcome, Unanswered) else None
                made.append(Made(kind=kind, status=None, journey_id=where, detail=str(outcome)))
                statuses.add(not_done(outcome).status_code)
            case _:
                raise outcome
    body: dict[str, Any] = {"requests": [entry.model_dump(mode="json") for entry in made]}
    if len(made) == 1:
        body |= made[0].model_dump(mode="json", exclude={"detail"})
    status = statuses.pop() if len(statuses) == 1 else 207
    if status in (409, 503):
        said = " ".join(dict.fromkeys(entry.detail or "" for entry in made))
        return problem(status, said, {"Retry-After": "10"} if status == 503 else None)
    headers = {"Location": location(made[0].journey_id)} if made[0].journey_id else None
    return JSONResponse(body, status, headers)


def _etag(row: JourneyRow) -> str:
    return f'"{edition(row.email, row.shipping_address)}"'


def _edition(if_match: str, row: JourneyRow) -> str:
    """The edition that was read: of several, the one that the request has now."""
    given = [tag.strip() for tag in if_match.split(",")]
    fits = _etag(row) if _etag(row) in given else given[0]
    return fits.strip('"')[:200] or "none"
