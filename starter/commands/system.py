"""Commands about the system itself: the embedded stack, its database, its clocks, its health."""

import asyncio
import re
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from settings import Settings
from starter import keys, stack, target
from starter.clock import Clock, Stuck
from starter.output import Json, Refusal, command, out, show_json, table

app = typer.Typer()
db = typer.Typer(help="The application's database.", no_args_is_help=True)
mail = typer.Typer(help="The emails.", no_args_is_help=True)


@app.command()
@command
async def up(json: Json = False) -> None:
    """Start the embedded stack and stay up: Temporal with its UI, parties, mail sink, gateway, worker. Ctrl-C ends it."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tell = (lambda _said: None) if json else (lambda said: out.print(said, markup=False, soft_wrap=True))
    try:
        async with stack.Stack(Settings(), tell) as running:
            if json:
                show_json(running.info)
            else:
                _print_addresses(running.info)
            await stop.wait()
            tell("Ending.")
    except stack.StackError as refusal:
        raise Refusal(str(refusal)) from None


def _print_addresses(info: dict[str, object]) -> None:
    listed = table("Ready", "")
    for name, what in (
        ("desk", "begin here: sign in as a prescriber, read the mail, hold the device, move the clock"),
        ("ui", "Temporal UI: queue, journeys, signals, updates"),
        ("temporal", "Temporal, for any SDK or the temporal command"),
        ("gateway", "gateway: codec endpoints, webhooks, health"),
        ("sign_in", "operators sign in, with the key in the file below"),
        ("operator_key_file", "the operator's key, made at the first start"),
        ("mailbox", "mailbox: read every email as its reader does, and click its links"),
        ("mail", "the same emails, as a Maildir"),
        ("vendor", "vendor simulator"),
        ("carrier", "carrier simulator"),
        ("directory", "Surescripts simulator"),
    ):
        listed.add_row(str(info[name]), what)
    out.print(listed)
    out.print(
        f"\nFor the temporal command:  export TEMPORAL_ADDRESS={info['temporal']} TEMPORAL_CODEC_ENDPOINT={info['codec']}\n"
        "Try:  tokens request P-1001 --kind hard   then   tokens queue   (Ctrl-C here ends the stack)\n"
        "An operator's lists in the Temporal UI:  tokens views",
        markup=False,
        soft_wrap=True,
    )


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack up afterwards, to look around.")] = False,
) -> None:
    """The main job, end to end: a hard and a soft token from request to Active, days moved in seconds."""
    from starter.demo import play

    command(play)(keep)


@app.command()
@command
async def doctor(json: Json = False) -> None:
    """What is here, what is missing, and what to do about it."""
    from starter import doctor as examination

    checks = examination.examine(target.settings_in_use())
    if json:
        show_json(examination.as_json(checks))
    else:
        listed = table("", "what", "found", "advice")
        for check in checks:
            mark = "[green]ok[/]" if check.ok else "[red]no[/]" if check.required else "[dim]--[/]"
            listed.add_row(mark, check.name, escape(check.found), escape(check.advice or ""))
        out.print(listed)
    if not examination.healthy(checks):
        raise Refusal("Something is missing: see the advice above.")


_AHEAD = re.compile(r"(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)m)?$")


@app.command("fast-forward")
@command
async def fast_forward(
    journey_id: Annotated[str, typer.Argument(help="The journey whose clock is moved; the others stay.")],
    by: Annotated[str | None, typer.Argument(help="How far, such as 3d, 2h30m or 1d12h.")] = None,
    to: Annotated[datetime | None, typer.Option(help="Or the moment, in UTC.")] = None,
    json: Json = False,
) -> None:
    """Move one journey's clock (embedded stack only): what falls due by then happens now."""
    if (by is None) == (to is None):
        raise typer.BadParameter("say how far, such as 3d, or --to a moment")
    settings = target.settings_in_use()
    if stack.connect_info(settings.state) is None:
        raise Refusal(
            "Clocks can be moved in the embedded stack only, and none is running here; start it with `tokens up`."
        )
    async with target.temporal(settings) as client:
        handle = client.get_workflow_handle(journey_id)
        await handle.query("status")
        clock = Clock(client, handle)
        goal = to.replace(tzinfo=UTC) if to else await clock.now() + _span(by or "")
        try:
            await clock.to(goal)
        except (ValueError, Stuck) as fault:
            raise Refusal(f"The clock was not moved to its goal: {fault}; see the journey in the UI.") from None
        now = await clock.now()
    if json:
        show_json({"journey_id": journey_id, "now": now.isoformat()})
    else:
        out.print(f"[bold]{journey_id}[/] is at {now:%a %d %b %Y %H:%M} UTC.")


def _span(text: str) -> timedelta:
    match = _AHEAD.fullmatch(text.strip().lower())
    if match is None or not any(match.groups()):
        raise typer.BadParameter("say how far such as 3d, 2h30m or 1d12h")
    days, hours, minutes = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes)


@db.command()
@command
async def upgrade() -> None:
    """Bring the database to the newest revision; one that is there already is left as it is."""
    from database import migrate

    url = target.settings_in_use().url_of_database
    migrate.upgrade(url)
    out.print(f"The database is at revision {migrate.state(url)[0]}.")


@app.command("sample-data")
@command
async def sample_data() -> None:
    """Put in the sample practices, prescribers and hard tokens, where they are not in yet."""
    from database import migrate
    from starter import sample_data as samples

    settings = target.settings_in_use()
    migrate.upgrade(settings.url_of_database)
    seal = target.seal_of(settings) if settings.seal_keys else target.seal_of(_with_keys(settings))
    with target.database(settings) as sessions:
        out.print(f"{samples.load(sessions, seal)} rows added.")


def _with_keys(settings: Settings) -> Settings:
    """The settings with the embedded stack's own keys, made at first use."""
    import os

    os.environ.update(keys.environment(keys.load_or_create(settings.state)))
    return Settings()


@mail.command()
@command
async def preview(
    folder: Annotated[Path, typer.Argument(help="Where to write them.")] = Path(".local/mail-preview"),
) -> None:
    """Write every email, as its reader gets it, into a folder to look at in a browser."""
    from starter import mail_preview

    written = mail_preview.preview(folder)
    out.print(f"{len(written)} files; open {folder / 'index.html'}", markup=False, soft_wrap=True)
