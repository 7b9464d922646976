"""Signing in with an active token: `/v1/tokens/{journey_id}/verify`."""

from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from activities.verification import NotVerified
from domain.status import Status
from starter.api_keys import Scope
from starter.gateway.api import records
from starter.gateway.api.addressing import Holder, JourneyId
from starter.gateway.api.addressing import journey_id as id_of
from starter.gateway.api.bodies import Proof, Verified
from starter.gateway.api.messages import find
from starter.gateway.api.openapi import answers
from starter.gateway.api.routing import needs
from starter.gateway.parts import Gateway
from starter.gateway.problems import problem


def add(routes: APIRouter, gateway: Gateway) -> None:
    """Adds the route."""

    @routes.post(
        "/tokens/{journey_id}/verify",
        summary="Sign in with an active token",
        response_model=Verified,
        responses=answers(404, 409),
        **needs(Scope.VERIFY),
    )
    async def verify(journey_id: JourneyId, body: Proof, request: Request, prescriber_id: Holder = None) -> Response:
        """200 only where the passcode, and a soft token's PIN, are right; each passcode is taken once. Anything else is 409
        with the reason, which does not tell a wrong PIN from a wrong passcode. From the third wrong one on there is a wait;
        after ten the token is locked. Whose answer got lost sends the same again with the same `Idempotency-Key`, and gets
        the same answer; without one, a passcode that was taken is wrong the second time. Answered from our own records: a
        token is refused from the moment it is deactivated."""
        await find(gateway, journey_id, prescriber_id)
        verification = gateway.verification()
        try:
            # Random, and for a repetition with the same key the same: `Idempotency` holds it to the same passcode and PIN.
            attempt = request.state.request_id
            await records.in_thread(
                lambda: verification.verify(journey_id, body.passcode, body.pin, datetime.now(UTC), attempt=attempt)
            )
        except NotVerified as refusal:
            return problem(409, str(refusal))
        return JSONResponse(Verified(journey_id=journey_id, verified=True).model_dump())


async def still_active(gateway: Gateway, request: Request) -> bool:
    """Whether what was said of a token before may be said again: not once it has been deactivated."""
    row = await records.journey(gateway.sessions, id_of(request.path_params["journey_id"]), None)
    return row is not None and row.status == Status.ACTIVE
