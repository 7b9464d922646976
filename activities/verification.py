"""Signing in with an active token, and mending one that no longer signs. Not a step of any journey: the answer comes from
our own records, at once, and they refuse the token from the moment of its deactivation, whatever is down."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from activities import pins
from activities.judging import judged, resynchronised
from database import audit
from database.engine import Sessions
from database.sealing import Seal
from database.tables import JourneyRow, SoftEnrollment, TokenRow
from domain.chronicle import Entry
from domain.passcodes import Verdict
from domain.policy import Policy
from domain.status import Kind, Status
from domain.token_state import TokenState

WRONG = (
    "The token could not be verified; press its button again, or wait for the app's next passcode, and enter that one."
)
NOT_CONSECUTIVE = (
    "The token could not be resynchronised: these are not two passcodes that it shows one after the other; take the next two "
    "and enter them at once, the older one first."
)
_LONGEST_NAME = 200


class NotVerified(Exception):
    """Refused; one sentence says why and what to do instead."""


@dataclass(frozen=True)
class Resynchronised:
    """By how much the token was `ahead` of our record: presses of its button, or steps of its clock (which may be behind:
    then it is negative)."""

    ahead: int
    counted_in: Literal["presses", "steps"] = "presses"

    def __str__(self) -> str:
        return f"{abs(self.ahead)} {self.counted_in} {'behind' if self.ahead < 0 else 'ahead'}"


@dataclass(frozen=True)
class _Found:
    """A journey with its token, the token's row locked. `unfit`: why it can't be used, as one sentence; then there is no
    `token` here."""

    journey: JourneyRow
    token: TokenRow | None
    policy: Policy
    unfit: str | None


class Verification:
    """Given the database, the seal over the seeds, the PINs' pepper, and the figures for journeys that kept none.

    Each method is one transaction over the locked row of the token: whatever process asks, and however many at once, each
    passcode is taken once and each failure counts. All raise NotVerified; `at` is UTC.
    """

    def __init__(self, sessions: Sessions, seal: Seal, pepper: str, policy: Policy) -> None:
        self._sessions = sessions
        self._seal = seal
        self._pepper = pepper
        self._policy = policy

    def verify(
        self, journey_id: str, passcode: str, pin: str | None, at: datetime, *, attempt: str | None = None
    ) -> None:
        """Returns when the passcode, and a soft token's PIN, are right. Only the lock that ends a series of failures gets
        into the audit trail: who signs in, and when, is in the records of the system that asks.

        `attempt` names this very attempt: where it was the token's latest, its answer is given again and nothing is judged or
        counted, as whoever asks may have lost it. It has to be random, and nobody else's: with it goes what was typed then."""
        key = f"sign-in {attempt}" if attempt else None
        with self._sessions.begin() as session:
            found = self._found(session, journey_id)
            token, refusal = found.token, found.unfit
            if token is not None and key is not None and token.last_attempt == key:
                refusal = (token.last_verdict or {}).get("refusal")
            elif token is not None:
                right_pin = self._right_pin(session, token, pin)
                verdict = judged(self._seal, token, passcode, at, found.policy, in_right_hands=right_pin)
                refusal = _refusal(verdict, found.policy, WRONG)
                if key:
                    token.last_attempt, token.last_verdict = key, {"refusal": refusal}
                if verdict.outcome == "wrong" and token.locked:
                    _record(session, found, at, f"locked: {token.failures} wrong passcodes in a row at signing in")
        # Raised after the transaction: the failure has to be kept.
        if refusal:
            raise NotVerified(refusal)

    def resynchronise(
        self, journey_id: str, first: str, second: str, pin: str | None, by: str | None, at: datetime
    ) -> Resynchronised:
        """Brings an active token back whose counter or clock has run away: `first` and `second` are two passcodes that it
        has shown one after the other (RFC 4226, 7.4; RFC 6238, 6). Both are used up. A soft token needs its PIN, too: the
        failures that this forgets may have been guesses at it. `by` stands in the audit trail."""
        with self._sessions.begin() as session:
            found = self._found(session, journey_id)
            token, refusal, done = found.token, found.unfit, Resynchronised(0)
            if token is not None:
                expected, right_pin = token.counter, self._right_pin(session, token, pin)
                verdict = resynchronised(self._seal, token, (first, second), at, found.policy, in_right_hands=right_pin)
                refusal = _refusal(verdict, found.policy, NOT_CONSECUTIVE)
                if token.algorithm == "TOTP":
                    done = Resynchronised(token.drift, "steps")
                elif verdict.step is not None:
                    done = Resynchronised(verdict.step - 1 - expected, "presses")
            _record(session, found, at, f"resynchronised: the token was {done}", by, "resync", refusal)
        if refusal:
            raise NotVerified(refusal)
        return done

    def unlock(self, journey_id: str, by: str | None, at: datetime) -> None:
        """Lifts the lock after wrong passcodes at signing in, as a new link does it before enrolment. The count in a row
        stands, and with it the wait and the end after a hundred."""
        with self._sessions.begin() as session:
            found = self._found(session, journey_id)
            token, refusal = found.token, found.unfit
            if token is not None and token.failures_in_a_row >= found.policy.most_failures_in_a_row:
                refusal = _spent(found.policy)
            elif token is not None and not token.locked:
                refusal = f"Token {journey_id} is not locked, so nothing was changed; sign in, or resynchronise it."
            elif token is not None:
                token.locked, token.failures = False, 0
            _record(session, found, at, "unlocked", by, "unlock", refusal)
        if refusal:
            raise NotVerified(refusal)

    def _found(self, session: Session, journey_id: str) -> _Found:
        """The token's row is locked first and the journey read after it: a deactivation writes both in one transaction, so
        that whoever has waited for the lock sees it. Raises NotVerified where there is no journey."""
        token = session.scalars(select(TokenRow).where(TokenRow.journey_id == journey_id).with_for_update()).first()
        journey = session.get(JourneyRow, journey_id)
        if journey is None:
            raise NotVerified(f"There is no journey {journey_id}; look its id up with `tokens list`.")
        policy = Policy.model_validate(journey.policy) if journey.policy else self._policy
        if journey.status != Status.ACTIVE or token is None or token.state != TokenState.ACTIVE:
            unfit = f"Token {journey_id} can't be used: only an active token can, and it is {journey.status}."
            return _Found(journey, None, policy, unfit)
        return _Found(journey, token, policy, None)

    def _right_pin(self, session: Session, token: TokenRow, pin: str | None) -> Callable[[], bool]:
        """Whether a soft token's PIN is the one that was chosen at its enrolment. A hard token has none."""

        def right() -> bool:
            if token.kind != Kind.SOFT:
                return True
            enrolled = session.scalars(
                select(SoftEnrollment).where(
                    SoftEnrollment.journey_id == token.journey_id, SoftEnrollment.used_at.is_not(None)
                )
            ).first()
            return bool(enrolled and pin and pins.matches(enrolled.pin_hash, pin, self._pepper))

        return right


def _refusal(verdict: Verdict, policy: Policy, wrong: str) -> str | None:
    match verdict.outcome:
        case "accepted":
            return None
        case "wrong":
            return wrong
        case "wait":
            return f"Too many wrong passcodes: wait {verdict.wait_seconds} seconds and enter a new one."
        case "locked":
            return (
                f"The token is locked after {policy.lock_after_failures} wrong passcodes in a row; ask the team to unlock it, or "
                "replace it."
            )
        case "spent":
            return _spent(policy)


def _spent(policy: Policy) -> str:
    return f"This token has had {policy.most_failures_in_a_row} wrong passcodes in a row; replace it."


def _record(
    session: Session,
    found: _Found,
    at: datetime,
    what: str,
    by: str | None = None,
    message: str | None = None,
    refusal: str | None = None,
) -> None:
    """A row of the journey's audit trail, in the same transaction; a refused message is kept with its reason."""
    entry = Entry(
        number=1,
        at=at,
        what=f"refused: {message}" if refusal else what,
        by=by[:_LONGEST_NAME] if by else None,
        status=found.journey.status,
        message=message,
        refused=refusal,
    )
    audit.append_beside(session, found.journey.journey_id, entry)
