"""Every status × every message × signal and update: accepted, or refused with its sentence."""

from typing import Any

import pytest
from sqlalchemy import text
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError

from domain.status import ACCEPTED_WHILE, Kind, Status
from starter.soft_enrollment import NotStored
from tests.stage import EVENING, TUESDAY, Play, Stage

NEW_ADDRESS = {
    "name": "Front desk",
    "street1": "12 State Circle",
    "city": "Annapolis",
    "state": "MD",
    "postal_code": "21401",
}
STATUSES = [
    (kind, status)
    for kind, statuses in {
        "hard": ["Requested", "Processed", "Shipped", "Delivered", "Syncing", "Active"],
        "soft": ["Requested", "Processed", "Syncing", "Active"],
    }.items()
    for status in statuses
]


async def body_of(name: str, journey: Play) -> dict[str, Any]:
    snapshot = await journey.status()
    match name:
        case "edit":
            return {"email": "new.address@clinic.example"}
        case "process":
            return {"operator": "Dana"}
        case "carrier_event":
            return {
                "tracking_number": snapshot["tracking_number"] or "TKN-none",
                "status": "in_transit",
                "occurred_at": (await journey.now()).isoformat(),
            }
        case "vendor_event":
            return {"event": "provisioned", "occurred_at": (await journey.now()).isoformat()}
        case "directory_event":
            return {"event": "synced", "occurred_at": (await journey.now()).isoformat()}
        case "enroll_hard":
            serial = snapshot["serial_number"]
            if snapshot["kind"] == "hard" and serial:
                return {"serial_number": serial, "passcode": journey.device(serial).press(at=await journey.now())}
            return {"serial_number": "HT-0000000000", "passcode": "123456"}
        case "enroll_soft":
            try:
                reference = await journey.soft_ref()
            except NotStored:  # refused before Temporal hears of it
                reference = "unknown"
            return {"token_name": "My phone", "enrollment_ref": reference}
        case "deactivate":
            return {"reason": "faulty", "confirmed": True}
        case _:
            return {}


MESSAGES = list(ACCEPTED_WHILE)
SIGNALS_ONLY = ("carrier_event", "vendor_event", "directory_event")


async def begin(stage: Stage, kind: str, status: str, prescriber_id: str = "P-1001") -> Play:
    """A journey at `status`. A hard token stays Processed only after the carrier's cut-off."""
    at = EVENING if (kind, status) == ("hard", "Processed") else TUESDAY
    journey = await stage.request(kind, prescriber_id, at=at)
    await journey.reach(status)
    return journey


def accepted(name: str, kind: str, status: str) -> bool:
    return Status(status) in ACCEPTED_WHILE[name][Kind(kind)]


ACCEPTED = [(kind, status, name) for kind, status in STATUSES for name in MESSAGES if accepted(name, kind, status)]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "status", "name"), ACCEPTED)
async def test_what_the_table_accepts_comes_as_an_update_and_as_a_signal(
    stage: Stage, kind: str, status: str, name: str
) -> None:
    if name not in SIGNALS_ONLY:
        journey = await begin(stage, kind, status)
        await journey.wait(seconds=2)  # the letters of the last step are out
        outcome = await journey.update(name, await body_of(name, journey))
        assert outcome["journey_id"] == journey.id
    if not name.startswith("enroll_"):
        journey = await begin(stage, kind, status, "P-1002")
        await journey.signal(name, await body_of(name, journey))
        await journey.wait(seconds=1)
        if name not in ("cancel", "deactivate"):
            assert (await journey.status())["refused"] == []


WORKFLOW_TASK = {
    EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED,
    EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "status"), STATUSES)
async def test_what_the_table_refuses_changes_nothing(stage: Stage, kind: str, status: str) -> None:
    """On one journey, one after the other: none of them takes it out of its status."""
    journey = await begin(stage, kind, status)
    await journey.wait(seconds=2)  # the letters of the last step are out
    refused = [name for name in MESSAGES if not accepted(name, kind, status)]
    for name in refused:
        if name not in SIGNALS_ONLY:
            await _refused_update(journey, name, kind, status)
    signalled = [name for name in refused if not name.startswith("enroll_")]
    for number, name in enumerate(signalled, 1):
        await journey.signal(name, await body_of(name, journey))
        await journey.wait(seconds=1)
        snapshot = await journey.status()
        assert snapshot["status"] == status
        assert [refusal["message"] for refusal in snapshot["refused"]] == signalled[:number]
        assert snapshot["refused"][-1]["reason"].endswith("instead.")
    with stage.sessions() as session:
        rows = session.execute(
            text("select refused from audit where journey_id = :id and refused is not null order by number"),
            {"id": journey.id},
        )
        assert [row[0] for row in rows] == [refusal["reason"] for refusal in (await journey.status())["refused"]]


async def _refused_update(journey: Play, name: str, kind: str, status: str) -> None:
    body = await body_of(name, journey)
    before = (await journey.handle.describe()).history_length
    sentence = await journey.refused(name, body)
    assert f"status {status}" in sentence or f"a {kind} token" in sentence
    assert sentence.endswith("instead.")
    # A refused update leaves nothing in history but, where the server could not drop it, the workflow task that judged it.
    added = [event.event_type async for event in journey.handle.fetch_history_events()][before:]
    assert set(added) <= WORKFLOW_TASK
    assert (await journey.status())["refused"] == []


@pytest.mark.parametrize("ending", ["Cancelled", "Deactivated"])
async def test_nothing_is_accepted_after_the_end(stage: Stage, ending: str) -> None:
    journey = await stage.request("soft")
    await journey.reach(ending)
    await journey.result()
    for name in MESSAGES:
        with pytest.raises((RPCError, WorkflowUpdateFailedError)):
            await journey.update(name, {})


MALFORMED = [
    (),
    ({}, {}),
    ("text",),
    ([1, 2],),
    (7,),
    (b"\xff\xfe",),
    (None,),
    ({"surprise": True},),
    ({"operator": 5, "email": [], "reason": {}, "by": 3, "confirmed": "perhaps"},),
]


@pytest.mark.parametrize("bodies", MALFORMED, ids=repr)
async def test_malformed_signals_are_kept_and_harm_nothing(stage: Stage, bodies: tuple[Any, ...]) -> None:
    journey = await stage.request("hard")
    for name in ("edit", "process", "carrier_event", "deactivate"):
        await journey.signal(name, *bodies)
    snapshot = await journey.status()
    assert snapshot["status"] == "Requested"
    assert [refusal["message"] for refusal in snapshot["refused"]] == ["edit", "process", "carrier_event", "deactivate"]
    await journey.reach("Shipped")


async def test_a_refusal_never_repeats_what_was_typed(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.signal("edit", {"email": "secret person@@clinic", "secret@clinic.example": 1})
    [refused] = (await journey.status())["refused"]
    assert "secret" not in refused["reason"]


async def test_updates_that_are_malformed_are_rejected_with_a_sentence(stage: Stage) -> None:
    journey = await stage.request("hard")
    assert "2 payloads came" in await journey.refused("edit", {}, {})
    assert "a text came" in await journey.refused("process", "Dana")
    assert "`operator` is missing" in await journey.refused("process", {})
    assert "`operator` is missing" in await journey.refused("process")
    for wrong in ("Da\x00na", "Dana\nMo", "Dana\x7f"):
        said = await journey.refused("process", {"operator": wrong})
        assert "`operator`: must not contain control characters; type it again without them" in said
    await journey.signal("edit", {"email": "new.address@clinic.example", "by": "A\x00nn"})
    [kept] = (await journey.status())["refused"]
    assert "`by`: must not contain control characters" in kept["reason"]
    assert "reason" in await journey.refused("cancel", {"reason": "lost\x00"})
    await journey.update("cancel", {"reason": "ordered twice:\n\tsee the other one", "by": "Ann"})


async def test_deactivation_needs_confirmation_and_a_reason(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Active")
    assert "must be confirmed" in await journey.refused("deactivate", {"reason": "lost"})
    assert "needs a reason" in await journey.refused("deactivate", {"confirmed": True})
    assert "needs a reason" in await journey.refused("deactivate", {"confirmed": True, "reason": "uninstalled"})
    await journey.update("deactivate", {"confirmed": True, "reason": "lost"})


async def test_edit_lands_in_record_and_on_the_label(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.update("edit", {"email": "new.address@clinic.example", "shipping_address": NEW_ADDRESS, "by": "Ann"})
    await journey.wait(seconds=5)
    assert journey.letters()[-1] == "request_changed"
    assert journey.emails()[-1]["To"] == "new.address@clinic.example"
    assert "already as sent" in await journey.refused("edit", {"email": "new.address@clinic.example"})
    await journey.process()
    [shipment] = stage.done("carrier", "shipments", journey.id)
    assert "12 State Circle" in str(shipment)


async def test_emails_name_who_has_done_it(stage: Stage) -> None:
    journey = await stage.request("hard", requested_by="Mo")
    await journey.update("edit", {"email": "new.address@clinic.example", "by": "Ann"})
    await journey.update("cancel", {"reason": "ordered twice", "by": "Ann O'Hara"})
    await journey.result()
    assert "Requested by: Mo" in journey.said("team_request_waiting")
    assert "Changed by: Ann" in journey.said("request_changed")
    assert "Cancelled by: Ann O'Hara" in journey.said("request_cancelled")
    assert "Reason: Ordered twice" in journey.said("request_cancelled")

    active = await stage.request("soft")
    await active.reach("Active")
    await active.update("deactivate", {"confirmed": True, "by": "Ann"})
    await active.result()
    assert "Deactivated by: Ann" in active.said("deactivated")

    cancelled = await stage.request("soft")
    await cancelled.handle.cancel()
    await cancelled.result()
    assert "emporal" not in cancelled.said("request_cancelled"), "a prescriber knows nothing of it"


async def test_edit_checks_email_and_address(stage: Stage) -> None:
    journey = await stage.request("hard")
    assert "21401" not in await journey.refused("edit", {"shipping_address": NEW_ADDRESS | {"state": "CA"}})
    await journey.refused("edit", {"shipping_address": NEW_ADDRESS | {"state": "ZZ"}})
    await journey.refused("edit", {"email": "nobody"})
    snapshot = await journey.status()
    assert len(snapshot["refused"]) == 3
    soft = await stage.request("soft")
    assert "not shipped" in await soft.refused("edit", {"shipping_address": NEW_ADDRESS})


async def test_next_names_only_what_is_accepted_with_json_that_works(stage: Stage) -> None:
    journey = await stage.request("hard")
    steps = {step["message"]: step["example"] for step in (await journey.status())["next"]}
    assert list(steps) == ["edit", "process", "cancel"]
    await journey.update("edit", steps["edit"])
    await journey.update("process", steps["process"])
