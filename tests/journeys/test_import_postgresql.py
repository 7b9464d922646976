"""Imports on PostgreSQL: the same rows, and two at once that bring the same serials."""

import asyncio
from typing import Any

import pytest

from simulators import batch
from tests import postgresql
from tests.journeys.test_import import many, put
from tests.journeys.test_postgresql import database as database
from tests.journeys.test_postgresql import stage as stage
from tests.stage import Stage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(postgresql.programs() is None, reason="no PostgreSQL server is installed"),
]


async def report_of(stage: Stage, name: str, **body: Any) -> dict[str, Any]:
    return await (await stage.open("ImportTokens", {"file": name, "imported_by": "Ann", **body})).result()


def count(stage: Stage, prefix: str) -> int:
    return stage.rows(f"select count(*) from tokens where serial_number like '{prefix}%%'")[0][0]


@pytest.mark.parametrize("format_", list(batch.FORMATS))
async def test_a_file_becomes_stock(stage: Stage, format_: str) -> None:
    made = many(30)
    put(stage, batch.FORMATS[format_](made))
    report = await report_of(stage, "lot.csv")
    assert (report["format"], report["taken"], report["refused"]) == (format_, 30, [])
    sealed = stage.rows(f"select seed from tokens where serial_number = '{made[7].serial}'")[0][0]
    assert stage.seal.open(bytes(sealed), made[7].serial) == made[7].device.seed
    # Again, with a row more: nothing, then the one.
    put(stage, batch.FORMATS[format_]([*made, *many(1), made[0]]))
    refused = await report_of(stage, "lot.csv")
    assert (refused["taken"], refused["refused_in_all"]) == (0, 31)
    assert {row["reason"] for row in refused["refused"]} <= {
        "it is in stock already",
        "its serial number stands in line 1 already",
    }
    assert (await report_of(stage, "lot.csv", partial=True))["taken"] == 1
    assert stage.rows("select count(*) from imported_tokens") == [(0,)]


async def test_a_damaged_file(stage: Stage) -> None:
    made = many(3000)
    put(stage, batch.safenet_xml(made)[:-40])
    sentence = await (await stage.open("ImportTokens", {"file": "lot.csv", "imported_by": "Ann"})).failed()
    assert "not whole" in sentence
    assert count(stage, made[0].serial[:7]) == 0
    assert stage.rows("select count(*) from imported_tokens") == [(0,)]


async def test_the_same_serials_from_two_at_once(stage: Stage) -> None:
    made = many(4000)
    names = [f"{number}.csv" for number in range(3)]
    for name in names:
        put(stage, batch.oath_csv(made), name)
    reports = await asyncio.gather(*(report_of(stage, name) for name in names))
    assert sorted(report["taken"] for report in reports) == [0, 0, 4000]
    assert count(stage, made[0].serial[:7]) == 4000
