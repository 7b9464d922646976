"""Enrolled, and syncing with Surescripts: what the page shows, again and again, until the token is active."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from domain.status import Status
from domain.wording import moment
from workflows.stages import promises

if TYPE_CHECKING:
    from starter.gateway.activation.visit import Visit


def facts(visit: "Visit") -> dict[str, Any]:
    """`state`: syncing, late, active or ended. `due`, `since`: in the practice's zone, "" where the journey did not say."""
    promise = _promise(visit.snapshot)
    status = visit.status
    if status is Status.ACTIVE:
        state = "active"
    elif status in (Status.DEACTIVATED, Status.CANCELLED):
        state = "ended"
    else:
        state = "late" if promise.get("broken") else "syncing"
    zone = ZoneInfo(visit.link.zone)
    return {
        "state": state,
        "due": _said(promise.get("due"), zone),
        "since": _said(promise.get("met_at"), zone),
    }


def _promise(snapshot: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """What was promised of the sync, if it is known."""
    made = snapshot["promises"] if snapshot else []
    return next((promise for promise in reversed(made) if promise["what"] == promises.ACTIVE), {})


def _said(at: str | None, zone: ZoneInfo) -> str:
    return moment(datetime.fromisoformat(at), zone) if at else ""
