"""All the pages together."""

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from starter.gateway.manage import changing, deactivating, replacing, requesting, selecting, showing
from starter.gateway.manage.desk import Desk, NoSuchToken
from starter.gateway.pages import page
from starter.gateway.parts import Gateway
from starter.gateway.signon.door import Door


def install(application: FastAPI, gateway: Gateway, door: Door) -> None:
    """Adds the pages to the application."""
    desk = Desk(gateway, door)
    pages = APIRouter(include_in_schema=False)
    for part in (showing, requesting, selecting, changing, deactivating, replacing):
        pages.include_router(part.router(desk))
    pages.include_router(showing.last_router(desk))
    application.include_router(pages)
    application.add_exception_handler(NoSuchToken, _no_such_token)


async def _no_such_token(_request: Request, _reason: Exception) -> Response:
    return page("not_found.html", 404)
