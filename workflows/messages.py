"""What people, upstream systems and other journeys send to journeys: one JSON object each, which nothing unknown gets into."""

import unicodedata
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo
from pydantic_core import PydanticCustomError

from domain.address import Address
from domain.journey import Journey
from domain.queue import Reached
from domain.reasons import DeactivationReason
from domain.returning import Return
from domain.status import Kind
from workflows.answers import QueueReport

AS_0_1 = {"as_0_1": True}


def _printable(but: str = "") -> AfterValidator:
    """Refuses control characters, which a database may not hold (PostgreSQL has no NUL) and nobody sees, and halves of characters."""

    def check(text: str, info: ValidationInfo) -> str:
        if info.context != AS_0_1 and any(
            unicodedata.category(character) in ("Cc", "Cs") and character not in but for character in text
        ):
            raise PydanticCustomError("control", "must not contain control characters; type it again without them")
        return text

    return AfterValidator(check)


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), _printable()]

Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500), _printable(but="\n\r\t")]
"""May have several lines."""

Identifier = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]*$"),
]

Reference = Text
"""The id of a journey. One that was started in the UI may have any."""


def _plain_name(name: str) -> str:
    if name.startswith(".") or set(name) & {"/", "\\"} or not name.isprintable():
        raise PydanticCustomError(
            "file_name", "must be the name of a file in the import folder, without folders before it"
        )
    return name


FileName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_plain_name)
]


class Body(BaseModel):
    """What every body has in common: nothing unknown is taken silently."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    example: ClassVar[dict[str, Any]] = {}
    """What to paste, for details, snapshots and refusals."""


class Continued(Body):
    """Starts a workflow that may continue as new. Only that sets `carried`: what it knew as it ended."""

    carried: Any = None

    def carries_of(self, workflow_id: str) -> bool:
        """Whether what is carried can be that workflow's."""
        return True


class TokenRequest(Continued):
    """Starts `TokenJourney`. Email and address default to the account's."""

    prescriber_id: Identifier
    kind: Kind
    email: Text | None = None
    shipping_address: Address | None = None
    replaces: Reference | None = None
    requested_by: Text | None = None
    carried: Journey | None = None
    """Only continue-as-new sets this: the journey as it stood."""
    resume: Text | None = None
    """Only `Reconcile` sets this: the ticket with which a journey that is gone goes on."""

    example: ClassVar[dict[str, Any]] = {"prescriber_id": "P-1001", "kind": "hard"}

    def carries_of(self, workflow_id: str) -> bool:
        return self.carried is not None and self.carried.journey_id == workflow_id


class Edit(Body):
    email: Text | None = None
    shipping_address: Address | None = None
    by: Text | None = None
    if_match: Text | None = None
    """The edition (`domain.journey.edition`) that the sender has seen; edited since, it is refused. The API sets it."""

    example: ClassVar[dict[str, Any]] = {"email": "new.address@example.com", "by": "your name"}
    address_example: ClassVar[dict[str, Any]] = {
        "shipping_address": {
            "name": "practice or person",
            "street1": "number and street",
            "city": "city",
            "state": "MD",
            "postal_code": "21401",
        },
        "by": "your name",
    }


class Cancel(Body):
    reason: Note | None = None
    by: Text | None = None

    example: ClassVar[dict[str, Any]] = {"reason": "no longer wanted", "by": "your name"}


class Process(Body):
    operator: Text
    serial_number: Identifier | None = None

    example: ClassVar[dict[str, Any]] = {"operator": "your name"}


class CarrierEvent(Body):
    tracking_number: Identifier
    status: Literal["pre_transit", "in_transit", "out_for_delivery", "delivered", "failure", "returned"]
    occurred_at: AwareDatetime
    detail: Note | None = None

    example: ClassVar[dict[str, Any]] = {
        "tracking_number": "the parcel's",
        "status": "delivered",
        "occurred_at": "2026-11-24T15:04:00Z",
    }


class VendorEvent(Body):
    event: Literal["provisioned", "activation_email_bounced", "revoked"]
    occurred_at: AwareDatetime

    example: ClassVar[dict[str, Any]] = {"event": "activation_email_bounced", "occurred_at": "2026-11-24T15:04:00Z"}


class DirectoryEvent(Body):
    event: Literal["synced", "rejected"]
    occurred_at: AwareDatetime

    example: ClassVar[dict[str, Any]] = {"event": "synced", "occurred_at": "2026-11-24T15:04:00Z"}


class EnrollHard(Body):
    serial_number: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    passcode: Annotated[str, StringConstraints(min_length=1, max_length=16)] = Field(repr=False)
    link_hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the emailed link that led here; it must be this journey's and valid. A page sets it."""

    example: ClassVar[dict[str, Any]] = {"serial_number": "on the back, below the bar code", "passcode": "six digits"}


class EnrollSoft(Body):
    token_name: Text
    enrollment_ref: Identifier
    link_hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None

    example: ClassVar[dict[str, Any]] = {"token_name": "My phone", "enrollment_ref": "from `tokens simulate app`"}


class Resend(Body):
    by: Text | None = None
    unlock: bool = True
    """The team lifts the lock that ten wrong passcodes have set; false where the holder asks for the link."""

    example: ClassVar[dict[str, Any]] = {"by": "your name"}


class Acknowledge(Body):
    by: Text
    note: Note | None = None

    example: ClassVar[dict[str, Any]] = {"by": "your name", "note": "telephoned the prescriber"}


class Deactivate(Body):
    reason: DeactivationReason | None = None
    confirmed: bool = False
    in_possession: bool = False
    by: Text | None = None
    replaced_by: Reference | None = None
    """The journey of the token that takes its place; only `ReplaceToken` sets this."""

    example: ClassVar[dict[str, Any]] = {
        "reason": "no_longer_needed",
        "confirmed": True,
        "in_possession": True,
        "by": "your name",
    }


class Replacement(Body):
    """Starts `ReplaceToken`. Email and address default to the account's."""

    journey_id: Reference
    prescriber_id: Identifier | None = None
    """Whose token it is, where the sender knows; anybody else's is refused."""
    reason: DeactivationReason | None = None
    in_possession: bool = False
    confirmed: bool = False
    email: Text | None = None
    shipping_address: Address | None = None
    requested_by: Text | None = None

    example: ClassVar[dict[str, Any]] = {
        "journey_id": "token-hard-…",
        "reason": "faulty",
        "in_possession": True,
        "confirmed": True,
        "requested_by": "your name",
    }


class ReturnRequest(Body):
    """Starts `ReturnByMail`."""

    journey_id: Reference
    serial_number: Identifier
    sent_back: bool = False
    """The carrier could not deliver the token and brings it back: it is awaited, and the prescriber not asked for it."""
    received_by: Text | None = None
    """Given where the device has come already, unannounced: the return is closed at once."""
    condition: Note | None = None
    resume: Text | None = None
    """Only `Reconcile` sets this."""

    example: ClassVar[dict[str, Any]] = {"journey_id": "token-hard-…", "serial_number": "HT-…"}


class Received(Body):
    serial_number: Identifier
    condition: Note | None = None
    received_by: Text

    example: ClassVar[dict[str, Any]] = {"serial_number": "HT-…", "condition": "intact", "received_by": "your name"}


class IncidentReport(Body):
    """Starts `SecurityIncident`."""

    journey_id: Reference
    reason: Literal[DeactivationReason.LOST, DeactivationReason.STOLEN] = DeactivationReason.LOST
    reported_at: AwareDatetime | None = None
    """When the loss was reported, which starts the clock. Left out, or later than now: now."""
    resume: Text | None = None
    """Only `Reconcile` sets this."""

    example: ClassVar[dict[str, Any]] = {"journey_id": "token-hard-…", "reason": "lost"}


class Close(Body):
    by: Text
    note: Note | None = None

    example: ClassVar[dict[str, Any]] = {"by": "your name", "note": "reported to the DEA and the practice"}


class Leaving(Body):
    """Starts `DeactivateAll`."""

    prescriber_id: Identifier
    reason: DeactivationReason = DeactivationReason.NO_LONGER_NEEDED
    confirmed: bool = False
    by: Text

    example: ClassVar[dict[str, Any]] = {
        "prescriber_id": "P-1001",
        "reason": "no_longer_needed",
        "confirmed": True,
        "by": "your name",
    }


class Underway(BaseModel):
    """A run of `ProcessQueue` that continues as new."""

    report: QueueReport
    reached: Reached


MOST_AT_ONCE = 2000
"""Requests in one run of `ProcessQueue`: their outcomes make one payload."""


class QueueOrder(Continued):
    """Starts `ProcessQueue`. Without `kind` it takes both, without `limit` all that wait, up to `MOST_AT_ONCE`."""

    operator: Text
    kind: Kind | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_AT_ONCE)] | None = None
    carried: Underway | None = None

    example: ClassVar[dict[str, Any]] = {"operator": "your name", "kind": "hard", "limit": 20}


MOST_REPAIRS = 1000


class ReconcileOrder(Body):
    """Starts `Reconcile`."""

    limit: Annotated[int, Field(ge=0, le=MOST_REPAIRS)] | None = None
    """How many repairs this run may make; left out: the policy's figure. 0: it only looks."""

    example: ClassVar[dict[str, Any]] = {"limit": 200}


class DigestOrder(Body):
    """Starts `DailyDigest`: an email to the team with all that waits. One a day, however often it is started."""

    example: ClassVar[dict[str, Any]] = {}


class ImportRequest(Body):
    """Starts `ImportTokens`. Left out, the format is recognised; without `partial`, one bad row refuses the file."""

    file: FileName
    format: Literal["oath-csv", "yubico", "safenet-xml", "pskc"] | None = None
    partial: bool = False
    imported_by: Text

    example: ClassVar[dict[str, Any]] = {"file": "H-2026-02.csv", "imported_by": "your name"}


RETURN_BODIES: dict[str, type[Body]] = {
    "received": Received,
    "carrier_event": CarrierEvent,
    "acknowledge": Acknowledge,
}
"""The messages of `ReturnByMail` and what each takes."""

INCIDENT_BODIES: dict[str, type[Body]] = {"close": Close, "acknowledge": Acknowledge}
"""The messages of `SecurityIncident` and what each takes."""

BODIES: dict[str, type[Body]] = {
    "edit": Edit,
    "process": Process,
    "cancel": Cancel,
    "carrier_event": CarrierEvent,
    "resend_activation": Resend,
    "enroll_hard": EnrollHard,
    "enroll_soft": EnrollSoft,
    "deactivate": Deactivate,
    "vendor_event": VendorEvent,
    "directory_event": DirectoryEvent,
    "acknowledge": Acknowledge,
}
"""The messages of `TokenJourney` and what each takes."""

DESCRIPTIONS: dict[str, str] = {
    "edit": "Change email or shipping address, until the request is processed",
    "process": "The request has been processed: take the next token in stock, or the serial that was scanned",
    "cancel": "Cancel the request, until the token is active",
    "carrier_event": "What the carrier says of the parcel",
    "resend_activation": "Send a fresh activation link and end the older ones",
    "enroll_hard": "Enrol a hard token by its serial number and a passcode",
    "enroll_soft": "Enrol a soft token by its name; the PIN was stored before and is named by its reference",
    "deactivate": "Deactivate an active token; a hard one needs a reason",
    "vendor_event": "What the vendor says of the token or of its email; it moves nothing, but may need a person",
    "directory_event": "Surescripts has news of the token: the directory is asked at once",
    "received": "The mail room has the token: serial number and condition close the return",
    "close": "The loss has been reported: who says so closes the incident",
    "acknowledge": "A person has seen to what needs attention, and nothing else takes it back",
    "record_again": "Write everything into the database again; `Reconcile` sends it after a backup was restored",
}


def example(name: str, journey: Journey) -> dict[str, Any]:
    """The JSON to paste for the message `name`, with this journey's own numbers in it."""
    body = dict(BODIES[name].example)
    if name == "deactivate" and journey.kind is Kind.SOFT:
        body = {"confirmed": True, "by": "your name"}
    for field, value in (("tracking_number", journey.tracking_number), ("serial_number", journey.serial_number)):
        if field in body and value and name == "carrier_event":
            body[field] = value
    return body


def return_example(name: str, state: Return) -> dict[str, Any]:
    """The JSON to paste for the message `name`, with this return's own numbers in it."""
    body = dict(RETURN_BODIES[name].example)
    numbers = {"serial_number": state.serial_number, "tracking_number": state.tracking_number}
    return body | {field: value for field, value in numbers.items() if field in body and value}
