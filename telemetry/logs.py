"""Logs, one line each, to standard error: readable, or JSON for whatever collects them (`TOKENS_LOG_FORMAT`).

A line of an activity or a workflow names its journey, so that `grep` finds all that was done for one. What other libraries
say is held back below WARNING: an HTTP client or a database driver at DEBUG repeats what people have typed.
"""

import logging
import re
import sys
from typing import Any

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor
from temporalio import activity, workflow

from settings import Settings
from telemetry.discretion import places, told

OURS = ("activities", "database", "starter", "telemetry", "worker", "workflows", "temporalio")
_PLAIN_INNARDS = ("temporalio.worker", "temporalio.converter")
"""At DEBUG they print what an activity was given and gave back."""
_FIELDS = ("namespace", "task_queue", "workflow_id", "workflow_type", "activity_id", "run_id", "worker_task_queue")
"""What is taken over from a line of the SDK's core; its other fields may hold messages."""


def configure(settings: Settings) -> None:
    """From here on this process logs as the settings say."""
    json = settings.log_format == "json"
    level = logging.getLevelName(settings.log_level)
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _of_journey,
        _of_trace,
        _of_core,
        _without_values,
        _without_texts_of_faults,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    for name in _PLAIN_INNARDS:
        logging.getLogger(name).setLevel(max(level, logging.INFO))
    # Else the SDK repeats in words what `_of_journey` says in fields.
    activity.logger.activity_info_on_message = False
    workflow.logger.workflow_info_on_message = False
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _of_journey(_logger: Any, _method: str, event: EventDict) -> EventDict:
    if activity.in_activity():
        info = activity.info()
        event.update(journey_id=info.workflow_id, activity=info.activity_type, attempt=info.attempt)
    elif workflow.in_workflow():
        running = workflow.info()
        event.update(journey_id=running.workflow_id, workflow=running.workflow_type)
    return event


def _of_trace(_logger: Any, _method: str, event: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
    return event


def _of_core(_logger: Any, _method: str, event: EventDict) -> EventDict:
    entry = getattr(event.get("_record"), "temporal_log", None)
    if entry is not None:
        event.update({name: entry.fields[name] for name in _FIELDS if name in entry.fields})
    return event


def _without_values(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Python's warnings and asyncio's complaints print the object that they are about."""
    name, said = str(event.get("logger")), str(event["event"])
    if name == "py.warnings":
        kind = re.match(r"\S+:\d+: \w+", said)
        event["event"] = kind[0] if kind else "a warning"
    elif name == "asyncio":
        event["event"] = said.split("\n", 1)[0].split(" <", 1)[0]
    return event


def _without_texts_of_faults(_logger: Any, _method: str, event: EventDict) -> EventDict:
    given = event.pop("exc_info", None)
    record = event.get("_record")
    if record is not None:
        given = given or record.exc_info
        record.exc_info = record.exc_text = record.stack_info = None
    if given is True:
        given = sys.exc_info()
    fault = given[1] if isinstance(given, tuple) else given
    if isinstance(fault, BaseException):
        event["fault"], event["raised_at"] = told(fault), places(fault)
    return event
