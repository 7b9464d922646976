"""A week's work as rows, small enough to be counted by hand."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from database.tables import IncidentRow, JourneyRow, Practice, Prescriber, PromiseRow, ReturnRow, TokenRow
from domain.report import Period
from domain.status import ENDED, Status

WEEK = Period(first=date(2026, 3, 2), last=date(2026, 3, 8), zone="America/New_York")
"""Monday to Sunday; on the Sunday the clocks go forward."""
NOW = datetime(2026, 3, 8, 20, tzinfo=UTC)
_STAGES = ("processed_at", "shipped_at", "delivered_at", "enrolled_at", "active_at")


def utc(day: int, hour: int = 15, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


class Week:
    """Adds to the session what a test tells."""

    def __init__(self, session: Session) -> None:
        self.session, self._number = session, 0
        session.add(Practice(practice_id="week", name="Practice", time_zone="America/New_York"))
        session.flush()

    def journey(self, kind: str, requested: datetime, *hours: float | None, **columns: Any) -> str:
        """A journey whose stages took so many hours each; None: it skipped that one. Returns its id."""
        self._number += 1
        prescriber_id, journey_id = f"P-W{self._number}", f"token-{kind}-{self._number:03}"
        self.session.add(
            Prescriber(
                prescriber_id=prescriber_id,
                practice_id="week",
                name="Dr. A",
                email="a@here.example",
                npi="",
                dea_number="",
                address={},
                id_proofed=True,
            )
        )
        self.session.flush()
        stages = _STAGES if kind == "hard" else (_STAGES[0], *_STAGES[3:])
        at, reached = requested, Status.REQUESTED
        times: dict[str, datetime] = {}
        names = {"processed_at": Status.PROCESSED, "shipped_at": Status.SHIPPED, "delivered_at": Status.DELIVERED}
        names |= {"enrolled_at": Status.SYNCING, "active_at": Status.ACTIVE}
        for stage, took in zip(stages, hours, strict=False):
            if took is not None:
                at += timedelta(hours=took)
                times[stage], reached = at, names[stage]
        status = columns.pop("status", reached)
        row = {
            "journey_id": journey_id,
            "first_run_id": f"run-{self._number}",
            "prescriber_id": prescriber_id,
            "kind": kind,
            "status": status,
            "live": status not in ENDED,
            "email": "a@here.example",
            "requested_at": requested,
            "promises": [],
        }
        self.session.add(JourneyRow(**{**row, **times, **columns}))
        return journey_id

    def promise(self, what: str, due: datetime, number: int = 1, **became: Any) -> None:
        self._number += 1
        row = {"run_id": f"run-{self._number}", "number": number, "journey_id": "token-hard-001"}
        self.session.add(PromiseRow(**row, what=what, due=due, **became))

    def tokens(self, batch: str, **states: int) -> None:
        for state, count in states.items():
            for _ in range(count):
                self._number += 1
                self.session.add(
                    TokenRow(
                        serial_number=f"HT-W{self._number}",
                        kind="hard",
                        batch=batch,
                        state=state,
                        algorithm="HOTP",
                        digits=6,
                        digest="SHA1",
                        period=0,
                        seed=b"",
                        taken_in_at=utc(1),
                    )
                )

    def back(self, *, open: bool) -> None:  # noqa: A002
        self._number += 1
        row = {"first_run_id": f"run-{self._number}", "return_id": "r", "journey_id": "token-hard-001"}
        self.session.add(
            ReturnRow(
                **row,
                serial_number=f"HT-R{self._number}",
                status="Awaited" if open else "Received",
                open=open,
                started_at=utc(2),
                return_by=utc(30),
            )
        )

    def loss(self, status: str) -> None:
        self._number += 1
        self.session.add(
            IncidentRow(
                incident_id=f"i-{self._number}",
                first_run_id=f"run-{self._number}",
                journey_id="token-hard-001",
                prescriber_id="P-W1",
                reason="lost",
                status=status,
                opened_at=utc(4),
                due_at=utc(6, 5),
                due_day="2026-03-05",
                calendar="federal",
            )
        )


def the_week(session: Session) -> None:
    """Four hard and two soft tokens became active; the figures that follow from it stand in tests/database/test_reporting.py."""
    week = Week(session)
    # Requested on Monday, Monday late in the evening (Tuesday in UTC), Tuesday, Wednesday; the third was enrolled before the
    # carrier said that it was there.
    week.journey("hard", utc(2), 1, 2, 48, 3, 0.5)
    week.journey("hard", utc(3, 4, 30), 3, 1, 24, 20, 0.25)
    week.journey("hard", utc(3), 2, 1, None, 60, 1)
    week.journey("hard", utc(4), 10, 3, 30, 1, 0.1)
    week.journey("soft", utc(5), 1, 4, 0.2)
    week.journey("soft", utc(5, 18), 2, 30, 0.4)
    # Active, but not in this week: it ended before it, or after.
    week.journey("soft", datetime(2026, 2, 20, tzinfo=UTC), 1, 1, 1)
    # Still going on, or over.
    week.journey("soft", utc(9, 3, 30))  # Sunday, half an hour before midnight
    week.journey("hard", utc(9, 4, 0))  # Monday of the next week
    week.journey("hard", utc(6), needs_attention="not processed within 1 business day", action_due_by=utc(7))
    week.journey("hard", utc(4), 2, 1, action_due_by=utc(12))
    week.journey("soft", utc(6), status=Status.CANCELLED)

    week.promise("processed in time", utc(4), met_at=utc(3))
    week.promise("processed in time", utc(5), met_at=utc(5))  # at the last moment
    week.promise("processed in time", utc(6), met_at=utc(6, 16), broken="nobody has processed it in time")
    week.promise("processed in time", utc(7), broken="nobody has processed it in time")
    week.promise("processed in time", utc(8, 23))  # not due yet
    week.promise("processed in time", utc(7), ended_at=utc(6, 17))  # cancelled before it was due
    week.promise("activation email sent", utc(4), number=2, met_at=utc(4, 17))  # late, though nobody said so
    week.promise("activation email sent", utc(4), number=2)  # overdue, though nobody said so
    week.promise("activation email sent", utc(4), number=2, ended_at=utc(4, 17))  # cancelled after it was due
    week.promise("activation email sent", utc(4), number=2, met_at=utc(4, 14))
    week.promise("delivered in time", datetime(2026, 2, 28, tzinfo=UTC), number=4, met_at=utc(2))  # not this week's

    week.tokens("A", in_stock=3, active=4, coming_back=1)
    week.tokens("B", in_stock=20, assigned=2)
    week.tokens("C", written_off=1)
    for open_ in (True, True, False):
        week.back(open=open_)
    for status in ("Open", "Overdue", "Closed"):
        week.loss(status)


def a_month(session: Session, last: datetime) -> None:
    """A busy month up to `last`, always the same one, to look at."""
    chance, month = random.Random(7), Week(session)
    for ago in range(29, -1, -1):
        day = (last - timedelta(days=ago)).replace(hour=14, minute=0, second=0, microsecond=0)
        for kind in ("hard", "soft"):
            for _ in range(chance.randint(0, 2) if day.weekday() > 4 else chance.randint(2, 7)):
                requested = day + timedelta(minutes=chance.randint(0, 400))
                if requested > last:
                    continue
                usual = (3, 1.5, 80, 20, 0.3) if kind == "hard" else (3, 15, 0.3)
                took = [hours * chance.lognormvariate(0, 0.6) for hours in usual]
                gone = (last - requested).total_seconds() / 3600
                done = [hours for number, hours in enumerate(took) if sum(took[: number + 1]) < gone]
                waiting: dict[str, Any] = {}
                if len(done) < len(took) and ago > 9:
                    waiting = {"needs_attention": "late", "action_due_by": last - timedelta(days=1)}
                month.journey(kind, requested, *done, **waiting)
                processed = requested + timedelta(days=1)
                late = chance.random() < 0.06
                met: dict[str, Any] = {"met_at": requested + timedelta(hours=30 if late else 3)} if done else {}
                month.promise("processed in time", processed, **met)
                if kind == "hard" and len(done) > 1:
                    month.promise("shipped the day it is processed", processed, number=3, met_at=processed)
                if kind == "hard" and len(done) > 2:
                    broken = "not delivered by business day 5" if chance.random() < 0.15 else None
                    month.promise(
                        "delivered in time", processed + timedelta(days=3), number=4, met_at=processed, broken=broken
                    )
                if len(done) == len(took):
                    month.promise("active in time after enrolment", processed, number=5, met_at=processed)
    month.tokens("K-2026-01", in_stock=2, shipped=9, active=38, coming_back=3, returned=4, written_off=1)
    month.tokens("K-2026-02", in_stock=61, assigned=4, shipped=5, active=12)
    for _ in range(3):
        month.back(open=True)
    month.loss("Open")
