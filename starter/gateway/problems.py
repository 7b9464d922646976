"""Errors over HTTP as RFC 9457 problem documents."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from starter.gateway.pages import page
from starter.gateway.validation import sentence

AWAY = "The database does not answer; send the same again in a moment."
_SAID = {
    404: "There is nothing at this address; the API's addresses are listed at /v1/docs.",
    405: "This address does not take that method; see /v1/docs for what it takes.",
    400: "The request could not be read; send JSON in UTF-8.",
}
"""What Starlette says in a word or two, as sentences."""


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """`detail`: one sentence of what, why and what instead."""
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(content, status_code=status, headers=headers, media_type="application/problem+json")


def install(application: FastAPI) -> None:
    """What goes wrong under `/v1/` is answered with a problem; pages go on answering in their own way."""

    async def refused(request: Request, fault: Exception) -> Response:
        assert isinstance(fault, HTTPException)
        if not request.url.path.startswith("/v1/"):
            return await http_exception_handler(request, fault)
        bare = fault.detail == HTTPStatus(fault.status_code).phrase
        said = _SAID.get(fault.status_code) if bare or fault.status_code == 400 else None
        return problem(fault.status_code, said or fault.detail, fault.headers)

    async def unfit(_request: Request, fault: Exception) -> Response:
        assert isinstance(fault, RequestValidationError)
        return problem(422, sentence(fault))

    async def broken(_request: Request, _fault: Exception) -> Response:
        # Starlette raises it again afterwards, so that the server's log has it.
        return problem(500, "Something is broken in the gateway, and its log says what; tell whoever runs it.")

    async def away(request: Request, _fault: Exception) -> Response:
        headers = {"Retry-After": "10"}
        if request.url.path.startswith("/v1/"):
            return problem(503, AWAY, headers)
        shown = page("away.html", 503)
        shown.headers.update(headers)
        return shown

    async def gone(_request: Request, _fault: Exception) -> Response:
        return problem(400, "The request broke off before it had come in.")  # heard by nobody

    for fault in (OperationalError, InterfaceError, NoConnection):
        application.add_exception_handler(fault, away)
    application.add_exception_handler(ClientDisconnect, gone)
    application.add_exception_handler(HTTPException, refused)
    application.add_exception_handler(RequestValidationError, unfit)
    application.add_exception_handler(Exception, broken)
