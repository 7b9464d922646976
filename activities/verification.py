"""Signing in with an active token. Not a step of any journey: the answer comes from our own records, at once, and they
refuse the token from the moment of its deactivation, whatever is down."""

from datetime import datetime

from sqlalchemy import select

from activities import pins
from activities.judging import judged
from database.engine import Sessions
from database.sealing import Seal
from database.tables import JourneyRow, SoftEnrollment, TokenRow
from domain.policy import Policy
from domain.status import Kind, Status
from domain.token_state import TokenState

WRONG = (
    "The token could not be verified; press its button again, or wait for the app's next passcode, and enter that one."
)


class NotVerified(Exception):
    """Refused; one sentence says why and what to do instead."""


class Verification:
    """Given the database, the seal over the seeds, the PINs' pepper, and the figures for journeys that kept none."""

    def __init__(self, sessions: Sessions, seal: Seal, pepper: str, policy: Policy) -> None:
        self._sessions = sessions
        self._seal = seal
        self._pepper = pepper
        self._policy = policy

    def verify(self, journey_id: str, passcode: str, pin: str | None, at: datetime) -> None:
        """Returns when the passcode, and a soft token's PIN, are right. `at` is UTC. Raises NotVerified. Counter, failures
        and acceptance are written in one transaction."""
        with self._sessions.begin() as session:
            journey = session.get(JourneyRow, journey_id)
            token = session.scalars(select(TokenRow).where(TokenRow.journey_id == journey_id).with_for_update()).first()
            if journey is None:
                raise NotVerified(f"There is no journey {journey_id}; look its id up with `tokens list`.")
            if journey.status != Status.ACTIVE or token is None or token.state != TokenState.ACTIVE:
                raise NotVerified(
                    f"Token {journey_id} can't be used: only an active token can, and it is {journey.status}."
                )
            policy = Policy.model_validate(journey.policy) if journey.policy else self._policy
            if token.failures_in_a_row >= policy.most_failures_in_a_row:
                refusal = "This token has had too many wrong passcodes in a row; replace it."
            else:
                enrolment = session.scalars(
                    select(SoftEnrollment).where(
                        SoftEnrollment.journey_id == journey_id, SoftEnrollment.used_at.is_not(None)
                    )
                ).first()
                if token.kind == Kind.SOFT and not (
                    enrolment and pin and pins.matches(enrolment.pin_hash, pin, self._pepper)
                ):
                    passcode = ""  # a wrong PIN is judged as a passcode that can't match: same answer, same throttle
                verdict = judged(self._seal, token, passcode, at, policy)
                match verdict.outcome:
                    case "accepted":
                        return
                    case "wrong":
                        refusal = WRONG
                    case "wait":
                        refusal = f"Too many wrong passcodes: wait {verdict.wait_seconds} seconds and enter a new one."
                    case "locked":
                        refusal = (
                            f"The token is locked after {policy.lock_after_failures} wrong passcodes in a row; ask the team, or "
                            "replace it."
                        )
        # Raised after the transaction: the failure has to be kept.
        raise NotVerified(refusal)
