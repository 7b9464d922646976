"""How the simulated parties read and answer."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, StringConstraints, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.faults import FaultGate, Faults
from simulators.store import Conflict, Store

Text = Annotated[str, StringConstraints(strict=True, min_length=1, strip_whitespace=True)]


class Refusal(Exception):
    """Answered with `status` and the sentence."""

    def __init__(self, detail: str, status: int = 422) -> None:
        super().__init__(detail)
        self.status = status


def party(store: Store, faults: Faults, routes: Sequence[Route]) -> Starlette:
    """A party's server: its routes behind the fault switches, its store open while it runs."""
    return Starlette(
        routes=[*routes, *faults.routes()],
        middleware=[Middleware(FaultGate, faults)],
        exception_handlers={Refusal: _refused},
        lifespan=store.lifespan,
    )


async def _refused(_request: Request, fault: Exception) -> Response:
    assert isinstance(fault, Refusal)
    return JSONResponse({"detail": str(fault)}, fault.status)


async def read(request: Request, form: type[BaseModel]) -> dict[str, Any]:
    """The JSON object that was sent, as it was sent, if it fits `form`. Raises Refusal (422)."""
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        raise Refusal("The body is not JSON; send one JSON object.") from None
    if not isinstance(body, dict):
        raise Refusal("The body is not a JSON object; send one.")
    try:
        form.model_validate(body)
    except ValidationError as fault:
        raise Refusal(_sentence(fault)) from None
    return body


def _sentence(fault: ValidationError) -> str:
    """What is wrong first. It never says what was sent: that may be somebody's address."""
    first = fault.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return f"{where} is missing; send it."
    what = first["msg"].removeprefix("Value error, ")
    return f"{where} is wrong: {what[:1].lower()}{what[1:]}."


def key_of(request: Request) -> str:
    """The key at the end of the path, decoded. Raises Refusal (404)."""
    key = request.path_params["key"]
    if not key:
        raise Refusal("The key is missing; put it at the end of the path.", 404)
    return key


def once(store: Store, what: str, request: Request, body: dict[str, Any], result: dict[str, Any]) -> Response:
    """Done once per key: 201 the first time, then 200 with the same answer. Raises Refusal (409) for another body."""
    try:
        kept, new = store.once(what, key_of(request), body["reference"], body, result)
    except Conflict as conflict:
        raise Refusal(str(conflict), 409) from None
    return JSONResponse(kept, 201 if new else 200)


_MOST = 1000


def paged(
    store: Store, what: str, undone: str, named: str, shown: Callable[[dict[str, Any]], dict[str, Any]]
) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint with everything of a kind, page by page, oldest first: `{named: […], "next": cursor or null}`. Takes
    `?after=` the cursor of the page before and `?limit=` up to a thousand. `undone`: the kind that takes it back."""

    async def listed(request: Request) -> Response:
        after, limit = request.query_params.get("after", "0"), request.query_params.get("limit", "100")
        if not (after.isdecimal() and limit.isdecimal() and 1 <= int(limit) <= _MOST):
            raise Refusal(f"after is a cursor and limit a number from 1 to {_MOST}; send them as they were given.")
        rows = store.page(what, undone, int(after), int(limit) + 1)
        page = rows[: int(limit)]
        cursor = str(page[-1]["place"]) if len(rows) > len(page) else None
        return JSONResponse({named: [shown(row) for row in page], "next": cursor})

    return listed


def listing(store: Store, what: str) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint with everything done of a kind, oldest first and as it was first answered; by `?reference=` if given."""

    async def listed(request: Request) -> Response:
        return JSONResponse(store.all(what, request.query_params.get("reference")))

    return listed
