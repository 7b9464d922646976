"""`tokens stock`: where every serial is, and what runs low."""

from typing import Annotated, Any

import typer
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from database.tables import TokenRow
from domain.policy import Policy
from domain.status import Kind
from domain.token_state import TokenState, in_words
from starter import target
from starter.output import Json, Refusal, command, out, show_json, table

app = typer.Typer()


@app.command()
@command
async def stock(
    serial: Annotated[str | None, typer.Argument(help="One token; left out: how many there are of each state.")] = None,
    json: Json = False,
) -> None:
    """Where every serial is: in stock, assigned, shipped, active, coming back, returned, written off, destroyed."""
    settings = target.settings_in_use()
    with target.database(settings) as sessions, sessions() as session:
        if serial is not None:
            _one(session, serial, json)
            return
        counts = counted(session, settings.policy)
    if json:
        show_json(counts)
        return
    listed = table("Kind", "batch", "state", "tokens", "")
    for row in counts:
        low = "[yellow]low[/]" if row["low"] else ""
        listed.add_row(row["kind"], row["batch"], in_words(row["state"]), str(row["tokens"]), low)
    out.print(listed)
    for line in _warnings(counts, settings.policy):
        out.print(line, style="yellow", markup=False, soft_wrap=True)


def counted(session: Session, policy: Policy) -> list[dict[str, Any]]:
    """How many tokens there are of each kind, batch and state; those in stock say whether they are low, by the figures at
    which the team is told. The hard ones are always there, even where there is none."""
    columns = (TokenRow.kind, TokenRow.batch, TokenRow.state)
    found = session.execute(select(*columns, func.count()).group_by(*columns).order_by(*columns)).all()
    counts = [
        {"kind": kind, "batch": batch, "state": state, "tokens": number, "low": False}
        for kind, batch, state, number in found
    ]
    in_stock = [row for row in counts if (row["kind"], row["state"]) == (Kind.HARD, TokenState.IN_STOCK)]
    if not in_stock:
        none = {"kind": Kind.HARD.value, "batch": "", "state": TokenState.IN_STOCK.value, "tokens": 0}
        return [*counts, {**none, "low": True}]
    all_low = sum(row["tokens"] for row in in_stock) <= policy.low_stock_tokens
    for row in in_stock:
        row["low"] = all_low or row["tokens"] <= policy.low_stock_tokens_of_batch
    return counts


def _warnings(counts: list[dict[str, Any]], policy: Policy) -> list[str]:
    left = sum(row["tokens"] for row in counts if (row["kind"], row["state"]) == (Kind.HARD, TokenState.IN_STOCK))
    if left > policy.low_stock_tokens:
        return []
    return [f"Hard tokens run low: {left} left in stock; order and import new ones."]


def _one(session: Session, serial: str, json: bool) -> None:
    token = session.get(TokenRow, serial)
    if token is None:
        raise Refusal(f"Serial {serial} is not in the inventory; read the back of the token again.")
    if json:
        show_json({name: getattr(token, name) for name in ("serial_number", "kind", "batch", "state", "journey_id")})
        return
    of = f", journey {token.journey_id}" if token.journey_id else ""
    out.print(f"[bold]{serial}[/] ({token.kind}, batch {token.batch}) is {in_words(token.state)}{of}.")
