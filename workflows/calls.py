"""How journeys call activities: timeouts and retry policies, each once."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

A = TypeVar("A")

UNTIL_DONE = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(minutes=5)
)
"""A party that is down is asked for as long as it takes; refusals are non-retryable by their own flag."""

ATTEMPT = timedelta(seconds=30)
"""Longer than any party's own timeout; short, because a killed worker's attempt waits it out."""

SENDING, SILENCE = timedelta(minutes=3), timedelta(seconds=10)
"""Letters may take longer, as a slow mail server must not get one twice; a worker that was killed is noticed by its silence."""

PEER_ATTEMPT = timedelta(seconds=15)
"""The same for a step at another journey: Temporal itself answers, and a prescriber waits for what comes of it."""


A_FEW_TIMES = RetryPolicy(initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_attempts=3)
"""For a journey among many: one that hangs must not hold up the others."""


def polling(every: timedelta) -> RetryPolicy:
    """Asks at an even pace; each question is a retry, which keeps the polling out of the history."""
    return RetryPolicy(initial_interval=every, backoff_coefficient=1, maximum_interval=every)


async def local(method: Callable[[Any, Any], A], body: Any, *, summary: str) -> A:
    """A short step on our own database or in memory, as a local activity: a third of a regular one's cost. Raises the
    activity's own ApplicationError."""
    return await _unwrapped(
        workflow.execute_local_activity_method(
            method, body, start_to_close_timeout=ATTEMPT, retry_policy=UNTIL_DONE, summary=summary
        )
    )


async def remote(
    method: Callable[[Any, Any], A],
    body: Any,
    *,
    summary: str,
    retry_policy: RetryPolicy = UNTIL_DONE,
    within: timedelta | None = None,
    attempt: timedelta = ATTEMPT,
    beats_within: timedelta | None = None,
) -> A:
    """A step at an outside party. `within` bounds all its attempts together; without it they go on. `beats_within`: how long
    an attempt that sends heartbeats may be silent. Raises the activity's
    own ApplicationError, or ActivityError when time ran out or the stage was cancelled.

    A cancelled stage waits for the attempt in flight: what it does at the party must be known before it is undone.
    """
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
