"""The carrier's own webhook, signed: `POST /v1/webhooks/carrier/plain`."""

import asyncio
import hashlib
import hmac
import json
import time

from fastapi import APIRouter
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from temporalio.service import RPCError

from database.engine import Sessions
from database.tables import JourneyRow, ReturnRow
from settings import Settings
from starter.gateway.parts import Gateway
from starter.gateway.problems import problem

REPLAY_WINDOW = 300
"""Seconds by which a webhook's time stamp may be off; an older one may be a replay."""


def router(gateway: Gateway) -> APIRouter:
    """Signals the parcel's journey; the work happens there."""
    routes = APIRouter(prefix="/v1/webhooks/carrier", tags=["webhooks"])

    @routes.post("/plain", include_in_schema=False)
    async def plain(request: Request) -> Response:
        body = await request.body()
        if not _signed(gateway.settings, request, body):
            return problem(401, "The signature does not fit the body and time stamp; sign with the secret agreed on.")
        try:
            event = json.loads(body)
            tracking_number = str(event["tracking_number"])
        except (ValueError, KeyError, TypeError):
            return problem(422, "The event needs a tracking_number; send the carrier's event as one JSON object.")
        workflow_id = await asyncio.to_thread(awaiting, gateway.sessions, tracking_number)
        if workflow_id is None:
            return JSONResponse({"taken": False}, status_code=202)
        try:
            await gateway.client.get_workflow_handle(workflow_id).signal("carrier_event", event)
        except RPCError as fault:
            if fault.status.name == "NOT_FOUND":
                return JSONResponse({"taken": False}, status_code=202)  # the journey has ended: nothing waits for it
            return problem(503, "Temporal does not answer; send the event again later.", {"Retry-After": "30"})
        return JSONResponse({"taken": True}, status_code=202)

    return routes


def awaiting(sessions: Sessions, tracking_number: str) -> str | None:
    """Who waits for news of the parcel: its journey, or the return that goes on after it."""
    with sessions() as session:
        outbound = session.scalars(
            select(JourneyRow)
            .where(JourneyRow.tracking_number == tracking_number)
            .order_by(JourneyRow.requested_at.desc())
        ).first()
        if outbound is not None and outbound.live:
            return outbound.journey_id
        returned = ReturnRow.tracking_number == tracking_number
        if outbound is not None:
            returned = returned | (ReturnRow.journey_id == outbound.journey_id)
        return session.scalars(select(ReturnRow.return_id).where(returned, ReturnRow.open)).first()


def _signed(settings: Settings, request: Request, body: bytes) -> bool:
    secret = settings.webhook_secrets.get("plain")
    stamp = request.headers.get("X-Tokens-Timestamp", "")
    if secret is None or not stamp.isdecimal() or abs(time.time() - int(stamp)) > REPLAY_WINDOW:
        return False
    expected = hmac.new(secret.get_secret_value().encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    given = request.headers.get("X-Tokens-Signature", "")
    return hmac.compare_digest(given.encode(), f"sha256={expected}".encode())
