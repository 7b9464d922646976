"""How journeys call activities: where they run, timeouts and retry policies, each once (docs/decisions/0011-where-steps-run.md)."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

A = TypeVar("A")

UNTIL_DONE = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(minutes=5)
)
"""A party that is down is asked for as long as it takes; refusals are non-retryable by their own flag."""

SOON = RetryPolicy(initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(seconds=30))
"""The same for our own database, where a stage waits for what is written."""

ATTEMPT = timedelta(seconds=30)
"""Longer than any party's own timeout; short, because a killed worker's attempt waits it out."""

SENDING, SILENCE = timedelta(minutes=3), timedelta(seconds=10)
"""Letters may take longer, as a slow mail server must not get one twice; a worker that was killed is noticed by its silence."""

PEER_ATTEMPT = timedelta(seconds=15)
"""The same for a step at another journey: Temporal itself answers, and a prescriber waits for what comes of it."""


A_FEW_TIMES = RetryPolicy(initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_attempts=3)
"""For a journey among many: one that hangs must not hold up the others."""

ONCE = RetryPolicy(maximum_attempts=1)


class Turn:
    """What a journey does in its present workflow task."""

    def __init__(self, *, takes_attempts: bool = True) -> None:
        self.takes_attempts = takes_attempts
        self.under_way = 0
        """Steps that run within it, as local activities."""
        self.answering = False
        """Somebody's answer leaves with its end, so that nothing is begun in it that may take long."""
        self.asked = 0
        """Updates that are not answered yet: any task may be the one with which that is done."""

    def begin(self, *, answering: bool = False) -> None:
        """Another workflow task has begun, as far as it can be known."""
        self.answering = answering or self.asked > 0

    @contextmanager
    def step(self) -> Iterator[None]:
        """While a step runs within it."""
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1


def polling(every: timedelta) -> RetryPolicy:
    """Asks at an even pace; each question is a retry, which keeps the polling out of the history."""
    return RetryPolicy(initial_interval=every, backoff_coefficient=1, maximum_interval=every)


async def local(method: Callable[[Any, Any], A], body: Any, *, summary: str) -> A:
    """A short step on our own database or in memory, as a local activity. Raises the
    activity's own ApplicationError."""
    with _turn().step():
        return await _unwrapped(
            workflow.execute_local_activity_method(
                method, body, start_to_close_timeout=ATTEMPT, retry_policy=UNTIL_DONE, summary=summary
            )
        )


async def record(method: Callable[[Any, Any], A], body: Any, *, summary: str) -> A:
    """A journey's own writing: a local activity like any such step. Where somebody's answer leaves with the workflow task, it
    is regular: until that task is completed nothing in the history knows of the update, which is gone with a worker or a server that dies
    first, and the records must not say what the journey will never have done. All that comes after it has a workflow task of its own."""
    turn = _turn()
    if turn.takes_attempts and turn.answering:
        return await remote(method, body, summary=summary, retry_policy=SOON)
    return await local(method, body, summary=summary)


async def remote(
    method: Callable[[Any, Any], A],
    body: Any,
    *,
    summary: str,
    retry_policy: RetryPolicy = UNTIL_DONE,
    within: timedelta | None = None,
    attempt: timedelta = ATTEMPT,
    beats_within: timedelta | None = None,
    here_first: bool | None = None,
) -> A:
    """A step at an outside party. `within` bounds all its attempts together; without it they go on. `beats_within`: how long
    an attempt that sends heartbeats may be silent. Raises the activity's
    own ApplicationError, or ActivityError when time ran out or the stage was cancelled.

    The first attempt is a short one within the workflow task, unless somebody's answer leaves with that: a sixth of the
    events of those that follow where it does not succeed. `here_first`: True for what the answer itself waits for, False
    for what never succeeds at once.

    A cancelled stage waits for the attempt in flight: what it does at the party must be known before it is undone.
    """
    turn = _turn()
    if turn.takes_attempts and (here_first if here_first is not None else not turn.answering):
        with turn.step():
            succeeded, answer = await _here(method, body, attempt, summary)
        if succeeded:
            return answer
    try:
        return await _unwrapped(
            workflow.execute_activity_method(
                method,
                body,
                start_to_close_timeout=attempt,
                schedule_to_close_timeout=within,
                retry_policy=retry_policy,
                heartbeat_timeout=beats_within,
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                priority=_priority(),
                summary=summary,
            )
        )
    finally:
        turn.begin()


async def _here(method: Callable[[Any, Any], A], body: Any, attempt: timedelta, summary: str) -> tuple[bool, Any]:
    """Whether the step has succeeded by one attempt within the workflow task, and its answer. Raises what is not to be tried
    again, and CancelledError where the stage was cancelled meanwhile."""
    step = workflow.start_local_activity_method(
        method, body, start_to_close_timeout=attempt, retry_policy=ONCE, summary=summary
    )
    cancelled = False
    while not step.done():
        try:
            await workflow.wait_condition(step.done)
        except asyncio.CancelledError:
            cancelled = True
    try:
        return True, step.result()
    except ApplicationError as failure:
        if failure.non_retryable:
            raise
    except (FailureError, asyncio.CancelledError):
        pass  # it took too long, or its worker was told to stop
    if cancelled:
        raise asyncio.CancelledError
    return False, None


def _turn() -> Turn:
    """The workflow's own. Runs of release 0.1 keep none, nor do workflows that are not journeys: they make no attempt within
    their workflow tasks."""
    return getattr(workflow.instance(), "turn", None) or Turn(takes_attempts=False)


def _priority() -> Priority:
    """What the workflow says of itself just now. No command's order goes by it, so that it may change between releases."""
    return getattr(workflow.instance(), "priority", Priority.default)


async def _unwrapped(activity: Awaitable[A]) -> A:
    """Regular activities wrap what they failed with, local ones don't; callers see one form."""
    try:
        return await activity
    except ActivityError as error:
        if isinstance(error.cause, ApplicationError):
            raise error.cause from None
        raise
