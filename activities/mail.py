"""Email: one per step, whatever is retried."""

import hashlib
import secrets
import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.policy import SMTP
from email.utils import parseaddr
from pathlib import Path
from typing import Any, Literal, TypeGuard
from urllib.parse import urlencode

from pydantic import BaseModel
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from temporalio import activity
from temporalio.exceptions import ApplicationError, CancelledError

from activities.beating import Beating
from activities.letters.catalogue import LETTERS
from activities.letters.composing import LetterError, compose
from activities.mail_limits import Limits
from activities.metrics import EMAILS
from database.engine import Sessions
from database.sealing import Seal
from database.tables import ActivationLink, EmailRow, JourneyRow, Practice, Prescriber, TokenRow
from domain.address import Address
from domain.calendar import business_deadline
from domain.chronicle import Letter
from domain.policy import Policy
from domain.reasons import LOSS

GIVE_UP_AFTER = timedelta(days=4, hours=12)
"""A recipient that the server puts off again and again, such as a full mailbox (RFC 5321, 4.5.4.1: four to five days)."""
_CLOSING = 421
"""Said instead of an answer about the recipient: the server itself goes away."""


class Mailing(BaseModel):
    """Letters about one token, in their order. A return or an incident, which may come more than once over the same token,
    says its own id and run."""

    journey_id: str
    letters: list[Letter]
    at: datetime | None = None
    """The journey's time as it asks, UTC; None: by Temporal's word for the attempt, which tells it within a regular activity."""
    workflow_id: str | None = None
    run_id: str | None = None
    may_defer: bool = False
    """Whoever asks understands `MailReport.deferred`."""


class MailReport(BaseModel):
    """What became of each step: sent, refused by the mail server for good, or not taken for its recipient for now."""

    sent: list[str]
    refused: list[str]
    deferred: list[str] = []


@dataclass(frozen=True)
class Relay:
    """The mail server that takes our letters. `tls`: none, STARTTLS before anything else is said (RFC 3207), or within TLS from
    the beginning (RFC 8314, 3.3). Its certificate must be good for `host`, by this machine's authorities or those in `ca_file`
    (PEM). `user`: empty, nobody signs in. `timeout` in seconds."""

    host: str
    port: int
    tls: Literal["none", "starttls", "implicit"] = "none"
    ca_file: Path | None = None
    user: str = ""
    password: str = field(default="", repr=False)
    timeout: float = 10

    def connect(self, within: float | None = None) -> smtplib.SMTP:
        """A connection, signed in, to be left by `with`. `within`: seconds for each answer where they are fewer than usual.
        Raises OSError (ssl.SSLError for a certificate that is not good), smtplib.SMTPException."""
        timeout = self.timeout if within is None else min(within, self.timeout)
        if self.tls == "none":
            return smtplib.SMTP(self.host, self.port, timeout=timeout)
        trusted = ssl.create_default_context(cafile=self.ca_file)
        if self.tls == "implicit":
            server = smtplib.SMTP_SSL(self.host, self.port, timeout=timeout, context=trusted)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=timeout)
        try:
            if self.tls == "starttls":
                server.starttls(context=trusted)
            if self.user:
                server.login(self.user, self.password)
        except BaseException:
            server.close()
            raise
        return server


@dataclass(frozen=True)
class Route:
    """Where mail is handed over, who sends it, and where its links lead."""

    relay: Relay
    sender: str
    vendor_sender: str
    team: str
    message_id_domain: str
    public_url: str
    journey_url: Callable[[str], str]
    carrier_name: str
    return_address: Address
    team_url: str
    """Where the team finds all journeys."""
    team_zone: str


class Mail:
    """Given the database, the seal for unsent mail, and the route."""

    def __init__(self, sessions: Sessions, seal: Seal, route: Route) -> None:
        self._sessions = sessions
        self._seal = seal
        self._route = route

    # Torn away between the server's 250 and the record of it, a letter would go out twice.
    @activity.defn(name="mail.send", no_thread_cancel_exception=True)
    def send(self, mailing: Mailing) -> MailReport:
        """Records each letter, sends it, records that it was sent.

        A letter that is recorded as sent is never sent again. One whose sending broke off is sent again as the same
        bytes under the same Message-ID. One whose recipient is put off (4xx) holds up no other: it is `deferred`, and refused
        after `GIVE_UP_AFTER`. Raises when the mail server can't be reached, asks to come later or is slow; letters
        that could be sent by then stay sent. Cancelled, it ends with the letter in hand and raises CancelledError.
        """
        with self._sessions.begin() as session:
            pending = [self._recorded(session, mailing, letter) for letter in mailing.letters]
        report = MailReport(sent=[], refused=[])
        failure: str | None = None
        here, at = activity.info().is_local, _now(mailing)
        limits = Limits(here=here)
        with nullcontext() if here else Beating():
            for letter, row in zip(mailing.letters, pending, strict=True):
                if activity.is_cancelled():
                    raise CancelledError("letters are left")
                if row.state == "sending":
                    try:
                        self._deliver(row, limits, at)
                    except (OSError, smtplib.SMTPException) as fault:
                        if not (mailing.may_defer and _puts_off(fault)):
                            failure = failure or type(fault).__name__
                            EMAILS.labels(letter.letter, "not taken").inc()
                            continue
                        if at - letter.at < GIVE_UP_AFTER:
                            report.deferred.append(letter.step)
                            EMAILS.labels(letter.letter, "not taken").inc()
                            continue
                        self._settle(row, f"the mail server has put the recipient off for days ({_code_of(fault)})", at)
                    EMAILS.labels(letter.letter, row.state).inc()
                (report.sent if row.state == "sent" else report.refused).append(letter.step)
        if failure:
            raise ApplicationError(f"the mail server did not take every letter ({failure})", type="MailNotTaken")
        return report

    def _recorded(self, session: Session, mailing: Mailing, letter: Letter) -> EmailRow:
        """The letter's row; a new one holds the composed message, sealed, until it is sent."""
        journey_id = mailing.journey_id
        occasion = f"{journey_id}\n{mailing.run_id}" if mailing.run_id else journey_id
        digest = hashlib.sha256(f"{occasion}\n{letter.step}".encode()).hexdigest()[:32]
        message_id = f"<{digest}@{self._route.message_id_domain}>"
        row = session.get(EmailRow, message_id)
        if row is not None:
            return row
        facts = dict(letter.facts)
        if letter.link:
            facts["link"] = self._fresh_link(session, journey_id, message_id, letter)
        try:
            message = self._compose(session, mailing, message_id, letter, facts)
        except LetterError as fault:
            # One letter that can't be written must not hold up the others; the journey asks for a person.
            row = EmailRow(
                message_id=message_id,
                journey_id=journey_id,
                letter=letter.letter,
                recipient="",
                state="refused",
                composed_at=letter.at,
                refusal=str(fault),
            )
            session.add(row)
            return row
        row = EmailRow(
            message_id=message_id,
            journey_id=journey_id,
            letter=letter.letter,
            recipient=parseaddr(str(message["To"]))[1],
            state="sending",
            composed_at=letter.at,
            sealed_message=self._seal.close(message.as_bytes(policy=message.policy.clone(linesep="\r\n")), message_id),
        )
        session.add(row)
        return row

    def _fresh_link(self, session: Session, journey_id: str, message_id: str, letter: Letter) -> str:
        """A new random link, of which only the hash is kept; what becomes of the older ones is the letter's order."""
        older = (
            update(ActivationLink)
            .where(ActivationLink.journey_id == journey_id, ActivationLink.ended_at.is_(None))
            .execution_options(synchronize_session=False)
        )
        if letter.older_links == "end":
            session.execute(older.values(ended_at=letter.at, ended_because="superseded"))
        elif letter.older_links == "extend":
            session.execute(older.values(valid_until=letter.link_valid_until))
        if letter.unlocks:
            # The count in a row stands, and the wait that goes by it.
            session.execute(update(TokenRow).where(TokenRow.journey_id == journey_id).values(locked=False, failures=0))
        secret = secrets.token_urlsafe(24)
        session.add(
            ActivationLink(
                link_hash=hashlib.sha256(secret.encode()).hexdigest(),
                journey_id=journey_id,
                message_id=message_id,
                issued_at=letter.at,
                valid_until=letter.link_valid_until,
            )
        )
        return f"{self._route.public_url}/activate/{secret}"

    def _compose(
        self, session: Session, mailing: Mailing, message_id: str, letter: Letter, facts: dict[str, Any]
    ) -> EmailMessage:
        journey_id = mailing.journey_id
        if letter.letter in LETTERS and not LETTERS[letter.letter].about_token:
            return compose(
                letter.letter,
                to=self._route.team,
                sender=self._route.sender,
                message_id=message_id,
                at=letter.at,
                zone=self._route.team_zone,
                facts={"ui_url": self._route.team_url, **facts},
            )
        journey = session.get_one(JourneyRow, journey_id)
        prescriber = session.get_one(Prescriber, journey.prescriber_id)
        practice = session.get_one(Practice, prescriber.practice_id)
        kind_of_letter = LETTERS.get(letter.letter)
        if kind_of_letter is None:
            raise LetterError(f"There is no letter named {letter.letter!r}.")
        audience = kind_of_letter.audience
        manage_url = f"{self._route.public_url}/manage-tokens"
        known = {
            "journey_id": journey_id,
            "kind": journey.kind,
            "status": journey.status,
            "prescriber_name": prescriber.name,
            "practice_name": practice.name,
            "address": journey.shipping_address,
            "serial_number": journey.serial_number,
            "tracking_number": journey.tracking_number,
            "requested_at": journey.requested_at,
            "ships_on": journey.shipped_at,
            "waiting_since": journey.requested_at,
            "due_at": journey.action_due_by,
            "valid_until": letter.link_valid_until,
            "carrier_name": self._route.carrier_name,
            "manage_url": manage_url,
            "request_url": f"{manage_url}?{urlencode({'request': journey.kind, 'replaces': journey_id})}",
            "ui_url": self._route.journey_url(mailing.workflow_id or journey_id),
            "return_address": self._route.return_address,
            "sync_minutes": _policy_of(journey).sync_promise_minutes,
        }
        if letter.letter == "deactivated" and facts.get("reason") in LOSS:
            known["report_by"] = business_deadline(
                letter.at, _policy_of(journey).incident_business_days, practice.time_zone
            )
        return compose(
            letter.letter,
            to=self._route.team if audience == "team" else journey.email,
            sender=self._route.vendor_sender if audience == "vendor_to_prescriber" else self._route.sender,
            message_id=message_id,
            at=letter.at,
            zone=practice.time_zone,
            facts={name: fact for name, fact in {**known, **facts}.items() if fact is not None},
        )

    def _deliver(self, row: EmailRow, limits: Limits, at: datetime) -> None:
        assert row.sealed_message is not None
        content = self._seal.open(row.sealed_message, row.message_id)
        sender = parseaddr(str(BytesHeaderParser(policy=SMTP).parsebytes(content)["From"]))[1]
        refusal = None
        with self._server(limits) as server:
            try:
                server.sendmail(sender, [row.recipient], content)
            except smtplib.SMTPRecipientsRefused as fault:
                code = _code_of(fault)
                if code < 500:
                    raise
                refusal = f"the mail server refuses the recipient ({code})"
            except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as fault:
                if fault.smtp_code < 500:
                    raise
                refusal = f"the mail server refuses the message ({fault.smtp_code})"
            # Before QUIT, whose answer changes nothing any more.
            self._settle(row, refusal, at)

    @contextmanager
    def _server(self, limits: Limits) -> Iterator[smtplib.SMTP]:
        """The mail server within the limits, however slowly it answers."""
        server = self._route.relay.connect(limits.connecting)
        try:
            with limits.kept(server, self._route.relay.timeout):
                yield server
        finally:
            with suppress(OSError, smtplib.SMTPException):
                server.quit()
            server.close()

    def _settle(self, row: EmailRow, refusal: str | None, at: datetime) -> None:
        with self._sessions.begin() as session:
            kept = session.scalars(select(EmailRow).where(EmailRow.message_id == row.message_id)).one()
            kept.state = row.state = "refused" if refusal else "sent"
            kept.refusal = refusal
            kept.sent_at = None if refusal else at
            kept.sealed_message = None


def _puts_off(fault: Exception) -> TypeGuard[smtplib.SMTPRecipientsRefused]:
    """Whether it speaks of the recipient alone, so that others may still get their letters."""
    return isinstance(fault, smtplib.SMTPRecipientsRefused) and _code_of(fault) != _CLOSING


def _code_of(fault: smtplib.SMTPRecipientsRefused) -> int:
    return next(iter(fault.recipients.values()))[0]


def _policy_of(journey: JourneyRow) -> Policy:
    return Policy.model_validate(journey.policy) if journey.policy else Policy()


def _now(mailing: Mailing) -> datetime:
    """The journey's time, which the server may have moved; not this machine's. An attempt within a workflow task does not know
    it, and a later one knows it better than the journey that has asked."""
    info = activity.info()
    return mailing.at if info.is_local and mailing.at else info.started_time
