"""The Surescripts directory: tokens are enrolled and sync some time later. `python -m simulators.directory --port N --state DIR`.

    PUT    /v1/enrollments/{key}   {"prescriber_id", "kind", "reference"}
    GET    /v1/enrollments/{key}   {"state": "pending" | "synced"}
    DELETE /v1/enrollments/{key}
    GET    /v1/enrollments         ?reference=
    PUT    /simulate/settings      {"polls_until_synced": how many GETs it takes, or null: never by itself}
    PUT    /simulate/synced/{key}  synced from now on

It goes by how often it is asked, not by a clock.
"""

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from simulators.answers import body_of, listing, once, sentence
from simulators.faults import Faults
from simulators.serving import arguments, run
from simulators.store import Store

_POLLS = 3


def app(state: Path) -> ASGIApp:
    """The server; what it has done is kept in `state`."""
    store = Store(state / "directory.db")
    faults = Faults()

    async def enroll(request: Request) -> Response:
        body = await body_of(request)
        if body is None or not body.get("prescriber_id") or not body.get("reference"):
            return sentence("An enrolment needs prescriber_id and reference; send both.", 422)
        return once(store, "enrollments", request, body, {"state": "pending"})

    async def ask(request: Request) -> Response:
        key = request.path_params["key"]
        if store.get("enrollments", key) is None or store.get("revocations", key) is not None:
            return sentence("There is no such enrolment; enrol it first.", 404)
        asked = (store.get("polls", key) or 0) + 1
        store.put("polls", key, key, asked)
        settings = store.get("settings", "settings") or {"polls_until_synced": _POLLS}
        needed = settings["polls_until_synced"]
        if needed is not None and asked >= needed:
            store.put("synced", key, key, {"state": "synced"})
        return JSONResponse(store.get("synced", key) or {"state": "pending"})

    async def revoke(request: Request) -> Response:
        key = request.path_params["key"]
        store.put("revocations", key, key, {"state": "revoked"})
        return JSONResponse({"state": "revoked"})

    async def settle(request: Request) -> Response:
        body = await body_of(request)
        polls = body.get("polls_until_synced", _POLLS) if body is not None else ""
        if polls is not None and (not isinstance(polls, int) or polls < 1):
            return sentence("polls_until_synced is a number from 1 on, or null; send one of them.", 422)
        store.put("settings", "settings", "settings", {"polls_until_synced": polls})
        return JSONResponse({"polls_until_synced": polls})

    async def sync(request: Request) -> Response:
        key = request.path_params["key"]
        store.put("synced", key, key, {"state": "synced"})
        return JSONResponse({"state": "synced"})

    return faults.wrap(
        Starlette(
            routes=[
                Route("/v1/enrollments/{key}", enroll, methods=["PUT"]),
                Route("/v1/enrollments/{key}", ask, methods=["GET"]),
                Route("/v1/enrollments/{key}", revoke, methods=["DELETE"]),
                Route("/v1/enrollments", listing(store, "enrollments")),
                Route("/v1/revocations", listing(store, "revocations")),
                Route("/simulate/settings", settle, methods=["PUT"]),
                Route("/simulate/synced/{key}", sync, methods=["PUT"]),
                *faults.routes(),
            ]
        )
    )


if __name__ == "__main__":
    given = arguments(__doc__).parse_args()
    run(app(given.state), given.host, given.port)
