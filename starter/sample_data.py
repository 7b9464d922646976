"""Puts the sample practices, prescribers and hard tokens into a database, once: `tokens sample-data`."""

from datetime import UTC, datetime

from sqlalchemy import select

from database.engine import Sessions
from database.sealing import Seal
from database.tables import Practice, Prescriber, PrescribingDevice, TokenRow
from domain import samples
from domain.status import Kind

_TAKEN_IN = datetime(2026, 1, 5, 14, 0, tzinfo=UTC)


def load(sessions: Sessions, seal: Seal) -> int:
    """Adds what is not there yet and leaves the rest as it is. Returns how many rows were added."""
    added = 0
    with sessions.begin() as session:
        for practice in samples.PRACTICES:
            if session.get(Practice, practice.practice_id) is None:
                row = Practice(practice_id=practice.practice_id, name=practice.name, time_zone=practice.time_zone)
                session.add(row)
                added += 1
        session.flush()
        for person in samples.PRESCRIBERS:
            if session.get(Prescriber, person.prescriber_id) is None:
                session.add(
                    Prescriber(
                        prescriber_id=person.prescriber_id,
                        practice_id=person.practice_id,
                        name=person.name,
                        email=person.email,
                        npi=person.npi,
                        dea_number=person.dea_number,
                        address=person.address.model_dump(),
                        id_proofed=person.id_proofed,
                    )
                )
                session.flush()
                session.add_all(
                    PrescribingDevice(
                        fingerprint=device.fingerprint, prescriber_id=person.prescriber_id, name=device.name
                    )
                    for device in person.devices
                )
                added += 1
        known = set(session.scalars(select(TokenRow.serial_number)))
        for token in samples.HARD_TOKENS:
            if token.serial_number in known:
                continue
            session.add(
                TokenRow(
                    serial_number=token.serial_number,
                    kind=Kind.HARD,
                    batch=token.batch,
                    state="in_stock",
                    algorithm=token.algorithm,
                    digits=token.digits,
                    digest=token.digest,
                    period=token.period,
                    seed=seal.close(samples.seed_of(token.serial_number), token.serial_number),
                    taken_in_at=_TAKEN_IN,
                    counter=0,
                    failures=0,
                    failures_in_a_row=0,
                    locked=False,
                )
            )
            added += 1
    return added
