"""A process of its own that judges passcodes over a database: `python -m tests.judging_process`.

The first line of its input says which database and which keys; every further line is one attempt, answered by one line.
An attempt says when to begin, so that several processes begin at the same instant.
"""

import dataclasses
import json
import sys
import time
from datetime import datetime
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.enrollment import Enrollment, HardAttempt
from activities.verification import NotVerified, Verification
from database.engine import engine_of, sessions_of
from database.sealing import Seal
from domain.policy import Policy


class Judge:
    def __init__(self, url: str, keys: dict[str, str], pepper: str) -> None:
        sessions, seal = sessions_of(engine_of(url)), Seal(keys)
        self.verification = Verification(sessions, seal, pepper, Policy())
        self.enrollment = Enrollment(sessions, seal)

    def verify(self, journey_id: str, at: datetime, passcode: str) -> None:
        self.verification.verify(journey_id, passcode, None, at)

    def resync(self, journey_id: str, at: datetime, first: str, second: str) -> None:
        self.verification.resynchronise(journey_id, first, second, None, "Dana", at)

    def unlock(self, journey_id: str, at: datetime) -> None:
        self.verification.unlock(journey_id, "Dana", at)

    def enroll(self, journey_id: str, at: datetime, serial: str, passcode: str, attempt: str) -> None:
        """`attempt`: the activity's id; a retry has the same."""
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(environment.info, activity_id=attempt)
        order = HardAttempt(journey_id=journey_id, serial_number=serial, passcode=passcode, at=at, policy=Policy())
        verdict = environment.run(self.enrollment.verify_hard, order)
        if verdict.refusal:
            raise NotVerified(verdict.refusal)

    def answer(self, what: str, begin: float, at: str, **order: Any) -> str:
        time.sleep(max(0.0, begin - time.time()))
        try:
            getattr(self, what)(at=datetime.fromisoformat(at), **order)
        except NotVerified as refusal:
            return str(refusal)
        return "accepted"


def main() -> None:
    judge = Judge(**json.loads(sys.stdin.readline()))
    print("ready", flush=True)
    for line in sys.stdin:
        print(judge.answer(**json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
