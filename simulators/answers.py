"""How the simulated parties read and answer."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from simulators.store import Conflict, Store


def sentence(detail: str, status: int) -> JSONResponse:
    """A refusal in the party's own name."""
    return JSONResponse({"detail": detail}, status)


async def body_of(request: Request) -> dict[str, Any] | None:
    """The JSON object that was sent; None if it is not one."""
    try:
        body = await request.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def once(store: Store, what: str, request: Request, body: dict[str, Any], result: dict[str, Any]) -> Response:
    """Done once per key: 201 the first time, then 200 with the same answer; 409 for another body."""
    try:
        kept, new = store.once(what, request.path_params["key"], str(body["reference"]), body, result)
    except Conflict as conflict:
        return sentence(str(conflict), 409)
    return JSONResponse(kept, 201 if new else 200)


def listing(store: Store, what: str) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint with everything done of a kind, by `?reference=` if given."""

    async def listed(request: Request) -> Response:
        return JSONResponse(store.all(what, request.query_params.get("reference")))

    return listed
