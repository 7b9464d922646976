"""Commands about keys: `tokens keys`."""

from collections import Counter
from contextlib import ExitStack
from typing import Annotated

import typer
from filelock import Timeout
from pydantic import SecretStr

from database import rotation
from database.rotation import Resealed
from settings import Settings
from starter import keys as own_keys
from starter import stack, supervision, target
from starter.output import Json, Refusal, command, out, show_json, table

app = typer.Typer(
    help="Keys: of upstream systems, and over seeds and unsent mail in the database.", no_args_is_help=True
)

_SHOWN = 20


@app.command()
@command
async def seals(json: Json = False) -> None:
    """Which keys (by id) what is sealed in the database lies under."""
    settings = _settings()
    seal = target.seal_of(settings)
    with target.database(settings) as sessions:
        found = rotation.counts(sessions)
    rows = [
        {"what": what, "key_id": key_id, "count": count, "set": key_id in seal.key_ids}
        for what, counted in found.items()
        for key_id, count in sorted(counted.items())
    ]
    if json:
        show_json({"first": seal.current, "keys": seal.key_ids, "sealed": rows})
        return
    listed = table("Sealed", "under key", "how many", "")
    for row in rows:
        note = "" if row["set"] else "[red]this key is not set: they can't be opened[/]"
        listed.add_row(str(row["what"]), str(row["key_id"]), str(row["count"]), note)
    out.print(listed if rows else "Nothing is sealed.")
    out.print(f"Keys that are set: {', '.join(seal.key_ids)}; {seal.current} is the first and seals what is new.")


@app.command()
@command
async def rotate(
    new: Annotated[
        bool, typer.Option("--new", help="Embedded stack, while it is down: make a new key first, then re-seal.")
    ] = False,
    json: Json = False,
) -> None:
    """Re-seal all seeds and unsent mail with the first key of TOKENS_SEAL_KEYS. Workers may run, if they know that key; run it
    again after whatever broke it off."""
    with ExitStack() as held:
        settings = _with_new_key(held) if new else _settings()
        seal = target.seal_of(settings)
        _refuse_unknown_to_the_stack(settings, seal.current)
        with target.database(settings) as sessions:
            done = rotation.reseal(sessions, seal)
    removable = [key_id for key_id in seal.key_ids if key_id != seal.current and not done.after[key_id]]
    if json:
        show_json(
            {
                "first": seal.current,
                "before": dict(done.before),
                "after": dict(done.after),
                "removable": removable,
                "unopened": [vars(one) for one in done.unopened],
            }
        )
    else:
        _print(done, seal.current, removable)
    _refuse_leftovers(done, seal.current)


def _print(done: Resealed, first: str, removable: list[str]) -> None:
    counted = table("Key", "before", "after")
    for key_id in dict.fromkeys([first, *sorted(done.before | done.after)]):
        counted.add_row(key_id, str(done.before[key_id]), str(done.after[key_id]))
    out.print(counted)
    if removable:
        out.print(
            f"Nothing lies under {', '.join(removable)} any more. Once every worker and gateway runs with {first} first, "
            f"{'it' if len(removable) == 1 else 'they'} may be taken out of TOKENS_SEAL_KEYS (embedded stack: `seal_keys` in "
            "keys.json). Backups made before still need them.",
            soft_wrap=True,
        )
    for one in done.unopened[:_SHOWN]:
        out.print(f"Not opened: {one.what} of {one.row}, under {one.key_id}: {one.why}.", markup=False, soft_wrap=True)


def _refuse_leftovers(done: Resealed, first: str) -> None:
    left = done.after - Counter({first: done.after[first]})
    if done.unopened:
        raise Refusal(
            f"{len(done.unopened)} could not be opened and were left as they are; put the missing keys back into "
            "TOKENS_SEAL_KEYS and run this again, or restore what is damaged from a backup."
        )
    if left:
        raise Refusal(
            f"{left.total()} lie under another key again: a worker or gateway still seals with an older one; restart it with "
            f"{first} first in TOKENS_SEAL_KEYS, then run this again."
        )


def _settings() -> Settings:
    """The settings in use; where none has sealing keys, with those of the embedded stack that is down."""
    settings = target.settings_in_use()
    if settings.seal_keys or not own_keys.path_in(settings.state).exists():
        return settings
    return _sealed_by(settings, _loaded(settings)["seal_keys"])


def _loaded(settings: Settings) -> dict[str, dict[str, str]]:
    try:
        return own_keys.load_or_create(settings.state)
    except own_keys.KeysUnreadable as refusal:
        raise Refusal(str(refusal)) from None


def _sealed_by(settings: Settings, keys: dict[str, str]) -> Settings:
    return settings.model_copy(update={"seal_keys": {key_id: SecretStr(key) for key_id, key in keys.items()}})


def _with_new_key(held: ExitStack) -> Settings:
    """The embedded stack's settings with a new key first in its keys.json; no stack starts on it until `held` is closed."""
    settings = Settings()
    if settings.seal_keys:
        raise Refusal(
            "No key was made: the keys here come from TOKENS_SEAL_KEYS; put a new one first there (behind the others until every "
            "worker and gateway knows it), then run `tokens keys rotate`."
        )
    if not own_keys.path_in(settings.state).exists():
        raise Refusal(
            f"No key was made: no stack has run on {settings.state} yet; its keys are made at its first start."
        )
    try:
        held.enter_context(supervision.lock_of(settings.state))
    except Timeout:
        raise Refusal(
            f"No key was made: a stack runs on {settings.state}, and its worker could not open what a new key seals; end it, run "
            "this, and start it again."
        ) from None
    # What is there must be readable before a key is made for it.
    before = _sealed_by(settings, _loaded(settings)["seal_keys"])
    with target.database(before) as sessions:
        rotation.counts(sessions)
    return _sealed_by(settings, own_keys.add_seal_key(settings.state)["seal_keys"])


def _refuse_unknown_to_the_stack(settings: Settings, first: str) -> None:
    running = stack.connect_info(settings.state)
    if (
        running is not None
        and running["database_url"] == settings.url_of_database
        and first not in running["seal_keys"]
    ):
        raise Refusal(
            f"Nothing was re-sealed: the stack that runs on {settings.state} was started before key {first} was set and could not "
            "open it; restart the stack, then run this again."
        )
