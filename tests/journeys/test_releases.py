"""Workers of two releases at once, as during a rolling deploy or after a rollback: what one has kept, the other reads."""

import asyncio
import uuid
from typing import Any

import pytest
from pydantic import ValidationError
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.worker import Worker

from database.tables import JourneyRow
from domain.journey import Journey
from domain.passcodes import current
from domain.policy import Policy
from domain.status import Kind, Status
from settings import Settings
from tests.holding import BUTTON, NOON, hold
from tests.stage import Play, Stage

OTHER = {
    **Policy().model_dump(mode="json"),
    "figure_of_another_release": 7,
    "link_validity_days": 99_999,
    "return_address": {**Policy().return_address.model_dump(), "city": "Baltimore", "county": "Baltimore"},
}
"""Figures as another release has kept them: one is not known here, one beyond its bounds, one missing, and the address
has a part more."""
del OTHER["hotp_look_ahead"]


class Carrying:
    """A workflow of another release: the worker of this one takes it over when it continues as new."""

    @workflow.run
    async def run(self, order: dict[str, Any]) -> None:
        workflow.continue_as_new(order["carry"], task_queue=order["task_queue"])


@workflow.defn(name="TokenJourney", sandboxed=False)
class CarryingJourney(Carrying):
    @workflow.run
    async def run(self, order: dict[str, Any]) -> None:
        await super().run(order)


@workflow.defn(name="ProcessQueue", sandboxed=False)
class CarryingQueue(Carrying):
    @workflow.run
    async def run(self, order: dict[str, Any]) -> None:
        await super().run(order)


async def carried_on(stage: Stage, name: str, carry: dict[str, Any], workflow_id: str) -> WorkflowHandle[Any, Any]:
    """The run that goes on here after another release's has continued as new."""
    queue = f"other-release-{uuid.uuid4().hex[:8]}"
    async with Worker(stage.client, task_queue=queue, workflows=[CarryingJourney, CarryingQueue]):
        handle = await stage.client.start_workflow(
            name, {"carry": carry, "task_queue": stage.task_queue}, id=workflow_id, task_queue=queue
        )
        for _ in range(500):
            if (await stage.client.get_workflow_handle(workflow_id).describe()).run_id != handle.first_execution_run_id:
                break
            await asyncio.sleep(0.02)
    return stage.client.get_workflow_handle(workflow_id)


def carry(journey_id: str, serial: str, **fields: Any) -> dict[str, Any]:
    journey = Journey(
        journey_id=journey_id,
        prescriber_id="P-1",
        kind=Kind.HARD,
        status=Status.ACTIVE,
        email="a@here.example",
        serial_number=serial,
        requested_at=NOON,
    )
    stands = {**journey.model_dump(mode="json"), "policy": OTHER, "field_of_another_release": [1], **fields}
    return {"prescriber_id": "P-1", "kind": "hard", "line_of_another_release": "x", "carried": stands}


async def test_a_journey_goes_on_with_the_figures_of_another_release(stage: Stage) -> None:
    journey_id, serial = hold(stage.sessions, stage.seal)
    with stage.sessions.begin() as session:
        session.get_one(JourneyRow, journey_id).policy = OTHER
    handle = await carried_on(stage, "TokenJourney", carry(journey_id, serial), journey_id)
    journey = Play(stage, handle, NOON)
    assert (await journey.status())["status"] == "Active"
    # Signing in reads the row's figures, and so does the letter.
    stage.verification().verify(journey_id, current(BUTTON, 0), None, NOON)
    await journey.update("deactivate", {"confirmed": True, "reason": "faulty"})
    assert (await journey.result())["status"] == "Deactivated"
    assert journey.letters() == ["deactivated"]


async def test_a_state_that_cannot_be_read_waits_for_a_release_that_can(stage: Stage) -> None:
    journey_id, serial = hold(stage.sessions, stage.seal)
    handle = await carried_on(stage, "TokenJourney", carry(journey_id, serial, status="Suspended"), journey_id)
    failed = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    faults: list[HistoryEvent] = []
    for _ in range(200):
        if faults := [event async for event in handle.fetch_history_events() if event.event_type == failed]:
            break
        await asyncio.sleep(0.05)
    said = faults[0].workflow_task_failed_event_attributes.failure
    [decoded] = await stage.client.data_converter.payload_codec.decode([said.encoded_attributes])  # type: ignore[union-attr]
    assert b"can't be carried on by this release: `carried.status` must be" in decoded.data
    assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    await handle.terminate()


async def test_a_run_over_the_queue_goes_on_with_the_report_of_another_release(stage: Stage) -> None:
    handled = {"journey_id": "token-1", "kind": "hard", "urgent": False, "outcome": "processed", "weight": 3}
    report = {"operator": "Dana", "to_do": 1, "processed": 1, "outcomes": [handled], "pace": 2}
    carry = {"operator": "Dana", "station": "B", "carried": {"report": report, "reached": {}, "mood": "good"}}
    handle = await carried_on(stage, "ProcessQueue", carry, f"queue-{uuid.uuid4().hex[:8]}")
    assert (await asyncio.wait_for(handle.result(), 30))["processed"] == 1


def test_the_figures_are_as_near_as_this_release_can_read_them() -> None:
    policy = Policy.model_validate(OTHER)
    assert (policy.hotp_look_ahead, policy.link_validity_days) == (10, 14)
    assert policy.return_address.city == "Baltimore"


@pytest.mark.parametrize("figures", [{"link_valdity_days": 7}, {"link_validity_days": 0}])
def test_where_figures_are_set_a_wrong_one_is_refused(figures: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match=next(iter(figures))):
        Settings(policy=figures)  # type: ignore[arg-type]
