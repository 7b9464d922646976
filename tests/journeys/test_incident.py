"""Lost and stolen tokens: a report within one business day, alarmed before and after, closed by a person."""

from datetime import UTC, datetime, timedelta

import pytest

from activities.incidents import Incidents, Loss
from domain.peers import incident_id
from domain.reasons import DeactivationReason
from tests.stage import NEW_YORK, Play, Stage


async def loss(stage: Stage, reason: str = "lost", kind: str = "hard") -> tuple[Play, Play]:
    """A deactivated journey and its incident."""
    journey = await stage.request(kind)
    await journey.reach("Active")
    await journey.update("deactivate", {"confirmed": True, "reason": reason, "by": "Ann"})
    await journey.result()
    return journey, await stage.peer(incident_id(journey.id))


def alarms(journey: Play) -> list[str]:
    return [message["Subject"] for message in journey.emails() if message["X-Token-Letter"] == "team_incident"]


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("reason", ["lost", "stolen"])
async def test_a_loss_opens_one_and_a_person_closes_it(stage: Stage, reason: str, kind: str) -> None:
    journey, incident = await loss(stage, reason, kind)
    await incident.wait(seconds=5)
    snapshot = await incident.status()
    assert (snapshot["status"], snapshot["reason"]) == ("Open", reason)
    assert snapshot["calendar"].startswith("federal business days, America/")
    # One that is told on a day off is due at a midnight, which belongs to the day before.
    due_day = datetime.fromisoformat(snapshot["due_at"]) - timedelta(microseconds=1)
    assert snapshot["due_day"] == str(due_day.astimezone(NEW_YORK).date())
    assert due_day.astimezone(NEW_YORK).weekday() < 5
    assert len(alarms(journey)) == 1
    assert "`by` is missing" in await incident.refused("close", {})
    assert (await incident.update("close", {"by": "Ruth", "note": "reported by phone"}))["status"] == "Closed"
    assert (await incident.result())["status"] == "Closed"
    assert stage.rows("select status, closed_by, due_day, calendar from incidents") == [
        ("Closed", "Ruth", snapshot["due_day"], snapshot["calendar"])
    ]
    assert stage.rows(f"select what, by from audit where journey_id = '{journey.id}' order by number desc limit 1") == [
        ("closed: reported by phone", "Ruth")
    ]
    assert len(alarms(journey)) == 1


async def test_a_loss_on_a_saturday_is_due_on_monday_and_counts_from_when_it_was_reported(stage: Stage) -> None:
    journey, incident = await loss(stage)
    ended = stage.rows(f"select ended_at from journeys where journey_id = '{journey.id}'")
    assert ended
    saturday = datetime(2037, 3, 7, 10, tzinfo=NEW_YORK)
    of_a_saturday = Loss(
        incident_id="of-a-saturday", run_id="r", at=saturday, journey_id=journey.id, reason=DeactivationReason.LOST
    )
    policy = stage.settings.policy
    for figures in (policy, policy.model_copy(update={"incident_business_days": 3})):  # asked again by another release
        opened = Incidents(stage.sessions, figures).open(of_a_saturday)
        assert opened.due_day == "2037-03-09"
        assert opened.due_at == datetime(2037, 3, 10, tzinfo=NEW_YORK)
    await incident.update("close", {"by": "Ruth"})
    await incident.result()
    reported = datetime.now(UTC) - timedelta(days=3)
    order = {"journey_id": journey.id, "reason": "lost", "reported_at": reported.isoformat()}
    late = await stage.peer((await stage.open("SecurityIncident", order)).id)
    assert datetime.fromisoformat((await late.status())["opened_at"]) == reported


async def test_one_that_is_told_days_late_alarms_once_at_a_time(stage: Stage) -> None:
    journey, incident = await loss(stage)
    await incident.update("close", {"by": "Ruth"})
    await incident.result()
    before = len(alarms(journey))
    reported = datetime.now(UTC) - timedelta(days=9)  # its own clock, which nobody has moved
    order = {"journey_id": journey.id, "reason": "lost", "reported_at": reported.isoformat()}
    late = await stage.peer((await stage.open("SecurityIncident", order)).id)
    await late.wait(seconds=5)
    snapshot = await late.status()
    assert snapshot["status"] == "Overdue"
    assert "falls due" not in snapshot["needs_attention"]
    assert len(alarms(journey)) == before + 2, "opened, and overdue"
    await late.wait(days=1)
    assert len(alarms(journey)) == before + 3
    await late.update("close", {"by": "Ruth"})
    assert (await late.result())["status"] == "Closed"


async def test_lost_and_in_possession_is_a_contradiction(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Active")
    order = {"confirmed": True, "reason": "lost", "in_possession": True}
    assert "lost and in possession at once" in await journey.refused("deactivate", order)
    assert (await journey.status())["status"] == "Active"


@pytest.mark.parametrize("reason", ["faulty", "no_longer_needed"])
async def test_other_reasons_open_none(stage: Stage, reason: str) -> None:
    journey = await stage.request("hard")
    await journey.reach("Active")
    await journey.update("deactivate", {"confirmed": True, "reason": reason})
    await journey.result()
    assert not await stage.exists(incident_id(journey.id))


async def test_alarmed_before_and_after(stage: Stage) -> None:
    journey, incident = await loss(stage)
    due = datetime.fromisoformat((await incident.status())["due_at"])
    await incident.to(due - timedelta(hours=4, minutes=1))
    assert len(alarms(journey)) == 1
    assert (await incident.status())["needs_attention"] is None
    await incident.to(due - timedelta(hours=3, minutes=59))
    assert len(alarms(journey)) == 2
    assert "falls due" in (await incident.status())["needs_attention"]
    await incident.to(due + timedelta(minutes=1))
    snapshot = await incident.status()
    assert snapshot["status"] == "Overdue"
    assert "is overdue" in snapshot["needs_attention"]
    assert snapshot["promises"][0]["broken"]
    assert len(alarms(journey)) == 3
    assert len(set(alarms(journey))) == 3
    await incident.to(due + timedelta(days=2, minutes=1))
    assert len(alarms(journey)) == 5
    await incident.signal("close", {"by": "Ruth"})
    assert (await incident.result())["status"] == "Closed"
    assert stage.rows("select status from incidents") == [("Closed",)]


async def test_it_shows_by_search_attribute(stage: Stage) -> None:
    journey, incident = await loss(stage, "stolen")
    described = await incident.handle.describe()
    attributes = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    assert attributes["IncidentStatus"] == "Open"
    assert attributes["PrescriberId"] == "P-1001"
    assert attributes["NeedsAttention"] is False
    assert attributes["ActionDueBy"] == datetime.fromisoformat((await incident.status())["due_at"]).replace(
        microsecond=attributes["ActionDueBy"].microsecond
    )
    token = journey.token()
    assert token is not None
    assert attributes["SerialNumber"] == token.serial_number
    await incident.update("close", {"by": "Ruth"})
    await incident.result()
    described = await incident.handle.describe()
    assert {pair.key.name: pair.value for pair in described.typed_search_attributes}["IncidentStatus"] == "Closed"


async def test_one_begun_by_hand(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Active")
    early = await stage.open("SecurityIncident", {"journey_id": journey.id, "reason": "stolen"})
    assert "still counts as held; deactivate it" in await early.failed()
    await journey.update("deactivate", {"confirmed": True, "reason": "faulty"})
    await journey.result()
    incident = await stage.open("SecurityIncident", {"journey_id": journey.id, "reason": "stolen"})
    assert (await incident.status())["status"] == "Open"
    nowhere = await stage.open("SecurityIncident", {"journey_id": "nowhere"})
    assert "There is no journey nowhere" in await nowhere.failed()
    wrong = await stage.open("SecurityIncident", {"journey_id": journey.id, "reason": "faulty"})
    assert "`reason` must be" in await wrong.failed()


async def test_cancelling_it_in_temporal_is_refused_and_kept(stage: Stage) -> None:
    _, incident = await loss(stage)
    await incident.handle.cancel()
    await incident.wait(minutes=1)
    snapshot = await incident.status()
    assert snapshot["status"] == "Open"
    assert "send `close`" in snapshot["refused"][-1]["reason"]
