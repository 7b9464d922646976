"""Commands about token makers' files: taking one into stock, and making one to try with."""

import asyncio
import contextlib
import getpass
import signal
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import select
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError, WorkflowAlreadyStartedError

from activities.import_folder import ImportFolder
from connection import TASK_QUEUE
from database.engine import Sessions
from database.tables import ImportRow
from settings import Settings
from starter import target
from starter.commands.arguments import body
from starter.commands.journeys import simulate
from starter.output import Json, Refusal, command, err, out, show_json, table

app = typer.Typer()
_LOOK_EVERY = 0.5
_SHOWN = 20
_FORMATS = ("oath-csv", "yubico", "safenet-xml", "pskc")

FormatName = Annotated[
    str | None, typer.Option("--format", help=f"One of {', '.join(_FORMATS)}; left out: recognised.")
]


@app.command("import")
@command
async def import_file(
    file: Annotated[
        Path, typer.Argument(help="What the token maker has sent.", exists=True, dir_okay=False, readable=True)
    ],
    format_: FormatName = None,
    key: Annotated[str | None, typer.Option(help="PSKC: the key agreed upon before, in hex.")] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(help="PSKC: a file with the password.", exists=True, dir_okay=False, readable=True),
    ] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Take the good rows even if others are bad.")] = False,
    by: Annotated[str | None, typer.Option(help="Who imports; stands in the audit trail.")] = None,
    json: Json = False,
) -> None:
    """Take the tokens of a file into stock: all of it, or nothing if a row is bad. No token that is there is changed."""
    _known(format_)
    opener: dict[str, Any] = {"key": _key(key), "password": _password(password_file)}
    settings = target.settings_in_use()
    folder = ImportFolder(settings.folder_of_imports, target.seal_of(settings))
    async with target.temporal(settings) as client:
        try:
            name, digest = await asyncio.to_thread(folder.submit, file, **opener)
        except OSError as fault:
            raise Refusal(
                f"The file can't be copied to {folder.folder}: {fault.strerror}; nothing was imported."
            ) from None
        order = body(file=name, format=format_, partial=partial, imported_by=by or _user())
        handle, running = await _start(client, order, f"import-{digest[:16]}")
        if running:
            folder.clear(name)
            err.print("This file is being imported already; this is that import.", markup=False)
        try:
            report = await _ended(handle, settings)
        except BaseException as fault:
            if isinstance(fault, Refusal) and not isinstance(fault, _StillRuns):
                folder.clear(name)  # a terminated import can't do it itself
            raise
    _show(report, partial, json)


class _StillRuns(Refusal):
    """The command ends, the import does not."""


def _known(format_: str | None) -> None:
    if format_ is not None and format_ not in _FORMATS:
        raise typer.BadParameter(f"--format is one of {', '.join(_FORMATS)}")


def _key(key: str | None) -> bytes | None:
    try:
        return None if key is None else bytes.fromhex(key)
    except ValueError:
        raise typer.BadParameter("--key takes the key in hex digits, two for each byte") from None


def _password(file: Path | None) -> str | None:
    try:
        return None if file is None else file.read_text("utf-8-sig").rstrip("\r\n")
    except ValueError:
        raise typer.BadParameter("--password-file names a text file (UTF-8) with the password") from None


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "operator"


async def _start(client: Client, order: dict[str, Any], workflow_id: str) -> tuple[WorkflowHandle[Any, Any], bool]:
    """The import, and whether the same file was being imported before."""
    try:
        started = await client.start_workflow("ImportTokens", order, id=workflow_id, task_queue=TASK_QUEUE)
    except WorkflowAlreadyStartedError as fault:
        return client.get_workflow_handle(workflow_id, run_id=fault.run_id), True
    return started, False


async def _ended(handle: WorkflowHandle[Any, Any], settings: Settings) -> dict[str, Any]:
    """The report, with the progress shown meanwhile. Raises Refusal."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    ending = asyncio.ensure_future(handle.result())
    leaving = asyncio.ensure_future(stop.wait())
    run_id = handle.result_run_id or handle.run_id or ""
    with target.database(settings) as sessions, err.status("Reading the file.") as status:
        while not ending.done() and not leaving.done():
            await asyncio.wait({ending, leaving}, timeout=_LOOK_EVERY, return_when=asyncio.FIRST_COMPLETED)
            if err.is_terminal and (read := _rows_read(sessions, run_id)):
                status.update(f"Reading the file: {read:,} rows.")
    if not ending.done():
        ending.cancel()
        raise _StillRuns(f"The import goes on by itself, nothing is lost; see it in the Temporal UI as {handle.id}.")
    leaving.cancel()
    try:
        return ending.result()
    except WorkflowFailureError as fault:
        match fault.cause:
            case ApplicationError():
                raise Refusal(fault.cause.message) from None
            case CancelledError() | TerminatedError():
                raise Refusal("The import was cancelled by somebody; nothing was taken.") from None
            case _:
                raise Refusal(f"The import failed: {fault.cause}.") from None


def _rows_read(sessions: Sessions, run_id: str) -> int:
    with sessions() as session:
        return session.scalar(select(ImportRow.rows_read).where(ImportRow.import_id == run_id)) or 0


def _show(report: dict[str, Any], partial: bool, json: bool) -> None:
    taken, refused = report["taken"], report["refused_in_all"]
    if json:
        show_json(report)
    elif refused:
        listed = table("Line", "serial", "not taken, because")
        for row in report["refused"][:_SHOWN]:
            listed.add_row(str(row["line"]), row["serial"] or "", row["reason"])
        out.print(listed)
        if refused > _SHOWN:
            out.print(f"… and {refused - _SHOWN:,} more; --json shows the first {len(report['refused']):,}.")
    if refused and not taken:
        way = "there is no good one among them" if partial else "correct them, or take the good ones with --partial"
        rows = "1 row" if refused == 1 else f"{refused:,} rows"
        raise Refusal(f"Nothing was taken: {rows} can't be; {way}.")
    if not json:
        out.print(f"[bold]{taken:,}[/] tokens taken into stock ({report['format']}), {refused:,} rows refused.")


@simulate.command("batch")
@command
async def make_batch(
    format_: Annotated[str, typer.Option("--format", help=f"One of {', '.join(_FORMATS)}.")] = "oath-csv",
    count: Annotated[int, typer.Option(min=1, max=100_000, help="How many tokens.")] = 20,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", dir_okay=False, help="Left out: shown on the screen.")
    ] = None,
) -> None:
    """Make new hard tokens, as a token maker would: the file for `tokens import`, and devices for `tokens simulate press`."""
    from simulators import batch

    _known(format_)
    made = await asyncio.to_thread(batch.make, format_, count, Path(target.settings_in_use().state))
    if output is None:
        print(made, end="")
        return
    with contextlib.suppress(FileNotFoundError):
        output.unlink()
    output.touch(0o600)
    output.write_text(made)
    err.print(
        f"{count:,} tokens in {output}; take them into stock with: tokens import {output}", markup=False, soft_wrap=True
    )
