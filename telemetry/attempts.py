"""Each attempt of an activity: a log line, and a failure counted by the party that failed it."""

import time
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.errors import NEEDS_PERSON, REFUSED
from activities.metrics import FAILURES

log = structlog.get_logger(__name__)


class Attempts(Interceptor):
    """Looks on only: no header, argument, result or exception is changed."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _Attempt(next)


class _Attempt(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        begun = time.perf_counter()
        try:
            result = await self.next.execute_activity(input)
        except Exception as fault:
            kind = _kind(fault)
            if kind:
                FAILURES.labels(_party(fault), kind).inc()
            raise  # the SDK logs it
        log.info("done", seconds=round(time.perf_counter() - begun, 3))
        return result


def _kind(fault: Exception) -> str | None:
    """None: nothing has failed. A business rule has said no, or polling goes on."""
    if not isinstance(fault, ApplicationError):
        return "failed"
    if fault.type == REFUSED or fault.category is ApplicationErrorCategory.BENIGN:
        return None
    return "refused" if fault.type == NEEDS_PERSON else "failed"


def _party(fault: Exception) -> str:
    """`vendor`, `carrier`, `directory`, `mail`, `database`, or the sort of activity that is none of theirs."""
    if isinstance(fault, SQLAlchemyError):
        return "database"
    return activity.info().activity_type.partition(".")[0]
