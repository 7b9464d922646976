"""The simulated app on a prescriber's phone: `tokens simulate app` and `tokens simulate passcode`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from starter import target
from starter.commands.arguments import Journey
from starter.commands.journeys import SET_UP_BEFORE, refuse_unless_enrollable, send, simulate, store_pin
from starter.output import command, out, show_json


@simulate.command()
@command
async def app(
    journey_id: Journey,
    pin: Annotated[str | None, typer.Option(help="Four digits. Left out: asked for, unseen.")] = None,
    name: Annotated[str, typer.Option(help="What to call the token.")] = "My phone",
    device: Annotated[str | None, typer.Option(help="Fingerprint of the device that the app is on.")] = None,
    enroll: Annotated[bool, typer.Option("--enroll", help="Enrol the token, too.")] = False,
) -> None:
    """Set up a soft token's app: choose its PIN, scan its code. Prints the JSON that `enroll_soft` takes."""
    from simulators.soft_app import SoftApp

    await refuse_unless_enrollable(journey_id)
    chosen = pin or typer.prompt("PIN, four digits", hide_input=True, confirmation_prompt=True, err=True)
    reference, uri = await store_pin(journey_id, chosen, device)
    if uri is not None:
        SoftApp(journey_id, Path(target.settings_in_use().state)).scan(uri)
    elif enroll:
        out.print(SET_UP_BEFORE)
    given = {"token_name": name, "enrollment_ref": reference}
    if enroll:
        await send(journey_id, "enroll_soft", given, "Enrolled.", json=False)
    else:
        show_json(given)


@simulate.command()
@command
async def passcode(
    journey_id: Journey,
    at: Annotated[datetime | None, typer.Option(help="UTC; left out: now.")] = None,
) -> None:
    """Read the passcode that a soft token's simulated app shows."""
    from simulators.soft_app import SoftApp

    moment = (at or datetime.now(UTC)).replace(tzinfo=UTC)
    print(SoftApp(journey_id, Path(target.settings_in_use().state)).passcode(moment))
