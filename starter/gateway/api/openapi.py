"""The OpenAPI document: FastAPI's, with our errors, key and limits in it."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from starter.api_keys import Scope
from starter.gateway.api.bodies import Problem, Requested, Sent

SCHEME = "SystemKey"

_ABOUT = """Requests, journeys and endings of EPCS tokens, for upstream systems.

Every call carries a key: `Authorization: Bearer <key>`; `tokens keys create NAME --scope …` makes one. Every POST may carry an
`Idempotency-Key`: sent again with the same key, the request is not done again. Errors are problem documents (RFC 9457) whose
`detail` is one sentence for people: what, why, and what to do instead. Times are ISO 8601 with an offset."""

_SAID = {
    207: "Of several requests some were taken; each entry says what came of it",
    401: "No key, or one that does not fit",
    403: "The key lacks the scope",
    404: "There is no such token, or it is not the prescriber's",
    409: "Refused, and nothing was changed; `detail` says why. Or: the same request is still under way",
    412: "It has been changed since it was read",
    413: "The body is too large",
    422: "The request is malformed, or its Idempotency-Key was used for another one",
    428: "`If-Match` is missing",
    429: "Too many calls; `Retry-After` says when to come again",
    503: "Temporal or the database does not answer; sending the same again is safe with an Idempotency-Key",
}
_EVERYWHERE = (401, 403, 422, 429, 503)
_HEADERS = {
    202: ("Location", "Retry-After"),
    401: ("WWW-Authenticate",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
_MEANING = {
    "Location": "Where to look",
    "Retry-After": "Seconds until it is worth trying again",
    "WWW-Authenticate": "RFC 6750",
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 200 visible ASCII characters, new for each new request, such as a UUID; the same for each repetition of it.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
    "example": "3f1d0b52-9a5e-4c57-9a3c-0f4f4f0a7c11",
}

ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"model": Sent, "description": "Sent, and not answered in time: it goes on, and `Location` says where to look"}
}
"""For addresses that speak with a journey."""


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of an address beside those that all have."""
    errors: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem, "description": _SAID[status]} for status in (*_EVERYWHERE, *statuses)
    }
    if 207 in statuses:
        errors[207]["model"] = Requested
    return errors


def describe(application: FastAPI) -> None:
    """Has `application` serve the document; made once, at the first need."""

    def document() -> dict[str, Any]:
        if application.openapi_schema is None:
            application.openapi_schema = _document(application)
        return application.openapi_schema

    application.openapi = document  # type: ignore[method-assign]


def _document(application: FastAPI) -> dict[str, Any]:
    made = get_openapi(
        title=application.title, version=application.version, description=_ABOUT, routes=application.routes
    )
    components = made.setdefault("components", {})
    components["securitySchemes"] = {
        SCHEME: {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "<key id>.<secret>",
            "description": f"A system's key. Scopes: {', '.join(Scope)}.",
        }
    }
    for path in made["paths"].values():
        for method, operation in path.items():
            if not operation.get("security"):
                continue
            if method == "post":
                operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
            if "requestBody" in operation:
                operation["responses"]["413"] = _problem(_SAID[413])
            for status, response in operation["responses"].items():
                if status >= "400":
                    response["content"] = _problem("")["content"]
                for header in _HEADERS.get(int(status), ()):
                    about = {"description": _MEANING[header], "schema": {"type": "string"}}
                    response.setdefault("headers", {})[header] = about
    for name in ("HTTPValidationError", "ValidationError"):
        components.get("schemas", {}).pop(name, None)
    return made


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {"application/problem+json": {"schema": schema}}}
