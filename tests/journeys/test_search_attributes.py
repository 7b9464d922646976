"""Search attributes say what the journey says of itself, at every step of its way: lists are searched by them."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionDescription

from domain.peers import incident_id, return_id, successor_id
from domain.status import Kind
from tests.stage import EVENING, NEW_YORK, TUESDAY, Play, Stage
from workflows.search_attributes import REGISTRY

pytestmark = pytest.mark.slow

_OVER = {"Cancelled", "Deactivated", "Received", "Written off", "Closed"}


def owed(snapshot: dict[str, Any]) -> datetime | None:
    """When the next promise that is not met falls due; an ended journey owes nothing."""
    due = [datetime.fromisoformat(promise["due"]) for promise in snapshot["promises"] if not promise["met_at"]]
    return min(due) if due and snapshot["status"] not in _OVER else None


def ours(described: WorkflowExecutionDescription) -> dict[str, Any]:
    """Without those that the server adds."""
    return {pair.key.name: pair.value for pair in described.typed_search_attributes if pair.key.name in REGISTRY}


def recorded(play: Play, snapshot: dict[str, Any]) -> int | None:
    """How many of its promises the database holds as unmet."""
    said = ", ".join(repr(promise["what"]) for promise in snapshot["promises"])
    [row] = play.stage.rows(
        f"select sum(met_at is null) from promises where journey_id = '{snapshot['journey_id']}' and what in ({said})"
    )
    unmet: int | None = row[0]
    return unmet


async def true(play: Play) -> dict[str, Any]:
    """Its attributes, once they are found to say what the snapshot says: it may go on between one look at it and the next, and
    records go out beside the journey's stages."""
    for _ in range(100):
        with suppress(AssertionError):
            return await compared(play)
        await asyncio.sleep(0.1)
    return await compared(play)


async def compared(play: Play) -> dict[str, Any]:
    snapshot = await play.status()
    described = await play.handle.describe()
    found = ours(described)
    shown = {name: value for name, value in found.items() if name != "ActionDueBy"}
    said = {
        "PrescriberId": snapshot["prescriber_id"],
        "TokenKind": snapshot.get("kind", "hard"),
        "NeedsAttention": snapshot["needs_attention"] is not None,
        "SerialNumber": snapshot["serial_number"],
        "TokenStatus": snapshot["status"] if "replaces" in snapshot else None,
        "IncidentStatus": snapshot["status"] if "incident_id" in snapshot else None,
    }
    assert shown == {name: value for name, value in said.items() if value is not None}, snapshot["timeline"][-1]
    due, shown_due = owed(snapshot), found.get("ActionDueBy")
    assert (due is None) == (shown_due is None), (due, shown_due, snapshot["promises"])
    assert due is None or shown_due is None or abs(due - shown_due) < timedelta(milliseconds=1), snapshot["promises"]
    unmet = sum(not promise["met_at"] for promise in snapshot["promises"])
    assert recorded(play, snapshot) == unmet, "the database says otherwise"
    return {**snapshot, "due": due}


async def test_a_hard_token_from_request_to_return(stage: Stage) -> None:
    journey = await stage.request("hard", at=EVENING)
    waiting = await true(journey)
    assert waiting["status"] == "Requested"
    await journey.update("edit", {"email": "new@lakeside.example"})
    await true(journey)
    await journey.to(waiting["due"] + timedelta(minutes=1))
    assert (await true(journey))["needs_attention"] == "not processed within 1 business day"

    stage.fault("carrier", kind="error", status=503)
    await journey.update("process", {"operator": "Dana"})
    assert (await true(journey))["needs_attention"] is None
    await journey.wait(minutes=3)
    held = await true(journey)
    assert held["status"] == "Processed"
    assert [promise["what"] for promise in held["promises"] if not promise["met_at"]] == [
        "shipped the day it is processed"
    ]
    stage.clear_faults()
    await journey.wait(days=1)
    shipped = await true(journey)
    assert shipped["status"] == "Shipped"
    assert shipped["due"] > await journey.now() + timedelta(days=2), "the window's end"
    await journey.to(shipped["due"] + timedelta(minutes=1))
    late = await true(journey)
    assert "not delivered by business day 5" in late["needs_attention"]
    assert late["due"] == shipped["due"], "overdue until it is met"
    await journey.carrier("failure", await journey.now(), detail="address_not_found")
    assert "could not be delivered" in (await true(journey))["needs_attention"]

    await journey.deliver()
    delivered = await true(journey)
    assert (delivered["status"], delivered["due"], delivered["needs_attention"]) == ("Delivered", None, None)
    stage.polls_until_synced(None)
    await journey.enroll()
    syncing = await true(journey)
    assert syncing["status"] == "Syncing"
    assert syncing["due"], "an hour is promised from the first moment on"
    await journey.wait(minutes=61)
    assert "not synced" in (await true(journey))["needs_attention"]
    stage.polls_until_synced(1)
    await journey.wait(minutes=40)
    active = await true(journey)
    assert (active["status"], active["due"], active["needs_attention"]) == ("Active", None, None)
    await journey.update("deactivate", {"confirmed": True, "reason": "faulty", "in_possession": True})
    await true(journey)
    await journey.result()
    assert (await true(journey))["status"] == "Deactivated"

    back = await stage.peer(return_id(journey.id))
    await back.wait(seconds=5)
    awaited = await true(back)
    number = awaited["tracking_number"]
    event = {"tracking_number": number, "status": "delivered", "occurred_at": (await back.now()).isoformat()}
    await back.signal("carrier_event", event)
    assert (await true(back))["needs_attention"]
    await back.update("received", {"serial_number": awaited["serial_number"], "received_by": "Mo"})
    await back.result()
    assert (await true(back))["status"] == "Received"


async def test_soft_tokens_losses_and_other_ends(stage: Stage) -> None:
    journey = await stage.request("soft")
    await true(journey)
    await journey.process()
    processed = await true(journey)
    assert (processed["status"], processed["due"]) == ("Processed", None), "the activation email has gone out"
    await journey.enroll()
    assert (await true(journey))["due"]
    await journey.wait(minutes=10)
    assert (await true(journey))["status"] == "Active"
    await journey.update("deactivate", {"confirmed": True, "reason": "lost"})
    await journey.result()
    await true(journey)

    incident = await stage.peer(incident_id(journey.id))
    opened = await true(incident)
    assert opened["due"]
    await incident.to(opened["due"] - timedelta(hours=1))
    assert (await true(incident))["needs_attention"]
    await incident.to(opened["due"] + timedelta(minutes=1))
    assert (await true(incident))["status"] == "Overdue"
    await incident.update("close", {"by": "Ruth"})
    await incident.result()
    assert (await true(incident))["needs_attention"] is None

    held = await stage.request("hard", "P-1002", at=datetime(2037, 3, 4, 18, tzinfo=NEW_YORK))
    stage.fault("vendor", kind="error", status=422)
    await held.update("process", {"operator": "Dana"})
    await held.wait(seconds=5)
    assert (await true(held))["needs_attention"], "the vendor refuses"
    await held.update("cancel", {})
    assert (await true(held))["status"] == "Cancelled"
    stage.clear_faults()
    await held.wait(hours=2)
    await held.result()
    assert (await true(held))["needs_attention"] is None


async def test_a_replacement_and_its_successor(stage: Stage) -> None:
    journey = await stage.request("hard", at=TUESDAY)
    await journey.reach("Active")
    order = await stage.open("ReplaceToken", {"journey_id": journey.id, "reason": "lost", "confirmed": True})
    await order.result()
    described = await order.handle.describe()
    assert ours(described) == {"PrescriberId": "P-1001", "TokenKind": "hard", "NeedsAttention": False}
    assert (await true(journey))["status"] == "Deactivated"
    successor = await stage.peer(successor_id(journey.id, Kind.HARD))
    assert (await true(successor))["replaces"] == journey.id
