"""Stands in for the Surescripts directory, with which a token syncs. `python -m simulators.directory --port N --state DIR`.

    PUT    /v1/enrollments/{key}   {"prescriber_id", "kind": "hard" | "soft", "reference"}   -> {"state": "pending"}
    GET    /v1/enrollments/{key}   -> {"state": "pending" | "synced"}; 404 if unknown or revoked
    DELETE /v1/enrollments/{key}   -> {"state": "revoked"}, also for an unknown key
    GET    /v1/enrollments, /v1/revocations   ?reference=   lists, oldest first
    PUT    /simulate/settings      {"polls_until_synced": how many GETs it takes, or null: never by itself}
    PUT    /simulate/synced/{key}  synced from now on, and told so by webhook
    PUT    /simulate/rejected/{key}   told by webhook to be rejected; it stays as it is

It goes by how often it is asked, not by a clock: the third GET says "synced" unless the settings say otherwise. A key that
was revoked stays so, even if its enrolment arrives late. Only who did not ask is told by webhook (see `simulators.webhooks`;
without one nobody is): `{"event", "reference", "occurred_at"}`.

An enrolment is taken once per key: 201 the first time, 200 with the same answer after that, 409 for another body. A refusal
is `{"detail": one sentence}`. What was done is kept in DIR/directory.db and outlives a `kill -9`. Switches for faults: see
`simulators.faults`.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators import webhooks
from simulators.answers import Refusal, Text, key_of, listing, once, party, read
from simulators.faults import Faults
from simulators.serving import arguments, run
from simulators.store import Store
from simulators.webhooks import Hook, hooks_of, post, with_webhooks

_POLLS = 3


class Enrollment(BaseModel):
    prescriber_id: Text
    kind: Literal["hard", "soft"]
    reference: Text


class Polling(BaseModel):
    polls_until_synced: Annotated[int, Field(strict=True, ge=1)] | None


def app(state: Path, hook: Hook | None = None) -> Starlette:
    """The server; what it has done is kept in `state`. `hook`: where its webhooks go."""
    store = Store(state / "directory.db")

    def known(key: str) -> str:
        if store.get("enrollments", key) is None or store.get("revocations", key) is not None:
            raise Refusal("There is no such enrolment; enrol it first.", 404)
        return key

    def reference(key: str) -> str:
        return store.reference("enrollments", key) or key

    async def enroll(request: Request) -> Response:
        return once(store, "enrollments", request, await read(request, Enrollment), {"state": "pending"})

    async def ask(request: Request) -> Response:
        key = known(key_of(request))
        if store.get("synced", key) is None:
            asked = (store.get("polls", key) or 0) + 1
            store.put("polls", key, reference(key), asked)
            settings = store.get("settings", "settings") or {"polls_until_synced": _POLLS}
            needed = settings["polls_until_synced"]
            if needed is None or asked < needed:
                return JSONResponse({"state": "pending"})
            store.put("synced", key, reference(key), {"state": "synced"})
        return JSONResponse({"state": "synced"})

    async def revoke(request: Request) -> Response:
        key = key_of(request)
        store.put("revocations", key, reference(key), {"state": "revoked"})
        return JSONResponse({"state": "revoked"})

    async def settle(request: Request) -> Response:
        body = await read(request, Polling)
        settings = {"polls_until_synced": body["polls_until_synced"]}
        store.put("settings", "settings", "settings", settings)
        return JSONResponse(settings)

    async def sync(request: Request) -> Response:
        key = known(key_of(request))
        store.put("synced", key, reference(key), {"state": "synced"})
        await tell(key, "synced")
        return JSONResponse({"state": "synced"})

    async def reject(request: Request) -> Response:
        await tell(known(key_of(request)), "rejected")
        return JSONResponse({"state": "pending"})

    async def tell(key: str, what: str) -> None:
        if hook is not None:
            at = datetime.now(UTC).isoformat()
            await post(hook, webhooks.plain, {"event": what, "reference": reference(key), "occurred_at": at})

    return party(
        store,
        Faults(),
        [
            # A key may be any text: `path` lets its slashes through, which arrive decoded.
            Route("/v1/enrollments/{key:path}", enroll, methods=["PUT"]),
            Route("/v1/enrollments/{key:path}", ask, methods=["GET"]),
            Route("/v1/enrollments/{key:path}", revoke, methods=["DELETE"]),
            Route("/v1/enrollments", listing(store, "enrollments")),
            Route("/v1/revocations", listing(store, "revocations")),
            Route("/simulate/settings", settle, methods=["PUT"]),
            Route("/simulate/synced/{key:path}", sync, methods=["PUT"]),
            Route("/simulate/rejected/{key:path}", reject, methods=["PUT"]),
        ],
    )


if __name__ == "__main__":
    given = with_webhooks(arguments(__doc__)).parse_args()
    run(app(given.state, hooks_of(given.webhooks_file).get("surescripts")), given.host, given.port)
