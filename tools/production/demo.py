"""`make demo-stack`: the demo on the production shape, while both its workers are replaced by those of the next build."""

import asyncio
import os
import shutil
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from connection import TASK_QUEUE, connect
from settings import Settings
from starter import deployments
from starter.demo import Demo, play_on
from starter.output import Refusal, out
from starter.supervision import StackError
from tools.production.stack import FOR_TRIALS, ProductionStack

NEXT = "next"
"""The build of the workers that come. Its code is the same: what is shown is the change, not a release."""
_STATE = Path(".local/demo-stack")

Change = tuple[str, Callable[[], Awaitable[Any]]]


class Changes:
    """What is done to the stack while the demo goes on: one change with each of its parts, from the second on."""

    def __init__(self, *changes: Change) -> None:
        self._left = list(changes)
        self._parts = 0
        self._under_way: asyncio.Future[Any] | None = None

    async def go_on(self) -> None:
        """Begins the next change. Raises what became of the one before."""
        await self._done()
        self._parts += 1
        if self._parts > 1 and self._left:
            what, change = self._left.pop(0)
            out.print(f"\n[reverse] Meanwhile [/] {what}")
            self._under_way = asyncio.ensure_future(change())

    async def all_done(self) -> None:
        await self._done()
        if self._left:
            raise Refusal(f"The demo was over before all changes were begun; left: {len(self._left)}.")

    async def _done(self) -> None:
        if self._under_way is not None:
            await self._under_way
            self._under_way = None


async def play(stack: ProductionStack) -> bool:
    """Plays the demo on a running stack with two workers; whether everything was as promised. From here on this process's
    environment speaks to that stack."""
    os.environ.update(stack.environment("gateway"))
    settings = Settings(_env_file=None).model_copy(update={"state": stack.places.state})  # type: ignore[call-arg]
    deployment = stack.environment("worker-1")["TOKENS_DEPLOYMENT"]
    client = await connect(settings)
    next_build = {"TOKENS_BUILD_ID": NEXT}
    changes = Changes(
        ("a worker of the next build comes up, and is given nothing yet", lambda: stack.add_worker(3, next_build)),
        ("the next build is promoted", lambda: deployments.promote(client, deployment, NEXT, wait=60)),
        ("one old worker is told to end", lambda: stack.remove_worker("worker-1")),
        ("a second worker of the next build comes up", lambda: stack.add_worker(4, next_build)),
        ("the other old worker is told to end", lambda: stack.remove_worker("worker-2")),
    )
    kept = await play_on(Demo(client, settings, stack.info, changes.go_on))
    await changes.all_done()
    done, failed = await workflow_tasks(client)
    out.print(f"Workflow tasks by build: {dict(sorted(done.items()))}; failed: {failed}.")
    return kept and not failed and set(done) == {settings.build_id, NEXT}


async def workflow_tasks(client: Client) -> tuple[Counter[str], int]:
    """Of all workflows: how many each build has done, and how many have failed."""
    done, failed = Counter[str](), 0
    async for each in client.list_workflows(f"TaskQueue = '{TASK_QUEUE}'"):
        handle = client.get_workflow_handle(each.id, run_id=each.run_id)
        async for event in handle.fetch_history_events():
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                failed += 1
            elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                done[event.workflow_task_completed_event_attributes.deployment_version.build_id] += 1
    return done, failed


async def main(state: Path) -> None:
    """On a fresh stack in `state`, which goes afterwards. Raises StackError, Refusal."""
    shutil.rmtree(state, ignore_errors=True)
    stack = ProductionStack(state, lambda said: out.print(f"  {said}", markup=False, soft_wrap=True), FOR_TRIALS)
    stack.remove()
    out.print("[bold]Starting the production shape[/] (PostgreSQL, Temporal, UI, the parties, gateway, two workers)")
    try:
        async with stack:
            if not await play(stack):
                raise Refusal("Not everything was as promised: see above.")
    finally:
        stack.remove()


if __name__ == "__main__":
    try:
        asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else _STATE))
    except (StackError, Refusal) as refusal:
        sys.exit(str(refusal))
