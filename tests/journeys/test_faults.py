"""Parties that are down for hours, and replies that are lost after the work was done."""

from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from database import audit
from database.tables import EmailRow
from tests.stage import Play, Stage

pytestmark = pytest.mark.slow


def once_each(stage: Stage, journey: Play) -> None:
    """One email a step, one label, one provisioning, one allocation; the audit trail whole."""
    message_ids = Counter(message["Message-ID"] for message in journey.emails())
    assert set(message_ids.values()) == {1}
    assert max(Counter(journey.letters()).values()) == 1
    assert len(stage.done("carrier", "shipments", journey.id)) == 1
    assert len(stage.done("vendor", "provisionings", journey.id)) == 1
    with stage.sessions() as session:
        held = session.execute(
            text("select count(*) from tokens where journey_id = :id"), {"id": journey.id}
        ).scalar_one()
        assert held == 1
        states = session.scalars(select(EmailRow.state).where(EmailRow.journey_id == journey.id)).all()
        assert set(states) == {"sent"}
        unsent = session.scalars(select(EmailRow.sealed_message).where(EmailRow.sealed_message.is_not(None))).all()
        assert unsent == []
        assert audit.verify(session)[1] == []


async def to_active(journey: Play) -> None:
    await journey.process()
    await journey.wait(days=3)
    await journey.deliver()
    await journey.enroll()
    await journey.wait(minutes=30)
    assert (await journey.status())["status"] == "Active"


@pytest.mark.parametrize("party", ["vendor", "carrier"])
@pytest.mark.parametrize("fault", [{"kind": "error"}, {"kind": "error", "status": 429}, {"kind": "lose_reply"}])
async def test_a_party_down_for_hours(stage: Stage, party: str, fault: dict[str, object]) -> None:
    journey = await stage.request("hard")
    stage.fault(party, **fault)
    await journey.update("process", {"operator": "Dana"})
    await journey.wait(hours=3)
    assert (await journey.status())["status"] == "Processed"
    stage.clear_faults()
    await journey.wait(minutes=10)
    assert (await journey.status())["status"] == "Shipped"
    await journey.wait(days=3)
    await journey.deliver()
    await journey.enroll()
    await journey.wait(minutes=30)
    once_each(stage, journey)


@pytest.mark.parametrize("fault", ["lose_reply", "hang", "latency"])
async def test_every_party_fails_once_at_every_step(stage: Stage, fault: str) -> None:
    for party in ("vendor", "carrier", "directory"):
        stage.fault(party, kind=fault, times=1, seconds=0.05)
    journey = await stage.request("hard")
    await to_active(journey)
    once_each(stage, journey)
    assert len(stage.done("directory", "enrollments", journey.id)) == 1


@pytest.mark.parametrize("fault", ["tempfail", "down"])
async def test_mail_down_for_hours_holds_nothing_up(stage: Stage, fault: str) -> None:
    stage.mailbox.fault(fault)
    journey = await stage.request("hard")
    await journey.process()
    assert (await journey.status())["status"] == "Shipped"
    await journey.wait(hours=5)
    assert journey.letters() == []
    stage.mailbox.faults.clear()
    await journey.wait(minutes=10)
    assert journey.letters() == ["team_request_waiting", "request_received", "vendor_activation_hard", "shipped"]
    await journey.deliver()
    await journey.enroll()
    await journey.wait(minutes=30)
    once_each(stage, journey)


async def test_the_mail_server_s_reply_is_lost_after_it_took_the_letter(stage: Stage) -> None:
    stage.mailbox.fault("lose_reply", times=3)
    journey = await stage.request("hard")
    await journey.wait(minutes=5)
    await to_active(journey)
    once_each(stage, journey)
    assert stage.mailbox.duplicates >= 1


async def test_a_refused_recipient_needs_a_person_and_holds_up_no_other_letter(stage: Stage) -> None:
    stage.mailbox.fault("refuse", recipient="@gone.example")
    journey = await stage.request("hard", email="dr@gone.example")
    await journey.wait(seconds=5)
    assert journey.letters() == ["team_request_waiting"]
    assert "refuses the email" in (await journey.status())["needs_attention"]
    await journey.process()
    assert (await journey.status())["status"] == "Shipped"


async def test_a_full_mailbox_holds_up_no_other_letter_and_is_given_up_after_days(stage: Stage) -> None:
    stage.mailbox.fault("full", recipient="@full.example")
    journey = await stage.request("hard", email="dr@full.example")
    await journey.wait(days=2)
    assert journey.letters() == ["team_request_waiting", "team_still_waiting"]
    assert "refuses" not in (await journey.status())["needs_attention"]
    await journey.wait(days=3)
    assert "refuses the email `request_received`" in (await journey.status())["needs_attention"]
    refusals = "select letter, state, refusal from emails where refusal is not null"
    assert stage.rows(refusals) == [
        ("request_received", "refused", "the mail server has put the recipient off for days (452)")
    ]
    # What was not refused for so long comes when there is room again, and the journey ends with it.
    await journey.update("cancel", {"by": "Ann"})
    await journey.wait(hours=1)
    stage.mailbox.clear_faults()
    await journey.wait(hours=3)
    assert (await journey.result())["status"] == "Cancelled"
    assert journey.letters()[2:] == ["request_cancelled"]


async def test_a_party_that_refuses_for_good_needs_a_person_and_is_asked_again(stage: Stage) -> None:
    journey = await stage.request("hard")
    stage.fault("vendor", kind="refuse")
    await journey.process()
    assert "the vendor refused" in (await journey.status())["needs_attention"]
    await journey.wait(hours=4)
    assert journey.letters().count("team_needs_attention") == 1
    stage.clear_faults()
    await journey.wait(hours=1, minutes=5)
    assert (await journey.status())["status"] == "Shipped"


async def test_deactivated_at_once_while_vendor_and_directory_are_down(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Active")
    stage.fault("vendor", kind="error", method="PUT")
    stage.fault("directory", kind="error", method="DELETE")
    await journey.update("deactivate", {"confirmed": True, "reason": "stolen"})
    with stage.sessions() as session:
        status, state = session.execute(
            text("select status, state from journeys join tokens using (journey_id) where journey_id = :id"),
            {"id": journey.id},
        ).one()
    assert (status, state) == ("Deactivated", "written_off")
    await journey.wait(hours=6)
    assert stage.done("vendor", "revocations", journey.id) == []
    stage.clear_faults()
    await journey.wait(minutes=10)
    assert (await journey.result())["status"] == "Deactivated"
    assert len(stage.done("vendor", "revocations", journey.id)) == 1
    assert len(stage.done("directory", "revocations", journey.id)) == 1


async def test_cancelled_while_the_carrier_hangs_no_label_is_left_in_use(stage: Stage) -> None:
    journey = await stage.request("hard")
    stage.fault("carrier", kind="lose_reply", method="PUT", path="/v1/shipments/[^/]+$")
    await journey.update("process", {"operator": "Dana"})
    await journey.wait(minutes=5)
    assert len(stage.done("carrier", "shipments", journey.id)) == 1
    await journey.update("cancel", {})
    stage.clear_faults()
    await journey.wait(hours=1)
    assert (await journey.result())["status"] == "Cancelled"
    assert len(stage.done("carrier", "voids", journey.id)) == 1
    assert journey.token() is None


async def test_an_outage_into_the_next_morning_is_told_though_that_is_a_business_day(stage: Stage) -> None:
    journey = await stage.request("hard")
    stage.fault("vendor", kind="error")
    await journey.update("process", {"operator": "Dana"})
    await journey.wait(hours=25)  # Wednesday, eleven o'clock
    stage.clear_faults()
    await journey.wait(minutes=10)
    snapshot = await journey.status()
    assert snapshot["status"] == "Shipped"
    promise = next(promise for promise in snapshot["promises"] if promise["what"].startswith("shipped"))
    assert promise["met_at"] > promise["due"]
    assert promise["broken"] == "vendor or carrier could not be reached in time"


async def test_one_matter_that_comes_right_does_not_hide_another(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.wait(days=2)
    assert (await journey.status())["needs_attention"] == "not processed within 1 business day"
    stage.fault("vendor", kind="refuse", times=1)
    await journey.update("process", {"operator": "Dana"})
    await journey.wait(minutes=1)
    assert (await journey.status())["needs_attention"].startswith("the vendor refused")
    await journey.wait(hours=2)
    assert (await journey.status())["needs_attention"] is None


async def test_promise_is_told_as_broken_when_the_vendor_costs_the_day(stage: Stage) -> None:
    journey = await stage.request("hard")
    stage.fault("vendor", kind="error")
    await journey.update("process", {"operator": "Dana"})
    await journey.wait(hours=12)
    stage.clear_faults()
    await journey.wait(hours=14)
    snapshot = await journey.status()
    assert snapshot["status"] == "Shipped"
    promise = next(promise for promise in snapshot["promises"] if promise["what"].startswith("shipped"))
    assert promise["broken"] == "vendor or carrier could not be reached in time"
    assert promise["met_at"] > promise["due"]
    [shipped] = [message for message in journey.emails() if message["X-Token-Letter"] == "shipped"]
    body = shipped.get_body(("plain",))
    assert body is not None
    assert "could not be reached in time" in body.get_content()
    assert timedelta(0) < await journey.now() - journey.start
