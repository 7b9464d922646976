"""`AnchorAudit` on the real server: journeys are anchored while they go on, and what is behind its anchor is refused."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from temporalio.client import Client

from database import anchors
from database.anchors import AnchorKey
from database.audit_verification import examine
from tests.database.test_audit import guards_off
from tests.stage import Stage, Theatre

KEY = "11" * 32


@pytest.fixture
async def stage(temporal: Client, theatre: Theatre, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(temporal, theatre, tmp_path)
    stage.extra = {"audit_key": SecretStr(KEY), "audit_anchor_folder": tmp_path / "anchors"}
    async with stage:
        yield stage


async def test_journeys_are_anchored_as_they_go_on(stage: Stage) -> None:
    journey = await stage.request("soft", "P-1001")
    first = await (await stage.open("AnchorAudit")).result()
    assert (first["number"], first["journeys"], first["changed"]) == (1, 1, 1)
    await journey.reach("Active")
    second = await (await stage.open("AnchorAudit", {})).result()
    assert (second["number"], second["changed"]) == (2, 1)
    anchored = anchors.read(stage.folder / "anchors", [AnchorKey(KEY).public])
    assert (anchored.count, anchored.problems) == (2, [])
    with stage.sessions() as session:
        assert examine(session, anchored.points).faults == []
    # Somebody cuts the end off, with the head.
    with stage.sessions.begin() as session:
        guards_off(session)
        number, hash_ = session.execute(text("select number, hash from audit order by number limit 1")).one()
        session.execute(text("delete from audit where number > 1"))
        session.execute(text("update audit_heads set number = :n, hash = :h").bindparams(n=number, h=hash_))
    assert "1 journey is not what anchor 2 says" in await (await stage.open("AnchorAudit")).failed()
    assert "`AnchorAudit` was not taken" in await (await stage.open("AnchorAudit", {"by": "Ann"})).failed()
