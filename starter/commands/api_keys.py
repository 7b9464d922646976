"""Commands about the keys with which upstream systems call the gateway: `tokens keys create`, `list`, `revoke`."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from starter import api_keys, target
from starter.api_keys import NoSuchKey, Scope
from starter.output import Json, Refusal, command, out, show_json, table, when

app = typer.Typer()


@app.command()
@command
async def create(
    name: Annotated[str, typer.Argument(help="The system that will hold it, such as 'EHR production'.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; give the option once for each.")],
    json: Json = False,
) -> None:
    """Make a key for an upstream system. It is shown once, and kept nowhere."""
    with target.database(target.settings_in_use()) as sessions:
        key = api_keys.create(sessions, name, scope, datetime.now(UTC))
    if json:
        show_json({"key": key, "key_id": key.split(".")[0], "name": name, "scopes": sorted(set(scope))})
        return
    out.print(key, markup=False, soft_wrap=True)
    out.print(
        f"This is the key of {name}, shown this once. It is sent as: Authorization: Bearer <key>",
        markup=False,
        soft_wrap=True,
    )


@app.command("list")
@command
async def list_(json: Json = False) -> None:
    """The keys there are, and what each may do; never the keys themselves."""
    with target.database(target.settings_in_use()) as sessions:
        keys = api_keys.listed(sessions)
    if json:
        show_json(
            [
                {
                    "key_id": key.key_id,
                    "name": key.name,
                    "scopes": key.scopes,
                    "created_at": key.created_at.isoformat(),
                    "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
                }
                for key in keys
            ]
        )
        return
    shown = table("Key", "system", "scopes", "since", "revoked")
    for key in keys:
        shown.add_row(key.key_id, key.name, ", ".join(key.scopes), when(key.created_at), when(key.revoked_at))
    out.print(shown if keys else "There are none; make one with `tokens keys create`.")


@app.command()
@command
async def revoke(
    key_id: Annotated[str, typer.Argument(help="The part before the dot; see `tokens keys list`.")], json: Json = False
) -> None:
    """End a key; whoever calls with it is refused from now on."""
    with target.database(target.settings_in_use()) as sessions:
        try:
            key = api_keys.revoke(sessions, key_id, datetime.now(UTC))
        except NoSuchKey as refusal:
            raise Refusal(str(refusal)) from None
    if json:
        show_json(
            {
                "key_id": key.key_id,
                "name": key.name,
                "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
            }
        )
    else:
        out.print(f"Revoked: {key.key_id} of {key.name}.", markup=False)
