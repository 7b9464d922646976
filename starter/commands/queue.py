"""`tokens queue`: what waits to be processed, in the order in which `ProcessQueue` takes it, and processing it."""

import asyncio
import uuid
from typing import Annotated, Any

import typer
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowQueryFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from connection import TASK_QUEUE
from database.queue import waiting
from domain.status import Kind
from starter import target
from starter.commands.arguments import body
from starter.commands.journeys import as_json
from starter.output import Json, Refusal, command, err, out, show_json, table, when
from workflows.messages import MOST_AT_ONCE

app = typer.Typer()

_LISTED = 50
_UP_AFTER = 60.0
"""Seconds without progress after which the command stops waiting; the run goes on without it."""
_LOOK_EVERY = 0.5


@app.command()
@command
async def queue(
    process: Annotated[bool, typer.Option("--process", help="Process them, instead of listing them.")] = False,
    kind: Annotated[Kind | None, typer.Option(help="Only hard or only soft ones.")] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_AT_ONCE, help=f"At most so many. Left out: lists {_LISTED}, processes all."),
    ] = None,
    operator: Annotated[str, typer.Option(help="Who processes them.", envvar="USER")] = "operator",
    json: Json = False,
) -> None:
    """Requests that wait to be processed: urgent ones first (they replace a lost or stolen token), then the oldest."""
    settings = target.settings_in_use()
    if process:
        async with target.temporal(settings) as client:
            report = await _processed(client, body(operator=operator, kind=kind, limit=limit), quiet=json)
        _report(report, json)
        return
    with target.database(settings) as sessions, sessions() as session:
        rows = list(session.execute(waiting(kind).limit(limit or _LISTED)))
    if json:
        show_json([{**as_json(row), "replaces": row.replaces, "urgent": bool(urgent)} for row, urgent in rows])
        return
    listed = table("Journey", "prescriber", "kind", "requested", "due", "", "")
    for row, urgent in rows:
        listed.add_row(
            row.journey_id,
            row.prescriber_id,
            row.kind,
            when(row.requested_at),
            when(row.action_due_by),
            "urgent" if urgent else "",
            row.needs_attention or "",
        )
    out.print(listed if rows else "There are none.")


async def _processed(client: Client, order: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Runs `ProcessQueue` and tells how far it is. Raises Refusal with its own sentence, or when it stands still."""
    handle: WorkflowHandle[Any, dict[str, Any]] = await client.start_workflow(
        "ProcessQueue",
        order,
        id=f"process-queue-{uuid.uuid4().hex[:12]}",
        task_queue=TASK_QUEUE,
        static_summary="Processing the queue",
    )
    ended = asyncio.ensure_future(handle.result())
    done, still = 0, 0.0
    while not ended.done():
        await asyncio.wait([ended], timeout=_LOOK_EVERY)
        progress = None if ended.done() else await _progress(handle)
        if progress and progress["outcomes"][done:]:
            done, still = len(progress["outcomes"]), 0.0
            if not quiet:
                err.print(f"{done} of {progress['to_do']}", style="dim")
        else:
            still += _LOOK_EVERY
        if still >= _UP_AFTER and not ended.done():
            ended.cancel()
            raise Refusal(f"{handle.id} is not finished yet; it goes on by itself, look at it in the Temporal UI.")
    try:
        return await ended
    except WorkflowFailureError as fault:
        cause = fault.cause
        raise Refusal(cause.message if isinstance(cause, ApplicationError) else str(cause or fault)) from None


async def _progress(handle: WorkflowHandle[Any, Any]) -> dict[str, Any] | None:
    """How far it is; None where nobody can say just now."""
    try:
        return await asyncio.wait_for(handle.query("status"), 5)
    except (RPCError, WorkflowQueryFailedError, TimeoutError):
        return None


def _report(report: dict[str, Any], json: bool) -> None:
    if json:
        show_json(report)
    else:
        listed = table("Journey", "kind", "", "outcome", "")
        for each in report["outcomes"]:
            said = each["reason"] or (f"token {each['serial_number']}" if each["serial_number"] else "")
            listed.add_row(each["journey_id"], each["kind"], "urgent" if each["urgent"] else "", each["outcome"], said)
        out.print(listed if report["outcomes"] else "Nothing was waiting.")
        if report["left"]:
            out.print(f"{report['left']} more are waiting.")
    if report["refused"] or report["unanswered"]:
        raise Refusal("Not every request was processed; each says why.")
