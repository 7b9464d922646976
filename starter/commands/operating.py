"""`tokens views` and `tokens report`: an operator's lists, and how the work goes."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape

from database.reporting import report as counted
from domain.report import Report, in_words
from domain.token_state import TokenState
from domain.token_state import in_words as state_in_words
from starter import target
from starter.output import Json, command, out, show_json, table, when
from starter.reports import last_days
from starter.views import EXAMPLE_PRESCRIBER, EXAMPLE_SERIAL, VIEWS, link

app = typer.Typer()
_DAY = ["%Y-%m-%d"]


@app.command()
@command
async def views(
    serial: Annotated[str | None, typer.Option(help="Also: whose token is this?")] = None,
    prescriber: Annotated[str | None, typer.Option(help="Also: which tokens does this prescriber have?")] = None,
    json: Json = False,
) -> None:
    """An operator's lists as links into the Temporal UI (docs/operating.md). Moments in them are of now: make fresh ones each day."""
    settings, now = target.settings_in_use(), datetime.now(UTC)
    given = {"serial": serial, "prescriber": prescriber}
    shown = [view for view in VIEWS if all(value is not None or not view.needs(name) for name, value in given.items())]
    rows = []
    for view in shown:
        query = view.filled(now, serial or EXAMPLE_SERIAL, prescriber or EXAMPLE_PRESCRIBER)
        rows.append({"name": view.name, "question": view.question, "query": query, "link": link(settings, query)})
    if json:
        show_json(rows)
        return
    for row in rows:
        out.print(f"[bold]{row['name']}[/]: {escape(row['question'])}", soft_wrap=True)
        out.print(f"  {row['link']}", markup=False, soft_wrap=True)


@app.command()
@command
async def report(
    first: Annotated[
        datetime | None, typer.Option("--from", formats=_DAY, help="The first day; left out: 29 days before the last.")
    ] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=_DAY, help="The last day; left out: today.")] = None,
    json: Json = False,
) -> None:
    """How the work goes: requests per day, times, promises, stock, what is open. Days are the carrier's."""
    settings, now = target.settings_in_use(), datetime.now(UTC)
    period = last_days(settings.policy, now, first.date() if first else None, last.date() if last else None)
    with target.database(settings) as sessions, sessions() as session:
        found = counted(session, period, settings.policy, now)
    if json:
        show_json(found.model_dump(mode="json"))
    else:
        _print(found)


def _print(found: Report) -> None:
    period = found.period
    out.print(f"[bold]{period.first:%a %d %b %Y} to {period.last:%a %d %b %Y}[/] ({period.zone})\n")
    days = table("Day", "hard", "soft", "became active")
    for day in found.days:
        if day.hard or day.soft or day.activated:
            days.add_row(f"{day.day:%a %d %b %Y}", str(day.hard), str(day.soft), str(day.activated))
    out.print(days if days.row_count else "No requests, and no token became active.")
    paces = table("From request to active", "stage", "tokens", "half within", "nine of ten within")
    for pace in found.paces:
        paces.add_row(pace.kind, pace.stage, str(pace.tokens), in_words(pace.median), in_words(pace.p90))
    kept = table("Promised", "kept", "broken", "not due yet", "ended before", "kept, of those decided")
    for each in found.promises:
        share = "" if each.share is None else f"{each.share:.0%}"
        kept.add_row(each.what, *map(str, (each.kept, each.broken, each.open, each.dropped)), share)
    standing = table("Open now", "kind", "journeys", "need attention", "overdue", "oldest")
    for row in found.standing:
        numbers = map(str, (row.journeys, row.need_attention, row.overdue))
        standing.add_row(row.status, row.kind, *numbers, when(row.oldest))
    stock = table("Hard tokens", *(state_in_words(state) for state in _STATES), "")
    for batch in found.stock:
        numbers = (str(batch.states.get(state, 0)) for state in _STATES)
        stock.add_row(batch.batch, *numbers, "[yellow]low[/]" if batch.low else "")
    for each in (paces, kept, standing, stock):
        if each.row_count:
            out.print()
            out.print(each)
    out.print()
    out.print(
        f"Awaited by mail: {found.returns}. Losses to report: {found.incidents}, overdue: {found.incidents_overdue}."
    )


_STATES = [state for state in TokenState if state is not TokenState.REVOKED]
