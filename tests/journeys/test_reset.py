"""Reset, as the UI's button sends it: what was done is not done again."""

import uuid

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, ResetReapplyType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

from database import audit
from tests.stage import Play, Stage

pytestmark = pytest.mark.slow


async def reset(play: Play, place: int, *, messages: bool = True) -> Play:
    """To the workflow task that was completed as the `place`th, and with the messages that it had since if they are to come
    again; returns the journey as it goes on."""
    history = await play.handle.fetch_history()
    tasks = [
        event.event_id for event in history.events if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    ]
    await play.stage.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=play.stage.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=play.id),
            reason="an operator's click",
            workflow_task_finish_event_id=tasks[place],
            request_id=uuid.uuid4().hex,
            reset_reapply_type=ResetReapplyType.RESET_REAPPLY_TYPE_UNSPECIFIED
            if messages
            else ResetReapplyType.RESET_REAPPLY_TYPE_NONE,
        )
    )
    return Play(play.stage, play.stage.client.get_workflow_handle(play.id), play.start)


async def test_nothing_is_done_twice(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.update("edit", {"email": "elsewhere@example.com"})
    await journey.reach("Delivered")
    before = await journey.status()
    letters = sorted(journey.letters())
    for place in (-1, -3, 4, 0):
        journey = await reset(journey, place)
        snapshot = await journey.status()
        for _ in range(6):
            if snapshot["status"] == "Delivered":
                break
            # Messages come again by themselves; the rest is a matter of time.
            await journey.wait(days=1)
            snapshot = await journey.status()
        if snapshot["status"] == "Requested":
            await journey.process()
        assert snapshot["serial_number"] in (None, before["serial_number"])
        assert sorted(set(journey.letters())) == sorted(set(letters)), place
        assert len(journey.letters()) == len(letters), place
        assert len(stage.done("carrier", "shipments", journey.id)) == 1
        assert len(stage.done("vendor", "provisionings", journey.id)) == 1
    await journey.update("cancel", {})
    assert (await journey.result())["status"] == "Cancelled"
    with stage.sessions() as session:
        assert audit.verify(session)[1] == []
