"""A journey started in the UI may have any id, and works the same."""

import uuid

import pytest

from tests.stage import Stage


@pytest.mark.parametrize("shape", ["Dr. Who's token {}", "a/b?c=d&e#{}", "jeton-é-{}", "x" * 80 + "-{}"])
async def test_any_id_works_the_same(stage: Stage, shape: str) -> None:
    request = {"prescriber_id": "P-1010", "kind": "hard"}
    journey = await stage.start(request, journey_id=shape.format(uuid.uuid4().hex[:8]))
    await journey.reach("Deactivated")
    await journey.result()
    assert len(stage.done("vendor", "revocations", journey.id)) == 1
    assert "deactivated" in journey.letters()


async def test_an_id_that_no_record_holds_is_refused(stage: Stage) -> None:
    journey = await stage.start({"prescriber_id": "P-1010", "kind": "hard"}, journey_id="x" * 300 + uuid.uuid4().hex)
    assert "more than 200 characters" in await journey.failed()
