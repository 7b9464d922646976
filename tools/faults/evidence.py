"""What a run has left behind, gathered from everywhere once all is calm: the database, Temporal, the parties, the mailbox."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import select
from temporalio.client import Client
from temporalio.service import RPCError

from database import audit
from database.engine import Sessions
from database.tables import AuditRow, EmailRow, IncidentRow, JourneyRow, ReturnRow, TokenRow
from tools.faults.postbox import Postbox

Rows = list[dict[str, Any]]


@dataclass
class Evidence:
    """`expected`: journey id to its planned `end` and the `letters` owed. `unfinished`: walks that did not come to their end, and
    where they stood. `acknowledged`: what the gateway or a journey has said yes to. `workflows`: those that are still open, with
    what is pending. `states`: what journeys answer for themselves."""

    expected: dict[str, dict[str, Any]] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)
    acknowledged: Rows = field(default_factory=list)
    journeys: Rows = field(default_factory=list)
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    workflows: Rows = field(default_factory=list)
    returns: Rows = field(default_factory=list)
    incidents: Rows = field(default_factory=list)
    tokens: Rows = field(default_factory=list)
    email_rows: Rows = field(default_factory=list)
    mailbox: Rows = field(default_factory=list)
    labels: Rows = field(default_factory=list)
    vendor: Rows = field(default_factory=list)
    enrolled: list[str] = field(default_factory=list)
    """References in the directory that are not revoked."""
    audited: list[str] = field(default_factory=list)
    """Journeys with entries in the audit trail."""
    audit_faults: list[str] = field(default_factory=list)


def of_database(evidence: Evidence, sessions: Sessions) -> None:
    with sessions() as session:
        evidence.journeys = [_columns(row, _JOURNEY) for row in session.scalars(select(JourneyRow))]
        evidence.returns = [_columns(row, _RETURN) for row in session.scalars(select(ReturnRow))]
        evidence.incidents = [_columns(row, _INCIDENT) for row in session.scalars(select(IncidentRow))]
        evidence.email_rows = [_columns(row, _EMAIL) for row in session.scalars(select(EmailRow))]
        held = select(TokenRow).where(TokenRow.journey_id.is_not(None))
        evidence.tokens = [_columns(row, _TOKEN) for row in session.scalars(held)]
        evidence.audited = sorted(session.scalars(select(AuditRow.journey_id).distinct()))
        faults = audit.verify(session)[1]
        evidence.audit_faults = [f"{fault.journey_id} {fault.number}: {fault.what}" for fault in faults]


async def of_parties(evidence: Evidence, http: httpx.AsyncClient, info: dict[str, Any]) -> None:
    evidence.labels = await _listed(http, f"{info['carrier']}/v1/labels", "labels")
    evidence.vendor = await _listed(http, f"{info['vendor']}/v1/tokens", "tokens")
    enrolled = (await http.get(f"{info['directory']}/v1/enrollments")).raise_for_status().json()
    revoked = (await http.get(f"{info['directory']}/v1/revocations")).raise_for_status().json()
    gone = {each["key"] for each in revoked}
    evidence.enrolled = [each["request"]["reference"] for each in enrolled if each["key"] not in gone]


async def of_temporal(evidence: Evidence, client: Client) -> None:
    """A journey that does not answer within half a minute has no state."""
    evidence.workflows = []
    async for one in client.list_workflows('ExecutionStatus = "Running"'):
        described = (await client.get_workflow_handle(one.id, run_id=one.run_id).describe()).raw_description
        evidence.workflows.append(
            {
                "workflow_id": one.id,
                "type": one.workflow_type,
                "task_attempts": described.pending_workflow_task.attempt,
                "stuck": [each.activity_type.name for each in described.pending_activities if each.attempt > 1],
            }
        )
    for row in evidence.journeys:
        handle = client.get_workflow_handle(row["journey_id"])
        try:
            evidence.states[row["journey_id"]] = await asyncio.wait_for(handle.query("status"), 30)
        except (TimeoutError, RPCError, RuntimeError):
            continue


def of_mail(evidence: Evidence, postbox: Postbox) -> None:
    evidence.mailbox = [
        {"message_id": one.message_id, "journey_id": one.journey_id, "letter": one.letter} for one in postbox.received()
    ]


_JOURNEY = (
    *("journey_id", "prescriber_id", "kind", "status", "live", "email", "replaces", "replaced_by", "needs_attention"),
    *("serial_number", "tracking_number", "processed_at", "shipped_at", "delivered_at", "enrolled_at"),
)
_RETURN = ("return_id", "journey_id", "serial_number", "open", "received_at")
_INCIDENT = ("incident_id", "journey_id", "closed_at")
_EMAIL = ("message_id", "journey_id", "letter", "state")
_TOKEN = ("serial_number", "kind", "state", "journey_id")


def _columns(row: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


async def _listed(http: httpx.AsyncClient, url: str, named: str) -> Rows:
    found: Rows = []
    cursor = "0"
    while cursor is not None:
        page = (await http.get(url, params={"after": cursor, "limit": 500})).raise_for_status().json()
        found += page[named]
        cursor = page["next"]
    return found
