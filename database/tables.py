"""The tables. What lists are read from and what outlives a journey; the workflow is what decides."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, ForeignKey, Index, LargeBinary, String, Text, TypeDecorator, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, stored in UTC. SQLite keeps no offset, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without an offset can't be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON, bytes: LargeBinary, str: String(255)}  # noqa: RUF012


class Practice(Base):
    __tablename__ = "practices"

    practice_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    time_zone: Mapped[str]


class Prescriber(Base):
    __tablename__ = "prescribers"

    prescriber_id: Mapped[str] = mapped_column(primary_key=True)
    practice_id: Mapped[str] = mapped_column(ForeignKey("practices.practice_id"))
    name: Mapped[str]
    email: Mapped[str]
    npi: Mapped[str]
    dea_number: Mapped[str]
    address: Mapped[dict[str, Any]]
    id_proofed: Mapped[bool]
    """One-time ID proofing is complete (article, first paragraph)."""


class PrescribingDevice(Base):
    """A device that prescriptions are sent from: no soft token may live on it."""

    __tablename__ = "prescribing_devices"

    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    prescriber_id: Mapped[str] = mapped_column(ForeignKey("prescribers.prescriber_id"), index=True)
    name: Mapped[str]


class JourneyRow(Base):
    """One token's journey as lists show it; written by the journey itself, never by anybody else."""

    __tablename__ = "journeys"
    __table_args__ = (
        # One live token per prescriber and kind, whoever starts it, from wherever.
        Index(
            "one_live_token",
            "prescriber_id",
            "kind",
            unique=True,
            sqlite_where=text("live"),
            postgresql_where=text("live"),
        ),
        Index("journeys_by_status", "status", "requested_at"),
        Index("journeys_by_request", "requested_at", "journey_id"),
        Index("journeys_by_activation", "active_at"),
        Index("journeys_due", "action_due_by", sqlite_where=text("live"), postgresql_where=text("live")),
        Index(
            "journeys_needing_attention",
            "requested_at",
            "journey_id",
            sqlite_where=text("needs_attention is not null"),
            postgresql_where=text("needs_attention is not null"),
        ),
    )

    journey_id: Mapped[str] = mapped_column(primary_key=True)
    first_run_id: Mapped[str]
    """Tells a retry of this journey's own admission from another workflow that took the same id."""
    prescriber_id: Mapped[str] = mapped_column(ForeignKey("prescribers.prescriber_id"), index=True)
    kind: Mapped[str]
    status: Mapped[str]
    live: Mapped[bool]
    email: Mapped[str]
    shipping_address: Mapped[dict[str, Any] | None]
    requested_by: Mapped[str | None]
    replaces: Mapped[str | None]
    replaced_by: Mapped[str | None]
    serial_number: Mapped[str | None] = mapped_column(index=True)
    tracking_number: Mapped[str | None] = mapped_column(index=True)
    needs_attention: Mapped[str | None] = mapped_column(Text)
    action_due_by: Mapped[datetime | None]
    requested_at: Mapped[datetime]
    processed_at: Mapped[datetime | None]
    shipped_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    enrolled_at: Mapped[datetime | None]
    active_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    promises: Mapped[list[Any]] = mapped_column(JSON)
    policy: Mapped[dict[str, Any] | None]
    """The figures that the journey started with; passcodes are judged by them after it is active, too."""


class ReplacementRow(Base):
    """One token's replacement: written before the old token is touched, finished when the new request is recorded. In
    between it keeps the prescriber's place for the new one."""

    __tablename__ = "replacements"
    __table_args__ = (Index("replacements_of_prescriber", "prescriber_id", "kind"),)

    journey_id: Mapped[str] = mapped_column(primary_key=True)
    """The token that is replaced."""
    workflow_id: Mapped[str]
    run_id: Mapped[str]
    """Tells a retry of this replacement's own claim from another one that took the same id."""
    successor_id: Mapped[str] = mapped_column(unique=True)
    """The journey of the new token."""
    prescriber_id: Mapped[str]
    kind: Mapped[str]
    reason: Mapped[str | None]
    requested_by: Mapped[str | None]
    email: Mapped[str | None]
    """Given for the new token in the account's place; kept, as the address is, until that is requested."""
    shipping_address: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    claimed_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class ReturnRow(Base):
    """One token's return by mail; written by the return itself."""

    __tablename__ = "returns"
    __table_args__ = (
        # A serial is awaited once at a time.
        Index(
            "one_open_return", "serial_number", unique=True, sqlite_where=text("open"), postgresql_where=text("open")
        ),
    )

    first_run_id: Mapped[str] = mapped_column(primary_key=True)
    return_id: Mapped[str] = mapped_column(index=True)
    """The same again where a token that was written off turns up after all."""
    journey_id: Mapped[str] = mapped_column(index=True)
    """The token's journey."""
    serial_number: Mapped[str]
    status: Mapped[str]
    open: Mapped[bool]
    tracking_number: Mapped[str | None] = mapped_column(index=True)
    needs_attention: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime]
    return_by: Mapped[datetime]
    received_at: Mapped[datetime | None]
    received_by: Mapped[str | None]
    condition: Mapped[str | None] = mapped_column(Text)
    written_off_at: Mapped[datetime | None]


class IncidentRow(Base):
    """A lost or stolen token that has to be reported; written by the incident itself."""

    __tablename__ = "incidents"

    incident_id: Mapped[str] = mapped_column(primary_key=True)
    first_run_id: Mapped[str]
    journey_id: Mapped[str] = mapped_column(index=True)
    """The token's journey."""
    prescriber_id: Mapped[str]
    serial_number: Mapped[str | None]
    reason: Mapped[str]
    status: Mapped[str]
    opened_at: Mapped[datetime]
    due_at: Mapped[datetime]
    due_day: Mapped[str]
    """In the practice's zone, ISO 8601."""
    calendar: Mapped[str]
    """Whose business days the clock counts, and in which zone."""
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None]


class PromiseRow(Base):
    """Something that was promised, of a journey, a return or an incident; written with it."""

    __tablename__ = "promises"
    __table_args__ = (
        # All that a report asks, so that it reads nothing else.
        Index("promises_by_due", "what", "due", "met_at", "ended_at", "broken", "number"),
    )

    run_id: Mapped[str] = mapped_column(primary_key=True)
    """The first run of the workflow that promised it."""
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    journey_id: Mapped[str] = mapped_column(index=True)
    """The token's journey."""
    what: Mapped[str]
    due: Mapped[datetime]
    met_at: Mapped[datetime | None]
    broken: Mapped[str | None]
    """Why it could not be kept, cut to fit."""
    ended_at: Mapped[datetime | None]
    """When its journey ended without it: from then on nobody owed it."""


class TokenRow(Base):
    """A hard token in stock or in use, or a soft token once it is enrolled. Holds the encrypted seed."""

    __tablename__ = "tokens"
    __table_args__ = (
        Index("tokens_in_stock", "kind", "state", "taken_in_at", "serial_number"),
        Index("tokens_by_batch", "kind", "batch", "state"),
    )

    serial_number: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    batch: Mapped[str]
    state: Mapped[str]
    """in_stock, assigned, shipped, active, coming_back, returned, written_off, destroyed or, soft, revoked."""
    journey_id: Mapped[str | None] = mapped_column(unique=True)
    """The journey that holds it; one holder at any time."""
    name: Mapped[str | None]
    """What the prescriber calls a soft token."""
    algorithm: Mapped[str]
    digits: Mapped[int]
    digest: Mapped[str]
    period: Mapped[int]
    """Seconds of a TOTP step; 0 for HOTP."""
    seed: Mapped[bytes]
    """Sealed (AES-256-GCM, see `database.sealing`)."""
    taken_in_at: Mapped[datetime]

    # What RFC 4226 section 7 asks to be kept; written in one transaction with the acceptance.
    counter: Mapped[int] = mapped_column(default=0)
    drift: Mapped[int] = mapped_column(default=0, server_default="0")
    """TOTP: by how many steps the device's clock was found to be ahead at the last resynchronisation (RFC 6238, section 6)."""
    resync_at: Mapped[int | None]
    failures: Mapped[int] = mapped_column(default=0)
    failures_in_a_row: Mapped[int] = mapped_column(default=0)
    """Not cleared by a new link, only by an accepted passcode."""
    last_failure_at: Mapped[datetime | None]
    locked: Mapped[bool] = mapped_column(default=False)
    last_attempt: Mapped[str | None]
    """The attempt judged last and its verdict, so that a retried activity gets the same answer, not a replay."""
    last_verdict: Mapped[dict[str, Any] | None]


class ImportRow(Base):
    """One run of `ImportTokens`: how far it has come, and what came of it."""

    __tablename__ = "imports"

    import_id: Mapped[str] = mapped_column(primary_key=True)
    """The workflow's run."""
    workflow_id: Mapped[str] = mapped_column(index=True)
    file: Mapped[str]
    fingerprint: Mapped[str]
    """SHA-256 of the file, so that a resumed import goes on in the same one."""
    format: Mapped[str]
    partial: Mapped[bool]
    imported_by: Mapped[str]
    rows_read: Mapped[int]
    taken: Mapped[int]
    refused: Mapped[int]
    started_at: Mapped[datetime]
    touched_at: Mapped[datetime | None]
    """On the real clock: what nobody has touched for long and has not ended was abandoned. None: an older release has begun it."""
    ended_at: Mapped[datetime | None]


class ImportedToken(Base):
    """A good row that waits for its file to be read to the end; what is taken moves to `tokens` in one transaction."""

    __tablename__ = "imported_tokens"

    import_id: Mapped[str] = mapped_column(primary_key=True)
    serial_number: Mapped[str] = mapped_column(primary_key=True)
    line: Mapped[int]
    batch: Mapped[str]
    algorithm: Mapped[str]
    digits: Mapped[int]
    digest: Mapped[str]
    period: Mapped[int]
    seed: Mapped[bytes]
    """Sealed, as in `tokens`."""
    counter: Mapped[int]


class ImportRefusal(Base):
    """A row that was not taken."""

    __tablename__ = "import_refusals"

    import_id: Mapped[str] = mapped_column(primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    serial_number: Mapped[str | None]
    reason: Mapped[str]


class StockAlert(Base):
    """The team has been told that this kind of token, or this batch of it, runs low; gone when there are enough again."""

    __tablename__ = "stock_alerts"

    kind: Mapped[str] = mapped_column(primary_key=True)
    batch: Mapped[str] = mapped_column(primary_key=True)
    """Empty: all batches of the kind together."""
    journey_id: Mapped[str]
    """The journey that took the token with which it ran low: the one that tells the team."""
    raised_at: Mapped[datetime]


class ApiKey(Base):
    """What an upstream system shows to the gateway. The key itself is kept nowhere."""

    __tablename__ = "api_keys"

    key_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    """The system that holds it."""
    scopes: Mapped[list[Any]] = mapped_column(JSON)
    key_hash: Mapped[str]
    """SHA-256: the key is random and long, so that a slow hash would add nothing."""
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class WebhookEvent(Base):
    """What a sender has told by webhook: remembered, so that a repeat is known, and kept until somebody waits for it. No names,
    addresses or free texts; cut after `TOKENS_WEBHOOK_RETENTION_DAYS`."""

    __tablename__ = "webhook_events"
    __table_args__ = (
        Index(
            "webhook_events_waiting",
            "next_try_at",
            sqlite_where=text("passed_on_at is null"),
            postgresql_where=text("passed_on_at is null"),
        ),
    )

    event_key: Mapped[str] = mapped_column(primary_key=True)
    """SHA-256 of sender, parcel or journey, status and time: an event is the same whatever envelope it comes in."""
    sender: Mapped[str]
    message: Mapped[str]
    """The signal by which a journey is told."""
    tracking_number: Mapped[str | None] = mapped_column(index=True)
    journey_id: Mapped[str | None] = mapped_column(index=True)
    """Where the sender names the journey itself: the vendor, Surescripts."""
    status: Mapped[str]
    detail: Mapped[str | None]
    """The sender's code for the status, never its words."""
    occurred_at: Mapped[datetime]
    received_at: Mapped[datetime] = mapped_column(index=True)
    passed_on_at: Mapped[datetime | None]
    """When a journey was told; None: nobody waits for it yet."""
    next_try_at: Mapped[datetime]


class IdempotentRequest(Base):
    """A POST that came with an `Idempotency-Key`: what it was, and the answer that its repetitions get. Kept for a day or so."""

    __tablename__ = "idempotent_requests"

    caller: Mapped[str] = mapped_column(primary_key=True)
    """The caller's key id."""
    idempotency_key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    """HMAC-SHA256 over method, path and body with the caller's secret, which is kept nowhere: a body may hold a PIN."""
    request_id: Mapped[str]
    """What the ids of workflows and updates follow from, so that doing it again does it once."""
    came_at: Mapped[datetime] = mapped_column(index=True)
    claimed_at: Mapped[datetime | None]
    """Somebody works on it since; None: nobody does."""
    status: Mapped[int | None]
    """The HTTP status, when it is done; None: it is not."""
    headers: Mapped[dict[str, Any] | None]
    body: Mapped[str | None] = mapped_column(Text)
    """The answer as it was sent. Answers to POSTs hold no name, email or address."""


class LaunchRow(Base):
    """A launch token that has been used: none is taken twice, by whichever copy of the gateway."""

    __tablename__ = "launches"

    launch_hash: Mapped[str] = mapped_column(primary_key=True)
    """SHA-256 of issuer and `jti`."""
    expires_at: Mapped[datetime] = mapped_column(index=True)
    """From then on the token is refused by its age, and the row can go."""


class SessionRow(Base):
    """A prescriber at the pages. The id that the browser shows is kept as a hash only."""

    __tablename__ = "page_sessions"

    session_hash: Mapped[str] = mapped_column(primary_key=True)
    prescriber_id: Mapped[str] = mapped_column(ForeignKey("prescribers.prescriber_id"), index=True)
    pin_validated: Mapped[bool]
    """The EHR says that the PIN has been validated (article, "Activate a Token")."""
    device: Mapped[str | None]
    """Fingerprint of the device at which the EHR runs."""
    signed_on_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    """The end, however busy it is."""
    ended_at: Mapped[datetime | None]


class OperatorSession(Base):
    """An operator in a browser, signed in with an API key. It ends at the latest when that key is revoked. The id that the
    browser shows is kept as a hash only."""

    __tablename__ = "operator_sessions"

    session_hash: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.key_id"), index=True)
    signed_in_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    """The end, however busy it is."""
    ended_at: Mapped[datetime | None]


class SoftEnrollment(Base):
    """What a prescriber has typed for a soft token, kept before Temporal hears of it: only its reference travels."""

    __tablename__ = "soft_enrollments"

    enrollment_ref: Mapped[str] = mapped_column(primary_key=True)
    journey_id: Mapped[str] = mapped_column(index=True)
    pin_hash: Mapped[str]
    """argon2id over the PIN with the server's pepper."""
    seed: Mapped[bytes | None]
    """Sealed; gone as soon as the token is linked, whose row has it then."""
    device: Mapped[str | None]
    stored_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class ActivationLink(Base):
    """An emailed link, kept as a hash."""

    __tablename__ = "activation_links"

    link_hash: Mapped[str] = mapped_column(primary_key=True)
    journey_id: Mapped[str] = mapped_column(index=True)
    message_id: Mapped[str]
    issued_at: Mapped[datetime]
    valid_until: Mapped[datetime | None]
    """None: open until the parcel is delivered."""
    ended_at: Mapped[datetime | None]
    ended_because: Mapped[str | None]
    """superseded, used or withdrawn."""


class EmailRow(Base):
    """Written before sending and again after it, so that one step sends one email whatever is retried."""

    __tablename__ = "emails"

    message_id: Mapped[str] = mapped_column(primary_key=True)
    journey_id: Mapped[str] = mapped_column(index=True)
    letter: Mapped[str]
    recipient: Mapped[str]
    state: Mapped[str]
    """sending, sent or refused."""
    composed_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    sealed_message: Mapped[bytes | None]
    """The exact message while it is unsent (it may hold a link), so that a retry sends the same one; then wiped."""
    refusal: Mapped[str | None] = mapped_column(Text)


class AuditRow(Base):
    """Append-only. Each row holds the hash of the one before it in the same journey's chain. What may name people (`by`, the
    words after the first ": " of `what`, `refused`) is under salted commitments, so that it can be erased."""

    __tablename__ = "audit"

    journey_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    entry: Mapped[str] = mapped_column(unique=True)
    """The journey's own key for it, which makes writing it twice harmless."""
    at: Mapped[datetime]
    what: Mapped[str] = mapped_column(Text)
    by: Mapped[str | None]
    status: Mapped[str]
    message: Mapped[str | None]
    refused: Mapped[str | None] = mapped_column(Text)
    previous: Mapped[str]
    hash: Mapped[str]
    version: Mapped[int] = mapped_column(default=2, server_default="1")
    """How the hash is worked out (`database.audit_hash`). Workers of 0.1.0 know nothing of it and write 1."""
    commitments: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """Field to the salted digest of its text; stays when the text goes."""
    salts: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """Field to its salt; goes with the text."""
    facts: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """What a machine reads of it: an erasure, a purge, a restore."""


class AuditHead(Base):
    """The end of each journey's chain, kept outside the trail so that a cut-off row is missed."""

    __tablename__ = "audit_heads"

    journey_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]
    hash: Mapped[str]


class AuditPurge(Base):
    """Where a chain begins whose rows were removed because they are older than they have to be kept."""

    __tablename__ = "audit_purges"

    journey_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    """The last row that was removed."""
    hash: Mapped[str]
    """Its hash, from which the next row follows."""
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    purge_id: Mapped[str] = mapped_column(index=True)
    """The purge; its entry in the trail's own chain names a digest over all that it removed."""
    purged_at: Mapped[datetime]


class ResumptionRow(Base):
    """`Reconcile` lets a workflow that is gone go on under its id: what it starts takes its state from the records, and only
    with this ticket. One for each workflow at a time."""

    __tablename__ = "resumptions"

    workflow_id: Mapped[str] = mapped_column(primary_key=True)
    ticket_hash: Mapped[str]
    """SHA-256 of what the workflow shows; random, and kept nowhere else."""
    how: Mapped[str]
    why: Mapped[str] = mapped_column(Text)
    """What became of the run before, in words."""
    offered_at: Mapped[datetime]
    taken_by: Mapped[str | None]
    """The run that has taken it, which may ask again; nobody else."""


class FindingRow(Base):
    """What `Reconcile` has found: one row for each matter, however often it is found."""

    __tablename__ = "findings"
    __table_args__ = (Index("findings_by_run", "run_id", "repaired"),)

    about: Mapped[str] = mapped_column(primary_key=True)
    """A journey, return, incident, replacement, serial, or an outside party's own key."""
    matter: Mapped[str] = mapped_column(primary_key=True)
    what: Mapped[str] = mapped_column(Text)
    then: Mapped[str] = mapped_column(Text)
    """What was done about it; where a person is needed, what that person should do."""
    repaired: Mapped[bool]
    first_found_at: Mapped[datetime]
    found_at: Mapped[datetime]
    run_id: Mapped[str]
    """The latest run that has found it."""
