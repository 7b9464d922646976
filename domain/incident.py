"""The state of one security incident: a lost or stolen token, to be reported within one business day.

21 CFR 1311.102(d): the practitioner must tell of a lost, stolen or compromised token within one business day of finding
out. 21 CFR 1311.150: security incidents go to the application's provider and to the DEA within one business day.
"""

from datetime import datetime
from enum import StrEnum

from domain.chronicle import Chronicle
from domain.policy import Policy
from domain.reasons import DeactivationReason
from domain.status import Kind


class IncidentStatus(StrEnum):
    """Exactly the values of the search attribute `IncidentStatus`."""

    OPEN = "Open"
    OVERDUE = "Overdue"
    CLOSED = "Closed"


class Incident(Chronicle):
    """What is known of one incident. Times are UTC; `calendar` says whose business days they were counted in."""

    incident_id: str
    kind: Kind
    status: IncidentStatus = IncidentStatus.OPEN
    policy: Policy = Policy()
    reason: DeactivationReason
    serial_number: str | None = None
    opened_at: datetime | None = None
    due_at: datetime | None = None
    due_day: str | None = None
    """The day on which the report falls due, in the practice's zone (ISO 8601)."""
    calendar: str | None = None
    closed_at: datetime | None = None
    closed_by: str | None = None

    @property
    def ended(self) -> bool:
        return self.status is IncidentStatus.CLOSED
