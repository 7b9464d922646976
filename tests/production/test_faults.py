"""`make faults` in small: a few journeys on the production-shaped stack, while everything in it is killed once, answers are lost,
the network hangs, the disk is full and a clock is off."""

from pathlib import Path

import pytest

from tests import postgresql
from tools.faults.run import Orders, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(postgresql.programs() is None, reason="no PostgreSQL server is installed"),
]

STRUCK = {
    *(f"kill -9 {name}" for name in ("worker-1", "worker-2", "gateway", "temporal", "postgres", "mail")),
    *("kill -9 vendor", "kill -9 carrier", "kill -9 directory"),
    *("cut after the request: upstream to gateway", "cut after the request: worker to postgres"),
    *("lost replies of mail", "lost replies of carrier"),
    *("network hangs: worker to temporal", "network hangs: gateway to postgres"),
    *("disk full for the database", "clock off: worker-1"),
}


async def test_nothing_is_lost_and_nothing_done_twice(tmp_path: Path) -> None:
    said: list[str] = []
    orders = Orders(journeys=12, times=1, seed=7, think=6, pause=0.7, patience=480, only=frozenset(STRUCK))
    report, found = await run(tmp_path, orders, said.append)
    assert {name: sentences for name, sentences in report.breaches.items() if sentences} == {}, "\n".join(said)
    assert {name.partition(", by")[0] for name in report.faults} == STRUCK
    assert len(found.expected) > 12, "those that replace others, too"
    assert {"Active", "Cancelled", "Deactivated"} == {each["end"] for each in found.expected.values()}
    assert len(found.mailbox) == len(found.email_rows) > 50
    assert any(report.restarts.values())
