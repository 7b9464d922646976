"""What journeys answer and end with: one JSON object each."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from domain.chronicle import Happening, Promise, Refusal
from domain.incident import IncidentStatus
from domain.reasons import DeactivationReason
from domain.reconciling import Finding
from domain.returning import ReturnStatus
from domain.status import Kind, Status


class Handled(BaseModel):
    """What became of one request in `ProcessQueue`."""

    journey_id: str
    kind: Kind
    urgent: bool
    outcome: Literal["processed", "refused", "unanswered"]
    serial_number: str | None = None
    reason: str | None = None


class QueueReport(BaseModel):
    """The result of `ProcessQueue`."""

    operator: str
    kind: Kind | None = None
    to_do: int = 0
    """How many this run takes."""
    left: int = 0
    """How many waited beyond the limit when it began."""
    processed: int = 0
    refused: int = 0
    unanswered: int = 0
    outcomes: list[Handled] = []


class ReconcileReport(BaseModel):
    """The result of `Reconcile`. Long lists are cut to the latest; the database has all."""

    limit: int = 0
    checked: dict[str, int] = {}
    """How many of what were looked at."""
    repaired: int = 0
    for_a_person: int = 0
    left: int = 0
    """Left for the next run: the limit was reached."""
    left_alone: list[Finding] = []
    """What of these was looked at, and what would be done about it."""
    repairs: list[Finding] = []
    findings: list[Finding] = []
    """What needs a person, and what that person should do."""
    not_checked: list[str] = []
    """What could not be looked at, and why."""


class Outcome(BaseModel):
    """The answer to an accepted update, and the result of a journey that has ended."""

    journey_id: str
    status: str
    detail: str | None = None
    serial_number: str | None = None


class Replaced(BaseModel):
    """The result of `ReplaceToken`."""

    journey_id: str
    """The new token's journey."""
    replaces: str
    status: Status = Status.REQUESTED


class Ended(BaseModel):
    """What became of one token in `DeactivateAll`."""

    journey_id: str
    kind: Kind
    outcome: Literal["deactivated", "cancelled", "ended already", "refused"]
    detail: str | None = None


class Departure(BaseModel):
    """The result of `DeactivateAll`."""

    prescriber_id: str
    outcomes: list[Ended]


class Next(BaseModel):
    """A message that is accepted now, with the JSON to paste."""

    message: str
    example: dict[str, Any]


class Answer(BaseModel):
    """An answer to a `status` query. Holds no name, email or address. Times are UTC."""

    journey_id: str
    prescriber_id: str
    needs_attention: str | None = None
    promises: list[Promise]
    timeline: list[Happening]
    refused: list[Refusal]
    next: list[Next]


class Snapshot(Answer):
    """What a token's journey says of itself."""

    kind: Kind
    status: Status
    serial_number: str | None = None
    tracking_number: str | None = None
    replaces: str | None = None
    replaced_by: str | None = None


class ReturnSnapshot(Answer):
    """What a return says of itself; `journey_id` is the token's journey."""

    return_id: str
    status: ReturnStatus
    serial_number: str
    tracking_number: str | None = None


class IncidentSnapshot(Answer):
    """What an incident says of itself; `journey_id` is the token's journey."""

    incident_id: str
    kind: Kind
    status: IncidentStatus
    reason: DeactivationReason
    serial_number: str | None = None
    opened_at: datetime | None = None
    due_at: datetime | None = None
    due_day: str | None = None
    calendar: str | None = None
    closed_at: datetime | None = None
    closed_by: str | None = None
