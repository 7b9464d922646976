"""Enrolment: passcodes of hard tokens are judged, soft tokens are linked. Seeds are opened here and nowhere else."""

import hashlib
import hmac
from datetime import datetime

from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session
from temporalio import activity

from activities.errors import refused
from activities.judging import judged
from database.engine import Sessions
from database.sealing import Seal
from database.tables import ActivationLink, SoftEnrollment, TokenRow
from domain.policy import Policy
from domain.status import Kind

WRONG = (
    "The serial number and passcode could not be confirmed; check the serial number on the back of the token, press its "
    "button again and enter the new passcode."
)

EXPIRED = "This activation link has expired; ask for a new activation link."


class HardAttempt(BaseModel):
    """A serial number and passcode as typed. `at` (UTC) is the journey's time."""

    journey_id: str
    serial_number: str
    passcode: str = Field(repr=False)
    link_hash: str | None = None
    at: datetime
    policy: Policy
    asked_as: str | None = None
    """Tells this attempt from any other of the same run, however often it is judged; None: asked by release 0.1."""


class SoftAttempt(BaseModel):
    journey_id: str
    token_name: str
    enrollment_ref: str
    link_hash: str | None = None
    at: datetime


class Verdict(BaseModel):
    """`refusal` is the sentence for whoever tried; None when accepted."""

    refusal: str | None = None
    serial_number: str | None = None


class Enrollment:
    """Given the database and the seal over the seeds."""

    def __init__(self, sessions: Sessions, seal: Seal) -> None:
        self._sessions = sessions
        self._seal = seal

    @activity.defn(name="enrollment.verify_hard")
    def verify_hard(self, attempt: HardAttempt) -> Verdict:
        """Judges one attempt. Counter, failures and acceptance are written in one transaction; a retried activity gets the
        verdict that was written, so that an accepted passcode is not taken for a replay of itself."""
        info = activity.info()
        # The number of an activity won't do within a workflow task: one that is lost with its worker gives it to another.
        key = f"{info.workflow_run_id}:{attempt.asked_as or info.activity_id}"
        with self._sessions.begin() as session:
            token = session.scalars(
                select(TokenRow).where(TokenRow.journey_id == attempt.journey_id).with_for_update()
            ).first()
            if token is None:
                return Verdict(refusal=WRONG)
            if token.last_attempt == key:
                return Verdict.model_validate(token.last_verdict)
            verdict = Verdict(refusal=_bad_link(session, attempt.journey_id, attempt.link_hash, attempt.at))
            if verdict.refusal is None:
                verdict = Verdict(refusal=self._judge(token, attempt), serial_number=token.serial_number)
            token.last_attempt, token.last_verdict = key, verdict.model_dump()
            return verdict

    def _judge(self, token: TokenRow, attempt: HardAttempt) -> str | None:
        def right_serial() -> bool:
            """As it stands on the device, to the letter: nothing is trimmed, padded or folded."""
            typed, right = (
                serial.encode(errors="surrogatepass") for serial in (attempt.serial_number, token.serial_number)
            )
            return hmac.compare_digest(typed, right)

        verdict = judged(self._seal, token, attempt.passcode, attempt.at, attempt.policy, in_right_hands=right_serial)
        match verdict.outcome:
            case "accepted":
                return None
            case "wrong":
                return WRONG
            case "wait":
                return f"Too many wrong passcodes: wait {verdict.wait_seconds} seconds, press the button again and enter the new one."
            case "locked":
                return (
                    f"Activation is locked after {attempt.policy.lock_after_failures} wrong passcodes in a row; ask the team "
                    "for a new activation link, which unlocks it."
                )
            case "spent":
                most = attempt.policy.most_failures_in_a_row
                return (
                    f"This token has had {most} wrong passcodes in a row and can't be enrolled any more; ask the team to "
                    "cancel this request and send another token."
                )

    @activity.defn(name="enrollment.link_soft")
    def link_soft(self, attempt: SoftAttempt) -> Verdict:
        """Makes a token of the enrolment whose PIN hash and seed were stored before under its reference."""
        with self._sessions.begin() as session:
            stored = session.get(SoftEnrollment, attempt.enrollment_ref, with_for_update=True)
            if stored is None or stored.journey_id != attempt.journey_id:
                raise refused(
                    "This enrolment reference is not known for this journey, or a later setup has taken its place; choose the PIN "
                    "again and use the new reference."
                )
            serial = "ST-" + hashlib.sha256(attempt.journey_id.encode()).hexdigest()[:12].upper()
            if stored.used_at is not None:
                return Verdict(serial_number=serial)
            bad_link = _bad_link(session, attempt.journey_id, attempt.link_hash, attempt.at)
            if bad_link:
                return Verdict(refusal=bad_link)
            assert stored.seed
            seed = self._seal.close(self._seal.open(stored.seed, stored.enrollment_ref), serial)
            stored.used_at, stored.seed = attempt.at, None
            session.add(
                TokenRow(
                    serial_number=serial,
                    kind=Kind.SOFT,
                    batch="soft",
                    state="assigned",
                    journey_id=attempt.journey_id,
                    name=attempt.token_name,
                    algorithm="TOTP",
                    digits=6,
                    digest="SHA1",
                    period=30,
                    seed=seed,
                    taken_in_at=attempt.at,
                    counter=0,
                    failures=0,
                    failures_in_a_row=0,
                    locked=False,
                )
            )
            return Verdict(serial_number=serial)


def _bad_link(session: Session, journey_id: str, link_hash: str | None, at: datetime) -> str | None:
    """Why the emailed link can't be used, with what to do instead; None for a good one, or when none was used."""
    if link_hash is None:
        return None
    link = session.get(ActivationLink, link_hash)
    if link is None or link.journey_id != journey_id:
        return "This activation link is not for this token; open the newest activation email, or ask for a new activation link."
    match link.ended_because:
        case "superseded":
            return "A newer activation link has been sent; open the newest activation email."
        case "used":
            return "This activation link has been used; there is nothing left to do with it."
        case "withdrawn":
            return "This request has ended, and its activation link with it; request a new token instead."
        case _:
            expired = link.valid_until is not None and at > link.valid_until
            return EXPIRED if expired else None
