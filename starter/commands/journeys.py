"""Commands that start journeys and send them messages."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import select
from temporalio.client import Client

from database.tables import JourneyRow
from domain.reasons import DeactivationReason
from domain.status import Kind, Status
from domain.status import refusal as refusal_of
from starter import carrying, qr, target
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
from starter.commands.endings import deactivate_all
from starter.journeys import Journeys, NotDone, Unanswered
from starter.output import Json, Refusal, command, out, show_json, table, when

app = typer.Typer()
_PATIENCE = timedelta(seconds=30)
"""To wait until a request is admitted; it goes on if the command does not."""


@app.command()
@command
async def request(
    prescriber_id: Annotated[str, typer.Argument(help="Who the token is for, such as P-1001.")],
    kind: Annotated[str, typer.Option(help="hard (a device, mailed), soft (an app) or both.")] = "hard",
    email: Email = None,
    name: Name = None,
    street1: Street1 = None,
    street2: Street2 = None,
    city: City = None,
    state: State = None,
    postal_code: Zip = None,
    by: By = None,
    request_id: Annotated[
        str | None, typer.Option(help="Makes the command safe to repeat: the same id makes one request.")
    ] = None,
    json: Json = False,
) -> None:
    """Request a token, or one of each kind, of which one may be refused. Email and address are the account's unless given."""
    if kind not in (*Kind, "both"):
        raise typer.BadParameter("say hard, soft or both", param_hint="--kind")
    ship_to = address(name=name, street1=street1, street2=street2, city=city, state=state, postal_code=postal_code)
    request_id = request_id or uuid.uuid4().hex[:12]
    async with target.temporal(target.settings_in_use()) as client:
        made: list[dict[str, Any]] = []
        refused: list[str] = []
        for each in list(Kind) if kind == "both" else [Kind(kind)]:
            order = body(
                prescriber_id=prescriber_id,
                kind=each.value,
                email=email,
                shipping_address=ship_to if each is Kind.HARD else None,
                requested_by=by,
            )
            journey_id = f"token-{each}-{request_id}"
            try:
                await start(client, journey_id, order)
            except Refusal as refusal:
                refused.append(str(refusal))
                continue
            made.append({"journey_id": journey_id, "kind": each.value, "status": Status.REQUESTED.value})
            if not json:
                out.print(f"Requested: [bold]{journey_id}[/]. It waits in the processing queue (`tokens queue`).")
    if json and made:
        show_json(made if kind == "both" else made[0])
    if refused:
        raise Refusal("\n".join(dict.fromkeys(refused)))


async def start(client: Client, journey_id: str, order: dict[str, Any]) -> None:
    """Starts a journey and returns when it is admitted. Started again under the same id it is left as it is. Raises
    Refusal with the journey's own sentence."""
    try:
        await Journeys(client, patience=_PATIENCE).request(journey_id, order)
    except Unanswered:
        raise Refusal(
            f"{journey_id} was started, but no worker has taken it up; it goes on when one runs (`tokens show`)."
        ) from None
    except NotDone as refusal:
        raise Refusal(str(refusal)) from None


async def send(journey_id: str, name: str, given: dict[str, Any], said: str, json: bool) -> None:
    """Sends an update and says what came of it."""
    async with target.temporal(target.settings_in_use()) as client:
        outcome = await client.get_workflow_handle(journey_id).execute_update(name, given)
    if json:
        show_json(outcome)
    else:
        out.print(f"{said} [bold]{journey_id}[/] is {outcome['status']}.")


@app.command()
@command
async def edit(
    journey_id: Journey,
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
    """Change email or address of a request that is not processed yet."""
    ship_to = address(name=name, street1=street1, street2=street2, city=city, state=state, postal_code=postal_code)
    await send(journey_id, "edit", body(email=email, shipping_address=ship_to, by=by), "Edited.", json)


@app.command()
@command
async def cancel(
    journey_id: Journey,
    reason: Annotated[str | None, typer.Option(help="Why; shown in the record.")] = None,
    by: By = None,
    json: Json = False,
) -> None:
    """Cancel a request, until its token is active."""
    await send(journey_id, "cancel", body(reason=reason, by=by), "Cancelled.", json)


@app.command()
@command
async def process(
    journey_id: Journey,
    operator: Annotated[str, typer.Option(help="Who has processed it.", envvar="USER")] = "operator",
    serial: Annotated[str | None, typer.Option(help="The serial scanned; left out: the next in stock.")] = None,
    json: Json = False,
) -> None:
    """Say that a request has been processed."""
    await send(journey_id, "process", body(operator=operator, serial_number=serial), "Processed.", json)


@app.command()
@command
async def resend(journey_id: Journey, by: By = None, json: Json = False) -> None:
    """Send a fresh activation link; the older ones end."""
    await send(journey_id, "resend_activation", body(by=by), "A fresh link is on its way.", json)


@app.command()
@command
async def deactivate(
    journey_id: Annotated[str | None, typer.Argument(help="The journey's id; left out with --prescriber.")] = None,
    prescriber: Annotated[
        str | None, typer.Option(help="All tokens of a prescriber who leaves; each has its own outcome.")
    ] = None,
    reason: Annotated[DeactivationReason | None, typer.Option(help="Needed for a hard token.")] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="Deactivating can't be undone.")] = False,
    in_possession: Annotated[bool, typer.Option("--in-possession", help="The hard token is still in hand.")] = False,
    by: By = None,
    json: Json = False,
) -> None:
    """Deactivate an active token, or end all of a prescriber's."""
    if (journey_id is None) == (prescriber is None):
        raise typer.BadParameter("name one token, or --prescriber for all tokens of a person")
    if prescriber is not None:
        await deactivate_all(prescriber, reason, confirm, by, json)
        return
    assert journey_id
    order = body(reason=reason, confirmed=confirmed(confirm), in_possession=in_possession, by=by)
    await send(journey_id, "deactivate", order, "Deactivated.", json)


@app.command()
@command
async def enroll(
    journey_id: Journey,
    serial: Annotated[str | None, typer.Option(help="Hard: on the back, below the bar code.")] = None,
    passcode: Annotated[str | None, typer.Option(help="Hard: six digits, from the button.")] = None,
    name: Annotated[str | None, typer.Option(help="Soft: what to call the token.")] = None,
    pin: Annotated[str | None, typer.Option(help="Soft: four digits. Left out: asked for, unseen.")] = None,
    device: Annotated[str | None, typer.Option(help="Soft: fingerprint of the device that the app is on.")] = None,
    json: Json = False,
) -> None:
    """Enrol a token: a hard one by serial and passcode, a soft one by name and PIN."""
    if (serial is None) == (name is None):
        raise typer.BadParameter("give --serial and --passcode for a hard token, or --name for a soft one")
    if serial is not None:
        if passcode is None:
            passcode = typer.prompt("Passcode")
        given = {"serial_number": serial, "passcode": passcode}
        await send(journey_id, "enroll_hard", given, "Enrolled.", json)
        return
    await refuse_unless_enrollable(journey_id)
    chosen = pin or typer.prompt("PIN, four digits", hide_input=True, confirmation_prompt=True, err=True)
    reference, uri = await store_pin(journey_id, chosen, device)
    given = {"token_name": name, "enrollment_ref": reference}
    if not json:
        # Before it is enrolled: whatever ends this command, nobody is left with a token whose seed was never shown.
        _show_seed(uri)
        await send(journey_id, "enroll_soft", given, "Enrolled.", json)
        return
    async with target.temporal(target.settings_in_use()) as client:
        outcome = await client.get_workflow_handle(journey_id).execute_update("enroll_soft", given)
    show_json({**outcome, "provisioning_uri": uri})


def _show_seed(uri: str | None) -> None:
    if uri is None:
        out.print(SET_UP_BEFORE)
        return
    out.print("Scan this with an authenticator app; it is shown once.")
    for line in qr.lines(uri, colours=out.is_terminal):
        print(line)
    out.print(uri, markup=False, soft_wrap=True)


async def refuse_unless_enrollable(journey_id: str) -> None:
    """Before a PIN is asked for, and a code shown that would be of no use."""
    async with target.temporal(target.settings_in_use()) as client:
        snapshot = await client.get_workflow_handle(journey_id).query("status")
    if "kind" in snapshot and (no := refusal_of("enroll_soft", Kind(snapshot["kind"]), Status(snapshot["status"]))):
        raise Refusal(no)


SET_UP_BEFORE = "It had been set up before, and that setup stands: its PIN, and the entry in the app."


async def store_pin(journey_id: str, pin: str, device: str | None) -> tuple[str, str | None]:
    """Keeps the PIN's hash; the reference and the app's provisioning URI. Of an earlier setup, of which the journey may have had
    no word, the reference alone. Raises Refusal."""
    from starter import soft_enrollment

    settings = target.settings_in_use()
    with target.database(settings) as sessions:
        try:
            stored = soft_enrollment.store(
                sessions,
                target.seal_of(settings),
                settings.pin_pepper.get_secret_value(),
                journey_id=journey_id,
                pin=pin,
                device=device,
                at=datetime.now(UTC),
            )
        except soft_enrollment.Linked as before:
            return before.enrollment_ref, None
        except soft_enrollment.NotStored as fault:
            raise Refusal(str(fault)) from None
    return stored.enrollment_ref, stored.provisioning_uri


@app.command()
@command
async def show(journey_id: Journey, json: Json = False) -> None:
    """What a journey says of itself: status, promises, what happened, what may be done next."""
    async with target.temporal(target.settings_in_use()) as client:
        snapshot = await client.get_workflow_handle(journey_id).query("status")
    if json:
        show_json(snapshot)
        return
    what = f"{snapshot['kind']} token" if "kind" in snapshot else "return"
    out.print(f"[bold]{journey_id}[/]: {what} for {snapshot['prescriber_id']}, {snapshot['status']}")
    for name in (
        "reason",
        "serial_number",
        "tracking_number",
        "replaces",
        "replaced_by",
        "due_day",
        "calendar",
        "needs_attention",
    ):
        if snapshot.get(name):
            out.print(f"  {name.replace('_', ' ')}: {snapshot[name]}", markup=False)
    promised = table("Promised", "due", "met", "")
    for promise in snapshot["promises"]:
        promised.add_row(promise["what"], when(promise["due"]), when(promise["met_at"]), promise["broken"] or "")
    out.print(promised)
    happened = table("When", "what happened", "by")
    for line in snapshot["timeline"]:
        happened.add_row(when(line["at"]), line["what"], line["by"] or "")
    out.print(happened)
    for refusal in snapshot["refused"]:
        out.print(f"[yellow]refused[/] {when(refusal['at'])} {refusal['message']}: ", end="")
        out.print(refusal["reason"], markup=False)
    if snapshot["next"]:
        out.print("Next: " + ", ".join(step["message"] for step in snapshot["next"]))


@app.command("list")
@command
async def list_(
    prescriber: Annotated[str | None, typer.Option(help="Only this prescriber's.")] = None,
    status: Annotated[Status | None, typer.Option(case_sensitive=False)] = None,
    kind: Annotated[Kind | None, typer.Option()] = None,
    attention: Annotated[bool, typer.Option("--attention", help="Only those that need a person.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    json: Json = False,
) -> None:
    """Tokens and their statuses, newest request first."""
    query = select(JourneyRow).order_by(JourneyRow.requested_at.desc()).limit(limit)
    if prescriber:
        query = query.where(JourneyRow.prescriber_id == prescriber)
    if status:
        query = query.where(JourneyRow.status == status)
    if kind:
        query = query.where(JourneyRow.kind == kind)
    if attention:
        query = query.where(JourneyRow.needs_attention.is_not(None))
    _print_journeys(query, json)


_NAMES = ("journey_id", "prescriber_id", "kind", "status", "serial_number", "tracking_number", "needs_attention")
_MOMENTS = (
    "requested_at",
    "processed_at",
    "shipped_at",
    "delivered_at",
    "active_at",
    "ended_at",
    "action_due_by",
)


def as_json(row: JourneyRow) -> dict[str, Any]:
    """A journey as lists give it to machines; times are ISO 8601, UTC."""
    return {name: getattr(row, name) for name in _NAMES} | {
        name: at.isoformat() if (at := getattr(row, name)) else None for name in _MOMENTS
    }


def _print_journeys(query: Any, json: bool) -> None:
    settings = target.settings_in_use()
    with target.database(settings) as sessions, sessions() as session:
        rows = list(session.scalars(query))
    if json:
        show_json([as_json(row) for row in rows])
        return
    listed = table("Journey", "prescriber", "kind", "status", "requested", "due", "")
    for row in rows:
        listed.add_row(
            row.journey_id,
            row.prescriber_id,
            row.kind,
            row.status,
            when(row.requested_at),
            when(row.action_due_by),
            row.needs_attention or "",
        )
    out.print(listed if rows else "There are none.")


simulate = typer.Typer(
    help="Stand-ins for what a person holds in the hand, for the embedded stack.", no_args_is_help=True
)


@simulate.command()
@command
async def press(
    serial: Annotated[str, typer.Argument(help="The device whose button is pressed.")],
    times: Annotated[int, typer.Option(min=1, max=1000, help="Presses; the last passcode is shown.")] = 1,
    at: Annotated[datetime | None, typer.Option(help="UTC; for tokens that go by time on a moved clock.")] = None,
) -> None:
    """Press a sample hard token's button and read its passcode."""
    from simulators.devices import HardDevice

    settings = target.settings_in_use()
    print(HardDevice(serial, Path(settings.state)).press(times, at=(at or datetime.now(UTC)).replace(tzinfo=UTC)))


@simulate.command()
@command
async def parcel(
    journey_id: Journey,
    status: Annotated[str, typer.Argument(help="Such as in_transit, delivered, failure or returned.")],
    sender: Annotated[str, typer.Option(help="Who passes it on: plain, easypost or shippo.")] = "plain",
) -> None:
    """Have the carrier report on a journey's parcel, or on a return's, at that journey's present."""
    settings = target.settings_in_use()
    async with target.temporal(settings) as client:
        try:
            number, at = await carrying.report(settings, client, journey_id, status, sender)
        except carrying.NotReported as fault:
            raise Refusal(str(fault)) from None
    out.print(f"Parcel {number}: {status}, {when(at)}.")
