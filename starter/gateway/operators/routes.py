"""`/ops/sign-in` and `/ops/sign-out`."""

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from starter.gateway.operators.door import SIGN_IN, OperatorDoor, SignedOut, signed_out
from starter.gateway.pages import page
from starter.gateway.parts import Gateway


def install(application: FastAPI, gateway: Gateway) -> OperatorDoor:
    """Adds sign-in to the application. What it returns lets operators in: `Depends(door.operator_of)`."""
    door = OperatorDoor(gateway)
    application.include_router(router(gateway, door))
    application.add_exception_handler(SignedOut, signed_out)
    return door


def router(gateway: Gateway, door: OperatorDoor) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    key_file = str(gateway.settings.state / "operator.key") if gateway.settings.embedded else ""

    @routes.get(SIGN_IN)
    async def ask(request: Request) -> Response:
        operator = await door.operator(request)
        if operator is not None:
            return page("ops/signed_in.html", operator=operator, ui=gateway.settings.ui_base)
        return page("ops/sign_in.html", to=request.query_params.get("to", ""), wrong="", key_file=key_file)

    @routes.post(SIGN_IN)
    async def sign_in(request: Request) -> Response:
        fields = await door.own_fields(request)
        to = fields.get("to", "")
        try:
            return await door.sign_in(request, fields.get("key", ""), to)
        except HTTPException as refusal:
            return page("ops/sign_in.html", refusal.status_code, to=to, wrong=refusal.detail, key_file=key_file)

    @routes.post("/ops/sign-out")
    async def sign_out(request: Request) -> Response:
        operator = await door.operator(request)
        if operator is not None:
            await door.form(request, operator)
        return await door.sign_out(request)

    return routes
