"""Commands about active tokens: signing in, bringing one back that has run away, lifting the lock."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer

from activities.verification import NotVerified, Verification
from starter import target
from starter.commands.arguments import Journey
from starter.output import Json, Refusal, command, out, show_json

app = typer.Typer()

Pin = Annotated[str | None, typer.Option(help="Soft: four digits.")]
Who = Annotated[str, typer.Option(help="Who does this; stands in the audit trail.", envvar="USER")]


@contextmanager
def verification() -> Iterator[Verification]:
    """Over the database in use. What is refused becomes the command's Refusal."""
    settings = target.settings_in_use()
    pepper = settings.pin_pepper.get_secret_value()
    with target.database(settings) as sessions:
        try:
            yield Verification(sessions, target.seal_of(settings), pepper, settings.policy)
        except NotVerified as refusal:
            raise Refusal(str(refusal)) from None


@app.command()
@command
async def verify(
    journey_id: Journey,
    passcode: Annotated[str | None, typer.Option(help="Left out: asked for.")] = None,
    pin: Pin = None,
    json: Json = False,
) -> None:
    """Sign in with an active token: exit code 0 where its passcode (and PIN) are right."""
    with verification() as tokens:
        tokens.verify(journey_id, passcode or typer.prompt("Passcode"), pin, datetime.now(UTC))
    if json:
        show_json({"journey_id": journey_id, "verified": True})
    else:
        out.print("Verified.")


@app.command()
@command
async def resync(
    journey_id: Journey,
    first: Annotated[str | None, typer.Option(help="A passcode of the token. Left out: asked for.")] = None,
    second: Annotated[str | None, typer.Option(help="The one right after it. Left out: asked for.")] = None,
    pin: Pin = None,
    by: Who = "operator",
    json: Json = False,
) -> None:
    """Bring an active token back whose passcodes are refused: its button was pressed too often, or its clock is off."""
    older: str = first or typer.prompt("First passcode")
    newer: str = second or typer.prompt("Second passcode, right after it")
    with verification() as tokens:
        done = tokens.resynchronise(journey_id, older, newer, pin, by, datetime.now(UTC))
    if json:
        show_json({"journey_id": journey_id, "ahead": done.ahead, "counted_in": done.counted_in})
    else:
        out.print(f"Resynchronised. The token was {done}; sign in with its next passcode.")


@app.command()
@command
async def unlock(journey_id: Journey, by: Who = "operator", json: Json = False) -> None:
    """Lift the lock of an active token after wrong passcodes in a row; make sure first that they were its holder's own."""
    with verification() as tokens:
        tokens.unlock(journey_id, by, datetime.now(UTC))
    if json:
        show_json({"journey_id": journey_id, "locked": False})
    else:
        out.print(f"Unlocked. Sign in with the next passcode of [bold]{journey_id}[/], or resynchronise it.")
