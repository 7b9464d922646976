"""Replacements: the old token ends and the new one is requested, as one step that nothing can tear apart."""

import asyncio
from typing import Any

import pytest

from database.tables import ReplacementRow
from domain.peers import incident_id, replacement_id, return_id, successor_id
from domain.status import Kind
from tests.stage import TUESDAY, Play, Stage

pytestmark = pytest.mark.slow

ADDRESS = {"name": "Desk", "street1": "12 State Circle", "city": "Annapolis", "state": "MD", "postal_code": "21401"}


async def active(stage: Stage, kind: str = "hard", prescriber_id: str = "P-1001") -> Play:
    journey = await stage.request(kind, prescriber_id)
    await journey.reach("Active")
    return journey


async def replace(stage: Stage, old: Play, workflow_id: str | None = None, **body: Any) -> Play:
    order = {"journey_id": old.id, "reason": "faulty", "confirmed": True, "requested_by": "Ann"}
    return await stage.open(
        "ReplaceToken",
        {name: value for name, value in {**order, **body}.items() if value is not None},
        workflow_id=workflow_id,
    )


async def test_a_hard_token_is_replaced(stage: Stage) -> None:
    old = await active(stage)
    new_id = successor_id(old.id, Kind.HARD)
    replacement = await replace(stage, old, in_possession=True, shipping_address=ADDRESS, email="new@clinic.example")
    assert await replacement.result() == {"journey_id": new_id, "replaces": old.id, "status": "Requested"}
    new = await stage.peer(new_id)
    snapshot = await new.status()
    assert (snapshot["status"], snapshot["replaces"]) == ("Requested", old.id)
    assert (await old.result())["detail"] == "deactivated: faulty"
    assert stage.rows("select journey_id, status, replaces, replaced_by from journeys order by requested_at desc") == [
        (old.id, "Deactivated", None, new_id),
        (new_id, "Requested", old.id, None),
    ]
    assert not await old.signs()
    await new.wait(seconds=5)
    assert "request_received" in new.letters()
    [received] = [message for message in new.emails() if message["X-Token-Letter"] == "request_received"]
    assert received["To"] == "new@clinic.example"
    assert "12 State Circle" in str(received)
    [deactivated] = [message for message in old.emails() if message["X-Token-Letter"] == "deactivated"]
    assert "replacement" in str(deactivated)
    # In possession: it is asked back, on its own.
    back = await stage.peer(return_id(old.id))
    assert (await back.status())["status"] == "Awaited"


async def test_a_soft_token_needs_no_reason(stage: Stage) -> None:
    old = await active(stage, "soft")
    replacement = await replace(stage, old, reason=None, email="new@clinic.example")
    new = await stage.peer((await replacement.result())["journey_id"])
    assert (await new.status())["kind"] == "soft"
    assert stage.rows(f"select email from journeys where journey_id = '{new.id}'") == [("new@clinic.example",)]


async def test_the_new_one_becomes_active(stage: Stage) -> None:
    old = await active(stage)
    new = await stage.peer((await (await replace(stage, old, reason="lost")).result())["journey_id"])
    await new.reach("Active")
    assert await new.signs()
    assert not await old.signs()
    assert await stage.exists(incident_id(old.id))
    again = await replace(stage, new)
    assert (await again.result())["journey_id"] == successor_id(new.id, Kind.HARD)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"confirmed": False}, "must be confirmed"),
        ({"reason": None}, "needs a reason; send lost or faulty"),
        ({"reason": "stolen"}, "needs a reason; send lost or faulty"),
        ({"reason": "uninstalled"}, "needs a reason; send lost or faulty"),
        ({"email": "nobody-at-clinic"}, "email"),
        ({"shipping_address": {**ADDRESS, "state": "CA"}}, "ZIP"),
        ({"shipping_address": {"name": "Desk"}}, "is missing"),
        ({"journey_id": "nowhere"}, "There is no journey nowhere"),
        ({"journey_id": ["a"]}, "`journey_id`"),
        ({"requested_by": "P-1002"}, "somebody else's"),
        ({"prescriber_id": "P-1002"}, "somebody else's"),
        ({"surprise": 1}, "`surprise` is not known"),
    ],
)
async def test_what_is_refused_touches_nothing(stage: Stage, body: dict[str, Any], said: str) -> None:
    old = await active(stage)
    sentence = await (await replace(stage, old, **body)).failed()
    assert said in sentence
    assert sentence.endswith(".")
    assert stage.rows("select message, refused from audit where refused is not null") == [("replace", sentence)]
    assert (await old.status())["status"] == "Active"
    assert await old.signs()
    assert stage.rows("select count(*) from journeys") == [(1,)]
    assert stage.rows("select count(*) from replacements") == [(0,)]
    # And the right one still goes through, and is kept with who wanted it.
    new = (await (await replace(stage, old, requested_by="Ann")).result())["journey_id"]
    claims = f"select what, \"by\" from audit where journey_id = '{old.id}' and message = 'replace' and refused is null"
    assert stage.rows(claims) == [(f"to be replaced, faulty: {new}", "Ann")]


async def test_without_id_proofing_it_touches_nothing(stage: Stage) -> None:
    old = await active(stage)
    with stage.sessions.begin() as session:
        session.connection().exec_driver_sql("update prescribers set id_proofed = false")
    assert "has not completed ID proofing" in await (await replace(stage, old)).failed()
    assert await old.signs()


@pytest.mark.parametrize("status", ["Requested", "Shipped", "Syncing", "Deactivated"])
async def test_only_an_active_token_is_replaced(stage: Stage, status: str) -> None:
    old = await stage.request("hard")
    await (old.reach("Active") if status == "Deactivated" else old.reach(status))
    if status == "Deactivated":
        await old.update("deactivate", {"confirmed": True, "reason": "faulty"})
        await old.result()
    sentence = await (await replace(stage, old)).failed()
    assert f"only an active token is, and it is {status}" in sentence


async def test_once_replaced_it_is_not_replaced_again(stage: Stage) -> None:
    old = await active(stage)
    new_id = (await (await replace(stage, old)).result())["journey_id"]
    assert f"has been replaced already: journey {new_id}" in await (await replace(stage, old)).failed()


async def test_many_at_the_same_instant_are_one(stage: Stage) -> None:
    old = await active(stage)
    started = await asyncio.gather(*(replace(stage, old) for _ in range(6)))
    results = await asyncio.gather(*(play.result() for play in started), return_exceptions=True)
    done = [result for result in results if isinstance(result, dict)]
    assert len(done) == 1
    for result in results:
        if not isinstance(result, dict):
            assert "replaced" in str(getattr(result, "cause", result))
    assert stage.rows("select count(*) from journeys where live") == [(1,)]
    assert old.letters().count("deactivated") == 1


async def test_the_same_id_twice_is_one(stage: Stage) -> None:
    old = await active(stage)
    from temporalio.common import WorkflowIDConflictPolicy

    order = {"journey_id": old.id, "reason": "faulty", "confirmed": True}
    handles = [
        await stage.client.start_workflow(
            "ReplaceToken",
            order,
            id=replacement_id(old.id),
            task_queue=stage.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        for _ in range(2)
    ]
    one, two = await asyncio.gather(*(handle.result() for handle in handles))
    assert one == two


def broken_off(stage: Stage, old: Play) -> str:
    """What a replacement leaves that was terminated after its claim; the successor's id."""
    new_id = successor_id(old.id, Kind.HARD)
    with stage.sessions.begin() as session:
        session.add(
            ReplacementRow(
                journey_id=old.id,
                workflow_id="replace-gone",
                run_id="run-gone",
                successor_id=new_id,
                prescriber_id="P-1001",
                kind="hard",
                claimed_at=TUESDAY,
            )
        )
    return new_id


async def test_nobody_takes_the_place_in_between(stage: Stage) -> None:
    """From the claim on the prescriber's place is kept for the new token, whoever else asks."""
    old = await active(stage)
    broken_off(stage, old)
    await old.update("deactivate", {"confirmed": True, "reason": "faulty"})
    await old.result()
    intruder = await stage.start({"prescriber_id": "P-1001", "kind": "hard"})
    assert "is being replaced: replace-gone" in await intruder.failed()
    # The other kind is not concerned.
    assert (await (await stage.request("soft")).status())["status"] == "Requested"


@pytest.mark.parametrize("deactivated", [False, True])
async def test_one_that_was_broken_off_is_taken_up(stage: Stage, deactivated: bool) -> None:
    old = await active(stage)
    new_id = broken_off(stage, old)
    if deactivated:
        await old.update("deactivate", {"confirmed": True, "reason": "faulty", "replaced_by": new_id})
        await old.result()
    assert (await (await replace(stage, old)).result())["journey_id"] == new_id
    assert (await (await stage.peer(new_id)).status())["status"] == "Requested"
    assert stage.rows("select count(*) from replacements where finished_at is null") == [(0,)]


async def test_one_that_was_terminated_is_taken_up_under_its_own_id(stage: Stage) -> None:
    """As `tokens replace` does it, which knows one id for each token."""
    old = await active(stage)
    new_id = broken_off(stage, old)
    own_id = replacement_id(old.id)
    gone = await stage.client.start_workflow("ReplaceToken", {}, id=own_id, task_queue="nobody works here")
    await gone.terminate("by mistake")
    with stage.sessions.begin() as session:
        row = session.get_one(ReplacementRow, old.id)
        row.workflow_id, row.run_id = own_id, gone.first_execution_run_id or ""
    order = {"journey_id": old.id, "reason": "faulty", "confirmed": True}
    again = await stage.open("ReplaceToken", order, workflow_id=own_id)
    assert (await again.result())["journey_id"] == new_id


async def test_a_cancellation_in_the_ui_leaves_it_running(stage: Stage) -> None:
    """Between its two halves there is neither token nor request."""
    old = await active(stage)
    new_id = broken_off(stage, old)
    with stage.sessions.begin() as session:
        session.connection().exec_driver_sql("update prescribers set id_proofed = false")
    replacement = await replace(stage, old)
    await replacement.wait(minutes=1)
    assert (await old.result())["status"] == "Deactivated"
    await replacement.handle.cancel()
    await replacement.wait(minutes=1)
    with stage.sessions.begin() as session:
        session.connection().exec_driver_sql("update prescribers set id_proofed = true")
    await replacement.wait(hours=2)
    assert (await replacement.result())["journey_id"] == new_id
    assert (await (await stage.peer(new_id)).status())["status"] == "Requested"


async def test_one_that_runs_is_waited_for(stage: Stage) -> None:
    old = await active(stage)
    new_id = broken_off(stage, old)
    other = await stage.request("soft", "P-1005")  # any workflow that is running
    with stage.sessions.begin() as session:
        session.get_one(ReplacementRow, old.id).workflow_id = other.id
    assert f"is being replaced by {other.id}" in await (await replace(stage, old)).failed()
    assert not await stage.exists(new_id)
    assert await old.signs()


async def test_a_plain_request_may_name_the_lost_one_it_replaces(stage: Stage) -> None:
    lost = await stage.request("hard")
    await lost.reach("Shipped")
    await lost.wait(days=16)
    await lost.result()
    new = await stage.request("hard", replaces=lost.id)
    assert (await new.status())["replaces"] == lost.id
    assert stage.rows(f"select replaced_by from journeys where journey_id = '{lost.id}'") == [(new.id,)]
    others = await stage.start({"prescriber_id": "P-1004", "kind": "hard", "replaces": lost.id})
    assert "is not a hard token of prescriber P-1004" in await others.failed()
    other_kind = await stage.start({"prescriber_id": "P-1001", "kind": "soft", "replaces": lost.id})
    assert "is not a soft token" in await other_kind.failed()
    await new.update("cancel", {})
    await new.result()
    second = await stage.start({"prescriber_id": "P-1001", "kind": "hard", "replaces": lost.id})
    assert f"has been replaced by journey {new.id}" in await second.failed()
