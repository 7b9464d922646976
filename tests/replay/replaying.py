"""A worker that has just been started, and has nothing but histories."""

from collections.abc import Sequence
from typing import Any

from temporalio.worker import Replayer, WorkflowRunner

from connection import data_converter
from settings import Settings
from worker import SANDBOX, WORKFLOWS


def replayer_for(
    settings: Settings, workflows: Sequence[type[Any]] = WORKFLOWS, runner: WorkflowRunner = SANDBOX
) -> Replayer:
    """A replayer that knows the `workflows` and reads payloads with the keys of `settings`."""
    # Debugging only takes its watch over endless loops away. Python looks for garbage within a workflow's task as anywhere else,
    # which in a process that has run thousands of tests may take longer than the two seconds of that watch.
    return Replayer(
        workflows=workflows, data_converter=data_converter(settings), workflow_runner=runner, debug_mode=True
    )
