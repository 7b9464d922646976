"""Commands about how tokens end: replacement, return, incident, a prescriber who leaves."""

from datetime import timedelta
from typing import Annotated, Any

import typer
from sqlalchemy import select
from temporalio.client import Client

from database.tables import IncidentRow, ReturnRow, TokenRow
from domain.incident import IncidentStatus
from domain.peers import replacement_id, return_id
from domain.reasons import DeactivationReason
from domain.token_state import MAY_COME_BACK, in_words
from starter import target
from starter.commands.arguments import (
    By,
    City,
    Email,
    Journey,
    Name,
    State,
    Street1,
    Street2,
    Zip,
    address,
    body,
    confirmed,
)
from starter.journeys import Journeys, NotDone, Unanswered
from starter.output import Json, Refusal, command, out, show_json, table, when

app = typer.Typer()
_PATIENCE = timedelta(seconds=60)
"""To wait for a workflow that ends by itself; it goes on if the command does not."""


async def run(client: Client, name: str, order: dict[str, Any], workflow_id: str, *, anew: bool = False) -> Any:
    """Starts a workflow that ends by itself, and its result (see `Journeys.run`). Raises Refusal with the workflow's own
    sentence."""
    try:
        return await Journeys(client, patience=_PATIENCE).run(name, order, workflow_id, anew=anew)
    except Unanswered:
        raise Refusal(
            f"{workflow_id} is not finished yet; it goes on by itself, look at it in the Temporal UI."
        ) from None
    except NotDone as refusal:
        raise Refusal(str(refusal)) from None


@app.command()
@command
async def replace(
    journey_id: Journey,
    reason: Annotated[
        DeactivationReason | None, typer.Option(help="Hard: lost or faulty, needed. Soft: may be left out.")
    ] = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="The old token is deactivated, which can't be undone.")
    ] = False,
    in_possession: Annotated[
        bool, typer.Option("--in-possession", help="The old hard token is still in hand.")
    ] = False,
    email: Email = None,
    name: Name = None,
    street1: Street1 = None,
    street2: Street2 = None,
    city: City = None,
    state: State = None,
    postal_code: Zip = None,
    by: By = None,
    json: Json = False,
) -> None:
    """Replace an active token: it is deactivated, and a new one of its kind requested."""
    order = body(
        journey_id=journey_id,
        reason=reason,
        confirmed=confirmed(confirm),
        in_possession=in_possession,
        email=email,
        shipping_address=address(
            name=name, street1=street1, street2=street2, city=city, state=state, postal_code=postal_code
        ),
        requested_by=by,
    )
    async with target.temporal(target.settings_in_use()) as client:
        result = await run(client, "ReplaceToken", order, replacement_id(journey_id))
    if json:
        show_json(result)
    else:
        out.print(f"Replaced. [bold]{journey_id}[/] is deactivated; [bold]{result['journey_id']}[/] is Requested.")


@app.command()
@command
async def receive(
    serial: Annotated[str, typer.Argument(help="On the back of the token, below the bar code.")],
    by: Annotated[str, typer.Option(help="Who has received it.", envvar="USER")] = "mail room",
    condition: Annotated[
        str | None, typer.Option(help='Such as intact or damaged; "destroyed" marks it so in stock.')
    ] = None,
    json: Json = False,
) -> None:
    """Take a hard token that came back by mail, awaited or not."""
    settings = target.settings_in_use()
    with target.database(settings) as sessions, sessions() as session:
        token = session.get(TokenRow, serial)
        awaited = session.scalars(select(ReturnRow).where(ReturnRow.serial_number == serial, ReturnRow.open)).first()
    if token is None:
        raise Refusal(f"Serial {serial} is not in the inventory; read the back of the token again, below the bar code.")
    async with target.temporal(settings) as client:
        if awaited is not None:
            order = body(serial_number=serial, condition=condition, received_by=by)
            result = await client.get_workflow_handle(awaited.return_id).execute_update("received", order)
        elif token.journey_id is None or token.state not in MAY_COME_BACK:
            raise Refusal(f"Serial {serial} was not taken: it is {in_words(token.state)}; nothing is left to do.")
        else:
            order = body(journey_id=token.journey_id, serial_number=serial, condition=condition, received_by=by)
            result = await run(client, "ReturnByMail", order, return_id(token.journey_id), anew=True)
    if json:
        show_json(result)
    else:
        out.print(f"Received. Token [bold]{serial}[/] of {result['journey_id']} is back.")


async def deactivate_all(prescriber_id: str, reason: str | None, confirm: bool, by: str | None, json: bool) -> None:
    """All tokens of a prescriber who leaves; `tokens deactivate --prescriber`."""
    order = body(
        prescriber_id=prescriber_id,
        reason=reason or DeactivationReason.NO_LONGER_NEEDED,
        confirmed=confirmed(confirm),
        by=by or "operator",
    )
    async with target.temporal(target.settings_in_use()) as client:
        result = await run(client, "DeactivateAll", order, f"leaving-{prescriber_id}", anew=True)
    if json:
        show_json(result)
        return
    ended = table("Journey", "kind", "outcome", "")
    for outcome in result["outcomes"]:
        ended.add_row(outcome["journey_id"], outcome["kind"], outcome["outcome"], outcome["detail"] or "")
    out.print(ended if result["outcomes"] else f"{prescriber_id} has no token.")
    if any(outcome["outcome"] == "refused" for outcome in result["outcomes"]):
        raise Refusal("Not every token has ended; see the table.")


@app.command()
@command
async def returns(
    everything: Annotated[bool, typer.Option("--all", help="Closed ones, too.")] = False,
    json: Json = False,
) -> None:
    """Hard tokens that are awaited by mail, the longest first."""
    query = select(ReturnRow).order_by(ReturnRow.started_at)
    with target.database(target.settings_in_use()) as sessions, sessions() as session:
        rows = list(session.scalars(query if everything else query.where(ReturnRow.open)))
    if json:
        names = ("return_id", "journey_id", "serial_number", "status", "tracking_number", "received_by", "condition")
        moments = ("started_at", "return_by", "received_at", "written_off_at")
        show_json([_row(row, names, moments) for row in rows])
        return
    listed = table("Return", "serial", "status", "since", "written off", "")
    for row in rows:
        due = when(row.return_by) if row.open else ""
        listed.add_row(
            row.return_id, row.serial_number, row.status, when(row.started_at), due, row.needs_attention or ""
        )
    out.print(listed if rows else "There are none.")


incident = typer.Typer(help="Lost and stolen tokens, to be reported within one business day.", no_args_is_help=True)


@incident.command("list")
@command
async def list_incidents(
    everything: Annotated[bool, typer.Option("--all", help="Closed ones, too.")] = False, json: Json = False
) -> None:
    """Open incidents, the one that falls due first at the top."""
    query = select(IncidentRow).order_by(IncidentRow.due_at)
    if not everything:
        query = query.where(IncidentRow.status != IncidentStatus.CLOSED)
    with target.database(target.settings_in_use()) as sessions, sessions() as session:
        rows = list(session.scalars(query))
    if json:
        names = (
            "incident_id",
            "journey_id",
            "prescriber_id",
            "serial_number",
            "reason",
            "status",
            "due_day",
            "calendar",
        )
        show_json([_row(row, (*names, "closed_by"), ("opened_at", "due_at", "closed_at")) for row in rows])
        return
    listed = table("Incident", "reason", "status", "report due", "in the calendar of", "closed by")
    for row in rows:
        listed.add_row(row.incident_id, row.reason, row.status, when(row.due_at), row.calendar, row.closed_by or "")
    out.print(listed if rows else "There are none.")


@incident.command()
@command
async def close(
    incident_id: Annotated[
        str, typer.Argument(help="Such as incident-token-hard-4f1c2ab8; see `tokens incident list`.")
    ],
    by: Annotated[str, typer.Option(help="Who says that the loss has been reported.", envvar="USER")] = "operator",
    note: Annotated[str | None, typer.Option(help="To whom and how; stands in the audit trail.")] = None,
    json: Json = False,
) -> None:
    """Say that the loss has been reported."""
    settings = target.settings_in_use()
    with target.database(settings) as sessions, sessions() as session:
        row = session.get(IncidentRow, incident_id)
    if row is None:
        raise Refusal(f"There is no incident {incident_id}; see `tokens incident list`.")
    if row.status == IncidentStatus.CLOSED:
        raise Refusal(
            f"{incident_id} is closed already, by {row.closed_by} at {when(row.closed_at)}; nothing is left to do."
        )
    async with target.temporal(settings) as client:
        outcome = await client.get_workflow_handle(incident_id).execute_update("close", body(by=by, note=note))
    if json:
        show_json(outcome)
    else:
        out.print(f"Closed. [bold]{incident_id}[/] is {outcome['status']}.")


def _row(row: Any, names: tuple[str, ...], moments: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names} | {
        name: at.isoformat() if (at := getattr(row, name)) else None for name in moments
    }
