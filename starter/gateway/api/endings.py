"""How tokens end, and fresh links for those that are not active yet: `/v1/tokens/{journey_id}/…`."""

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from domain.peers import replacement_id
from starter.api_keys import Scope
from starter.gateway.api.addressing import Holder, JourneyId, location
from starter.gateway.api.bodies import Deactivation, Done, ReplacedToken, Replacement, Resending
from starter.gateway.api.messages import find, journeys, order, tell
from starter.gateway.api.openapi import ACCEPTED, answers
from starter.gateway.api.routing import needs
from starter.gateway.parts import LOCKED, Gateway
from starter.journeys import Refused, Unanswered


def add(routes: APIRouter, gateway: Gateway) -> None:
    """Adds the routes."""

    @routes.post(
        "/tokens/{journey_id}/deactivate",
        summary="Deactivate an active token",
        response_model=Done,
        responses=answers(404, 409) | ACCEPTED,
        **needs(Scope.REQUEST, Scope.OPERATE),
    )
    async def deactivate(
        journey_id: JourneyId, body: Deactivation, request: Request, prescriber_id: Holder = None
    ) -> Response:
        """From the moment of the answer on nobody signs with it. It can't be undone, so it must be `confirmed`."""
        await find(gateway, journey_id, prescriber_id)
        return await tell(gateway, request, journey_id, "deactivate", order(body, by=request.state.caller.name))

    @routes.post(
        "/tokens/{journey_id}/replace",
        summary="Replace an active token",
        status_code=201,
        response_model=ReplacedToken,
        responses=answers(404, 409) | ACCEPTED,
        **needs(Scope.REQUEST, Scope.OPERATE),
    )
    async def replace(
        journey_id: JourneyId, body: Replacement, request: Request, prescriber_id: Holder = None
    ) -> Response:
        """The old one is deactivated and a new one of its kind requested, both or neither. `Location` is the new one's."""
        row = await find(gateway, journey_id, prescriber_id)
        sent = order(body, requested_by=request.state.caller.name)
        sent |= {"journey_id": journey_id, "prescriber_id": row.prescriber_id}
        try:
            result = await journeys(gateway).run("ReplaceToken", sent, replacement_id(journey_id))
        except Unanswered:
            # It is the token, not the workflow that replaces it, that can be looked at here.
            raise Unanswered(journey_id) from None
        replaced = ReplacedToken.model_validate(result)
        return JSONResponse(replaced.model_dump(mode="json"), 201, {"Location": location(replaced.journey_id)})

    @routes.post(
        "/tokens/{journey_id}/resend-activation",
        summary="Send a fresh activation link",
        response_model=Done,
        responses=answers(404, 409) | ACCEPTED,
        **needs(Scope.REQUEST, Scope.OPERATE),
    )
    async def resend_activation(
        journey_id: JourneyId, request: Request, body: Resending | None = None, prescriber_id: Holder = None
    ) -> Response:
        """Older links end. Where ten wrong passcodes have locked the activation, only a key of scope `operate` gets a new one."""
        await find(gateway, journey_id, prescriber_id)
        caller = request.state.caller
        by_the_team = Scope.OPERATE in caller.scopes
        if not by_the_team and await asyncio.to_thread(gateway.locked, journey_id):
            raise Refused(LOCKED)
        sent = order(body or Resending(), by=caller.name) | {"unlock": by_the_team}
        return await tell(gateway, request, journey_id, "resend_activation", sent)
