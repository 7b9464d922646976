"""Both kinds, the ordinary way, from Requested to Deactivated."""

from datetime import datetime, timedelta

from tests.stage import Stage


async def test_hard_token_reaches_active_by_the_article_s_steps(stage: Stage) -> None:
    journey = await stage.request("hard", requested_by="the prescriber")
    assert (await journey.status())["status"] == "Requested"
    await journey.wait(seconds=2)
    assert journey.letters() == ["team_request_waiting", "request_received"]

    await journey.process()
    snapshot = await journey.status()
    assert snapshot["status"] == "Shipped"
    assert snapshot["serial_number"]
    assert [shipment["tracking_number"] for shipment in stage.done("carrier", "shipments", journey.id)] == [
        snapshot["tracking_number"]
    ]
    assert len(stage.done("vendor", "provisionings", journey.id)) == 1
    assert journey.letters()[2:] == ["vendor_activation_hard", "shipped"]

    await journey.wait(days=3)
    await journey.deliver()
    assert (await journey.status())["status"] == "Delivered"
    assert journey.letters()[4:] == ["delivered"]

    await journey.enroll()
    assert (await journey.status())["status"] == "Syncing"
    await journey.wait(minutes=10)
    snapshot = await journey.status()
    assert snapshot["status"] == "Active"
    assert journey.letters()[5:] == ["active"]
    assert all(promise["met_at"] and not promise["broken"] for promise in snapshot["promises"])
    assert [promise["what"] for promise in snapshot["promises"]] == [
        "processed in time",
        "activation email sent",
        "shipped the day it is processed",
        "delivered in time",
        "active in time after enrolment",
    ]

    outcome = await journey.update("deactivate", {"reason": "faulty", "confirmed": True, "in_possession": True})
    assert outcome["status"] == "Deactivated"
    assert (await journey.result())["status"] == "Deactivated"
    assert journey.letters()[6] == "deactivated"  # the return's own, which asks for it by mail, may have come, too
    assert len(stage.done("vendor", "revocations", journey.id)) == 1
    token = journey.token()
    assert token is not None
    assert token.state == "coming_back"


async def test_soft_token_reaches_active_by_the_article_s_steps(stage: Stage) -> None:
    journey = await stage.request("soft")
    await journey.process()
    assert (await journey.status())["status"] == "Processed"
    assert journey.letters() == ["team_request_waiting", "request_received", "vendor_download_soft"]
    assert stage.done("carrier", "shipments", journey.id) == []

    await journey.wait(hours=2)
    await journey.enroll()
    await journey.wait(minutes=10)
    snapshot = await journey.status()
    assert snapshot["status"] == "Active"
    assert journey.letters()[3:] == ["active"]
    assert all(promise["met_at"] and not promise["broken"] for promise in snapshot["promises"])

    await journey.update("deactivate", {"confirmed": True})
    assert (await journey.result())["status"] == "Deactivated"
    assert journey.letters()[4:] == ["deactivated"]


async def test_hard_and_soft_go_side_by_side_for_one_prescriber(stage: Stage) -> None:
    hard = await stage.request("hard", "P-1004")
    soft = await stage.request("soft", "P-1004")
    await hard.reach("Active")
    await soft.reach("Active")


async def test_records_are_stamped_with_the_journey_s_time(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.wait(days=1, hours=1)
    await journey.process()
    snapshot = await journey.status()
    shipped = next(line["at"] for line in snapshot["timeline"] if line["what"] == "handed to the carrier")
    assert abs(datetime.fromisoformat(shipped) - await journey.now()) < timedelta(minutes=1)
    sent = journey.emails()[-1]["Date"].datetime
    assert abs(sent - await journey.now()) < timedelta(minutes=1)
