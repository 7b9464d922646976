"""Prescribers and tokens for as many journeys as there are to be, in the practices of the sample data. Nobody of them exists."""

import csv
from datetime import UTC, datetime
from pathlib import Path

from database.engine import Sessions
from database.sealing import Seal
from database.tables import Practice, Prescriber, TokenRow
from domain.samples import PRACTICES, PRESCRIBERS
from domain.status import Kind
from simulators import batch


def load(sessions: Sessions, seal: Seal, people: int, tokens: int, devices: Path) -> list[str]:
    """The prescribers' ids; the devices' seeds are kept in `devices`, where `simulators.devices` finds them."""
    ids = [f"P-{5000 + number}" for number in range(people)]
    with sessions.begin() as session:
        session.add_all(Practice(practice_id=p.practice_id, name=p.name, time_zone=p.time_zone) for p in PRACTICES)
        session.flush()
        for number, prescriber_id in enumerate(ids):
            like = PRESCRIBERS[number % 24]
            session.add(
                Prescriber(
                    prescriber_id=prescriber_id,
                    practice_id=like.practice_id,
                    name=like.name,
                    email=f"{prescriber_id.lower()}@{like.practice_id}.example",
                    npi=like.npi,
                    dea_number=like.dea_number,
                    address=like.address.model_dump(),
                    id_proofed=True,
                )
            )
        made = list(csv.reader(batch.make("oath-csv", tokens, devices).splitlines(), skipinitialspace=True))
        session.add_all(_token(seal, serial, seed) for serial, seed, *_ in made)
    return ids


def _token(seal: Seal, serial: str, seed: str) -> TokenRow:
    return TokenRow(
        serial_number=serial,
        kind=Kind.HARD,
        batch="F-2026-01",
        state="in_stock",
        algorithm="HOTP",
        digits=6,
        digest="SHA1",
        period=0,
        seed=seal.close(bytes.fromhex(seed), serial),
        taken_in_at=datetime.now(UTC),
        counter=0,
        failures=0,
        failures_in_a_row=0,
        locked=False,
    )
