"""Signals and updates whose name nobody knows: none of them vanishes, and none does harm."""

import pytest

from domain.peers import incident_id
from tests.stage import Play, Stage

KEPT = 'select journey_id, message, refused, "by" from audit where refused is not null order by at, number'


async def shown(journey: Play) -> str:
    """What stands in its details."""
    return (await journey.query("__temporal_workflow_metadata")).current_details


async def test_of_a_journey_and_of_what_follows_it(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.signal("deactive", {"confirmed": True, "by": "Ann"})
    await journey.signal("enroll_hard", {"serial_number": "HT-1", "passcode": "123456"})
    await journey.signal("Cancel")
    await journey.signal("a name\nwith <b>markup</b>", b"\xff\xfe", {"by": "Ann"})
    refused = (await journey.status())["refused"]
    assert [(each["message"], each["by"]) for each in refused] == [
        ("deactive", "Ann"),
        ("enroll_hard", None),
        ("Cancel", None),
        ("unknown", None),
    ]
    assert refused[0]["reason"] == (
        "No message of the name `deactive` is known, so nothing was changed; send one of edit, process, cancel, spelt like this."
    )
    assert "send it as an update instead" in refused[1]["reason"]
    assert "markup" not in refused[3]["reason"]
    # An update is answered at once, and leaves nothing.
    assert "send one of edit, process, cancel" in await journey.refused("deactive", {})
    assert "send it as a signal instead" in await journey.refused("carrier_event", {})
    assert len((await journey.status())["refused"]) == 4
    await journey.reach("Active")
    await journey.update("deactivate", {"confirmed": True, "reason": "stolen"})
    incident = await stage.peer(incident_id(journey.id))
    await incident.signal("closed", {"by": "Ann"})
    [kept] = (await incident.status())["refused"]
    assert "send one of close" in kept["reason"]
    await incident.update("close", {"by": "Ann"})
    await incident.result()
    assert [(row[1], row[3]) for row in stage.rows(KEPT)] == [
        ("closed", "Ann"),  # by the real clock, decades before the journey's
        *((each["message"], each["by"]) for each in refused),
    ]


async def test_of_a_workflow_without_records_of_its_own(stage: Stage) -> None:
    await stage.stop_worker()
    queue = await stage.open("ProcessQueue", {"operator": "Dana"})
    await queue.handle.signal("stop", {"by": "Ann"})
    await stage.restart_worker()
    assert (await queue.result())["to_do"] == 0
    said = await shown(queue)
    assert "Nothing was waiting" in said
    assert "No message of the name `stop` is known" in said


@pytest.mark.parametrize("name", ["Reconcile", "DailyDigest", "AnchorAudit"])
async def test_of_what_a_schedule_starts(apart: Stage, name: str) -> None:
    stage = apart
    await stage.stop_worker()
    run = await stage.open(name, {})
    await run.handle.signal("stop", {"by": "Ann"})
    await stage.restart_worker()
    if name == "AnchorAudit":
        assert "TOKENS_AUDIT_KEY is not set" in await run.failed()
    else:
        await run.result()
    assert "No message of the name `stop` is known" in await shown(run)
