"""Prescribers and tokens in bulk: made up, put straight into the application's database."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine, insert

from database.sealing import Seal
from database.tables import Prescriber, SoftEnrollment, TokenRow
from domain import samples
from domain.passcodes import Device, current
from domain.status import Kind

_TAKEN_IN = datetime(2026, 1, 5, 14, 0, tzinfo=UTC)
_SEED = b"benchmark seed of 20"


def prescriber_id(number: int) -> str:
    return f"BP-{number:07d}"


def serial(number: int) -> str:
    return f"BT-{number:07d}"


def settle(engine: Engine, seal: Seal, numbers: Sequence[int]) -> None:
    """A prescriber and a hard token in stock for each number."""
    with engine.begin() as connection:
        for start in range(0, len(numbers), 2000):
            batch = numbers[start : start + 2000]
            connection.execute(insert(Prescriber), [_prescriber(number) for number in batch])
            connection.execute(insert(TokenRow), [_token(seal, number) for number in batch])


def passcode(number_of: str, presses: int = 0) -> str:
    """What the device of that serial shows after so many presses."""
    return current(Device("HOTP", samples.seed_of(number_of)), presses)


def soft_enrollment(seal: Seal, journey_id: str) -> SoftEnrollment:
    """What the gateway stores when a prescriber sets an app up. Without a PIN's hash, which takes long on purpose and which no
    journey reads."""
    reference = f"ref-{journey_id}"
    return SoftEnrollment(
        enrollment_ref=reference,
        journey_id=journey_id,
        pin_hash="none",
        seed=seal.close(_SEED, reference),
        device=None,
        stored_at=datetime.now(UTC),
        used_at=None,
    )


def _prescriber(number: int) -> dict[str, object]:
    person = samples.PRESCRIBERS[number % (len(samples.PRESCRIBERS) - 1)]
    return {
        "prescriber_id": prescriber_id(number),
        "practice_id": person.practice_id,
        "name": person.name,
        "email": f"b{number}@{person.practice_id}.example",
        "npi": person.npi,
        "dea_number": person.dea_number,
        "address": person.address.model_dump(),
        "id_proofed": True,
    }


def _token(seal: Seal, number: int) -> dict[str, object]:
    of = serial(number)
    return {
        "serial_number": of,
        "kind": Kind.HARD,
        "batch": "bench",
        "state": "in_stock",
        "algorithm": "HOTP",
        "digits": 6,
        "digest": "SHA1",
        "period": 0,
        "seed": seal.close(samples.seed_of(of), of),
        "taken_in_at": _TAKEN_IN,
        "counter": 0,
        "failures": 0,
        "failures_in_a_row": 0,
        "locked": False,
    }
