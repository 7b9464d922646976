"""`tokens reconcile` and `tokens schedules`: what runs by the clock, by hand."""

import uuid
from typing import Annotated

import typer

from starter import schedules as by_the_clock
from starter import target
from starter.commands.arguments import body
from starter.commands.endings import run
from starter.output import Json, Refusal, command, out, show_json, table
from workflows.messages import MOST_REPAIRS

app = typer.Typer()


@app.command()
@command
async def reconcile(
    limit: Annotated[
        int | None,
        typer.Option(min=0, max=MOST_REPAIRS, help="How many repairs it may make; 0: it only looks."),
    ] = None,
    json: Json = False,
) -> None:
    """Compare database, Temporal, vendor and carrier; repair what is safe, list the rest."""
    async with target.temporal(target.settings_in_use()) as client:
        report = await run(client, "Reconcile", body(limit=limit), f"reconcile-{uuid.uuid4().hex[:12]}")
    if json:
        show_json(report)
    else:
        for title, found in (
            ("Repaired", report["repairs"]),
            ("Left for the next run", report["left_alone"]),
            ("For a person", report["findings"]),
        ):
            listed = table(title, "what", "")
            for each in found:
                listed.add_row(each["about"], each["what"], each["then"])
            if found:
                out.print(listed)
        for each in report["not_checked"]:
            out.print(f"Not checked: {each}", style="yellow", markup=False, soft_wrap=True)
        left = f", {report['left']} left for the next run" if report["left"] else ""
        out.print(f"{report['repaired']} repaired, {report['for_a_person']} for a person{left}.")
    if report["for_a_person"] or report["not_checked"]:
        raise Refusal("Not everything is as it should be; each finding says what to do.")


@app.command()
@command
async def schedules(json: Json = False) -> None:
    """Bring Temporal's schedules to what the settings say; harmless when repeated."""
    settings = target.settings_in_use()
    async with target.temporal(settings) as client:
        try:
            await by_the_clock.arrange(client, settings)
        except by_the_clock.NotArranged as refusal:
            raise Refusal(str(refusal)) from None
    wanted = list(by_the_clock.wanted(settings))
    if json:
        show_json(wanted)
    else:
        out.print(f"Arranged: {', '.join(wanted) or 'none'}.")
