"""`POST /v1/webhooks/…`: signature, look-up, signal. Answered in milliseconds; the work happens in the journey."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter
from prometheus_client import Counter
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from starter.gateway.parts import Gateway
from starter.gateway.problems import problem
from starter.gateway.webhooks import kept
from starter.gateway.webhooks.event import Event, Stale, Unreadable
from starter.gateway.webhooks.senders import SENDERS, Sender
from starter.gateway.webhooks.signatures import Call
from starter.gateway.webhooks.telling import TemporalAway, tell

LARGEST_BODY = 512 * 1024
"""Bytes. A tracker with every scan of a long journey has some tens of thousands."""

WEBHOOKS = Counter("tokens_webhooks", "Webhooks by sender and by what became of them.", ["sender", "outcome"])


class Forged(Exception):
    """Not signed by the sender, or too long ago."""


class TooLarge(Exception):
    """More than `LARGEST_BODY`."""


def router(gateway: Gateway) -> APIRouter:
    """One route for each sender."""
    routes = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])
    for sender in SENDERS:
        routes.add_api_route(
            sender.path, _endpoint(gateway, sender), methods=["POST"], include_in_schema=False, name=sender.name
        )
    return routes


def _endpoint(gateway: Gateway, sender: Sender) -> Any:
    async def webhook(request: Request) -> Response:
        outcome, answer = await _answer(gateway, sender, request)
        WEBHOOKS.labels(sender.name, outcome).inc()
        return answer

    return webhook


async def _answer(gateway: Gateway, sender: Sender, request: Request) -> tuple[str, Response]:
    """What became of it, and what the sender is answered."""
    try:
        call = Call(await _body(request), request.url.path, request.headers, request.query_params)
        event = read(gateway, sender, call)
        if event is None:
            return "ignored", _not_taken("No journey needs to know of it.")
        return await _take(gateway, event)
    except TooLarge:
        return "too_large", problem(
            413, f"The event is larger than {LARGEST_BODY // 1024} kB; send one event at a time."
        )
    except (Forged, Stale):
        return "unsigned", problem(
            401, "The signature does not fit the body and its time; sign with the secret agreed on, and send it again."
        )
    except Unreadable as fault:
        return "unreadable", problem(422, str(fault))
    except SQLAlchemyError:
        return "unavailable", problem(
            503,
            "The database does not answer, and nothing was kept; send the event again later.",
            {"Retry-After": "30"},
        )
    except ClientDisconnect:
        return "broken_off", Response(status_code=400)


def read(gateway: Gateway, sender: Sender, call: Call) -> Event | None:
    """What a call says; None where no journey needs to know. Nothing in it is read before its signature is found to be good.
    Raises Forged, Stale, Unreadable."""
    settings = gateway.settings
    secret = settings.webhook_secrets.get(sender.name)
    if secret is None or not secret.get_secret_value() or not sender.authentic(call, secret.get_secret_value()):
        raise Forged
    try:
        body = json.loads(call.body)
    except (ValueError, RecursionError):
        raise Unreadable("The body is not JSON; send the event as one JSON object.") from None
    if not isinstance(body, dict):
        raise Unreadable("The body is not a JSON object; send the event as one.")
    made_at = sender.made_at(body)
    if made_at and made_at < datetime.now(UTC) - timedelta(days=settings.webhook_retention_days):
        raise Stale
    return sender.read(body, test_events=settings.webhook_test_events)


async def _take(gateway: Gateway, event: Event) -> tuple[str, Response]:
    standing = await asyncio.to_thread(kept.standing, gateway.sessions, event)
    if standing.told:
        return "repeated", _not_taken("It came before.")
    told = False
    if standing.waiting is not None:
        try:
            told = await tell(gateway, standing.waiting, event)
        except TemporalAway:
            # Kept, not refused: a sender gives up after some hours, or turns off a webhook that fails.
            await asyncio.to_thread(lambda: kept.remember(gateway.sessions, event, told=False))
            return "kept", _not_taken("Temporal does not answer; it is kept, and passed on as soon as it does.")
    await asyncio.to_thread(lambda: kept.remember(gateway.sessions, event, told=told))
    if told:
        return "passed_on", JSONResponse({"taken": True}, status_code=202)
    return "kept", _not_taken("Nobody waits for it yet; it is kept, and passed on as soon as somebody does.")


def _not_taken(why: str) -> Response:
    return JSONResponse({"taken": False, "detail": why}, status_code=202)


async def _body(request: Request) -> bytes:
    """The whole body. Raises TooLarge as soon as it is."""
    announced = request.headers.get("Content-Length", "")
    if announced.isdecimal() and len(announced) < 20 and int(announced) > LARGEST_BODY:
        raise TooLarge
    parts, length = [], 0
    async for part in request.stream():
        length += len(part)
        if length > LARGEST_BODY:
            raise TooLarge
        parts.append(part)
    return b"".join(parts)
