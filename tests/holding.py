"""Tokens in people's hands, written straight into a database: for tests of what is judged there, without their journeys."""

import itertools
from datetime import UTC, datetime
from typing import Any

from activities import pins
from database.engine import Sessions
from database.sealing import Seal
from database.tables import JourneyRow, Practice, Prescriber, SoftEnrollment, TokenRow
from domain.passcodes import Device

NOON = datetime(2037, 3, 3, 12, 0, tzinfo=UTC)
BUTTON = Device("HOTP", b"a button's own secret")
CLOCK = Device("TOTP", b"a clock's own secret.")
_number = itertools.count(1)


def hold(
    sessions: Sessions,
    seal: Seal,
    device: Device = BUTTON,
    *,
    kind: str = "hard",
    status: str = "Active",
    state: str = "active",
    pin_hash: str | None = None,
    **columns: Any,
) -> tuple[str, str]:
    """A prescriber's token; its journey's id and its serial. `columns` are the token row's."""
    number = next(_number)
    journey_id, serial = f"token-{kind}-{number}", f"HT-{number:06d}"
    with sessions.begin() as session:
        if session.get(Prescriber, "P-1") is None:
            session.add(Practice(practice_id="here", name="Practice", time_zone="America/New_York"))
            session.flush()
            session.add(
                Prescriber(
                    prescriber_id="P-1",
                    practice_id="here",
                    name="Dr. A",
                    email="a@here.example",
                    npi="",
                    dea_number="",
                    address={},
                    id_proofed=True,
                )
            )
            session.flush()
        session.add(
            JourneyRow(
                journey_id=journey_id,
                first_run_id=f"run-{number}",
                prescriber_id="P-1",
                kind=kind,
                status=status,
                live=False,  # the index on live ones would want a prescriber for each
                email="a@here.example",
                serial_number=serial,
                requested_at=NOON,
                promises=[],
            )
        )
        session.add(
            TokenRow(
                serial_number=serial,
                kind=kind,
                batch="test",
                state=state,
                journey_id=journey_id,
                algorithm=device.algorithm,
                digits=device.digits,
                digest=device.digest,
                period=device.period,
                seed=seal.close(device.seed, serial),
                taken_in_at=NOON,
                **columns,
            )
        )
        if pin_hash:
            session.add(
                SoftEnrollment(
                    enrollment_ref=f"ref-{number}",
                    journey_id=journey_id,
                    pin_hash=pin_hash,
                    seed=b"",
                    stored_at=NOON,
                    used_at=NOON,
                )
            )
    return journey_id, serial


def pin_hash(pin: str, pepper: str) -> str:
    """As the enrolment keeps it."""
    return pins.hashed(pin, pepper)
