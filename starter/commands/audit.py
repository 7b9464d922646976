"""Commands about the audit trail: `tokens audit`, and `tokens erase`."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr
from sqlalchemy.exc import DatabaseError

from database import anchors
from database import audit as trail
from database.anchors import Anchored, AnchorKey, NotAnchored
from database.audit_verification import Fault, Findings
from database.erasure import NotErased, erase_prescriber
from database.retention import TooYoung
from database.retention import purge as purge_trail
from settings import Settings
from starter import inspection, keys, target
from starter.output import Json, Refusal, command, err, out, show_json

app = typer.Typer(help="The append-only record of everything that happened.", no_args_is_help=True)
erasing = typer.Typer()

By = Annotated[str, typer.Option(help="Who does this; stands in the audit trail.", envvar="USER")]
Reason = Annotated[str, typer.Option(help="Why; stands in the audit trail.")]
Folder = Annotated[Path | None, typer.Option("--anchors", help="A copy of the anchors; left out: the folder in use.")]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day, in UTC.")]


@app.command()
@command
async def verify(folder: Folder = None, json: Json = False) -> None:
    """Walk every chain, compare it with its anchors, and name each row that was changed, inserted, moved, is missing or cut off."""
    settings = _settings()
    anchored = _anchors(settings, folder)
    with target.database(settings) as sessions, sessions() as session:
        found = inspection.verify(session, anchored)
    said = _sentences(found, anchored)
    if json:
        show_json(
            {
                "rows": found.rows,
                "journeys": found.journeys,
                "faults": [vars(fault) for fault in found.faults],
                "anchors": anchored.count,
                "anchored_at": anchored.latest_at,
                "problems": anchored.problems,
                "restores": anchored.restores,
                "behind": sorted(found.behind),
            }
        )
    else:
        for fault in found.faults:
            err.print(_line(fault), style="red", markup=False, soft_wrap=True)
        for problem in anchored.problems:
            err.print(problem, style="red", markup=False, soft_wrap=True)
        for sentence in said:
            out.print(sentence, markup=False, soft_wrap=True)
    if found.faults or anchored.problems:
        raise Refusal("The audit trail is not whole.")


def _line(fault: Fault) -> str:
    return f"{fault.journey_id}, row {fault.number}: {fault.what}"


def _sentences(found: Findings, anchored: Anchored) -> list[str]:
    said = [f"{found.rows} rows of {found.journeys} journeys read, {len(found.faults)} faults."]
    if anchored.latest_at is None:
        said.append("Nothing is anchored outside the database yet; run `tokens audit anchor`.")
    else:
        said.append(f"Compared with {anchored.count} anchors, the latest of {anchored.latest_at:%d %B %Y %H:%M} UTC.")
    said += [
        f"On {restore['made_at'][:10]} {restore['by']} accepted a restore that took back {len(restore['back'])} journeys: "
        f"{restore['reason']}."
        for restore in anchored.restores
    ]
    if found.behind and anchored.latest_at:
        number = f"{len(found.behind)} journey has" if len(found.behind) == 1 else f"{len(found.behind)} journeys have"
        said.append(
            f"{number} a whole chain that is older than its anchor, or goes on otherwise: the database went back in time. "
            "If a backup was restored, accept it with `tokens audit accept-restore --reason WHY`; if not, rows were cut off or "
            "written anew, and the backup from before is what to compare with."
        )
    return said


@app.command()
@command
async def anchor(json: Json = False) -> None:
    """Write down the ends of all chains outside the database, signed. The schedule AnchorAudit does the same each day."""
    settings = _settings()
    with target.database(settings) as sessions, sessions() as session:
        try:
            written = anchors.write(session, settings.folder_of_anchors, _key(settings), settings.audit_public_keys)
        except NotAnchored as refusal:
            raise Refusal(str(refusal)) from None
    if json:
        show_json(written)
    else:
        out.print(
            f"Anchor {written['number']}: {written['journeys']} chains, {written['changed']} changed; "
            f"{settings.folder_of_anchors / written['file']}",
            markup=False,
            soft_wrap=True,
        )


@app.command("accept-restore")
@command
async def accept_restore(reason: Reason, by: By = "unknown", json: Json = False) -> None:
    """Say that the database was restored from a backup: it counts from here on, and what was anchored before is kept on record."""
    settings, now = _settings(), datetime.now(UTC)
    with target.database(settings) as sessions, sessions.begin() as session:

        def record(facts: dict[str, object]) -> None:
            trail.append_own(
                session, at=now, what=f"restore accepted: {reason}", by=by, message="accept_restore", facts=facts
            )

        try:
            written = anchors.accept_restore(
                session,
                settings.folder_of_anchors,
                _key(settings),
                settings.audit_public_keys,
                by=by,
                reason=reason,
                record=record,
            )
        except NotAnchored as refusal:
            raise Refusal(str(refusal)) from None
    if json:
        show_json(written)
    else:
        out.print(f"Accepted by anchor {written['number']}: {len(written['back'])} journeys went back.")


@app.command()
@command
async def export(
    to: Annotated[Path, typer.Argument(help="Where to write; .html is for reading, anything else JSON Lines.")],
    token: Annotated[str | None, typer.Option(help="A journey's id or a serial number. Left out: all.")] = None,
    since: Day = None,
    until: Day = None,
    folder: Folder = None,
) -> None:
    """Write what happened to a token, or in a period (both days included), for an inspector, with what verifying it has shown."""
    settings = _settings()
    anchored = _anchors(settings, folder)
    with target.database(settings) as sessions, sessions() as session:
        found = inspection.verify(session, anchored)
        try:
            report = inspection.collect(session, found, anchored, token, since, until)
        except inspection.NothingFound as refusal:
            raise Refusal(str(refusal)) from None
    inspection.write(report, to)
    out.print(f"{len(report.rows)} rows written to {to}. {report.statement}", markup=False, soft_wrap=True)


@app.command()
@command
async def purge(
    before: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Day, in UTC: what ended before it goes.")],
    reason: Reason,
    by: By = "unknown",
    json: Json = False,
) -> None:
    """Remove whole journeys that ended longer ago than the trail has to be kept. Needs the role that owns the tables."""
    settings = _settings()
    before = before.replace(tzinfo=UTC)
    with _as_owner(), target.database(settings) as sessions, sessions.begin() as session:
        try:
            done = purge_trail(session, before, datetime.now(UTC), settings.audit_retention_years, by, reason)
        except TooYoung as refusal:
            raise Refusal(str(refusal)) from None
    if json:
        show_json(done)
    else:
        out.print(f"{done['rows']} rows of {done['journeys']} journeys removed; where their chains ended is kept.")


@erasing.command()
@command
async def erase(
    prescriber_id: Annotated[str, typer.Argument(help="Whose names, numbers, addresses and words go.")],
    confirmed: Annotated[bool, typer.Option("--confirmed", help="It can't be undone.")] = False,
    by: By = "unknown",
    json: Json = False,
) -> None:
    """Erase a prescriber's personal data once nothing is live and all of it is older than it has to be kept. Needs the owner."""
    if not confirmed:
        raise Refusal("Nothing was erased: it can't be undone, so say --confirmed.")
    settings = _settings()
    with _as_owner(), target.database(settings) as sessions, sessions.begin() as session:
        try:
            done = erase_prescriber(session, prescriber_id, datetime.now(UTC), settings.audit_retention_years, by)
        except (NotErased, TooYoung) as refusal:
            raise Refusal(str(refusal)) from None
    if json:
        show_json(done)
    else:
        out.print(
            f"Erased from {done['journeys']} journeys and {done['rows']} rows of the trail, whose chains still hold."
        )


@contextmanager
def _as_owner() -> Iterator[None]:
    """What only the tables' owner may do is refused with a sentence."""
    try:
        yield
    except DatabaseError as fault:
        said = str(fault.orig)
        if "append-only" in said:  # the triggers' word
            raise Refusal(
                f"Nothing was done: {said.splitlines()[0]}; the database keeps two years by itself."
            ) from None
        if getattr(fault.orig, "sqlstate", None) != "42501":  # insufficient_privilege
            raise
        raise Refusal(
            "Nothing was done: this user of the database may only add to the audit trail; set TOKENS_DATABASE_URL to the owner's "
            "(tokens_owner) for this command."
        ) from None


def _settings() -> Settings:
    """The settings in use, with the key of the embedded stack where there is one that is down."""
    settings = target.settings_in_use()
    if settings.audit_key.get_secret_value() or not keys.path_in(settings.state).exists():
        return settings
    try:
        return settings.model_copy(update={"audit_key": SecretStr(keys.load_or_create(settings.state)["audit_key"])})
    except keys.KeysUnreadable as refusal:
        raise Refusal(str(refusal)) from None


def _key(settings: Settings) -> AnchorKey:
    key = settings.audit_key.get_secret_value()
    if not key:
        raise Refusal(
            "Nothing was anchored: TOKENS_AUDIT_KEY is not set here; give it 64 hex digits (`openssl rand -hex 32`)."
        )
    return AnchorKey(key)


def _anchors(settings: Settings, folder: Path | None) -> Anchored:
    """The anchors, by all keys that are trusted here."""
    own = [AnchorKey(settings.audit_key.get_secret_value()).public] if settings.audit_key.get_secret_value() else []
    try:
        return anchors.read(folder or settings.folder_of_anchors, [*own, *settings.audit_public_keys])
    except ValueError:
        raise Refusal(
            "A key in TOKENS_AUDIT_PUBLIC_KEYS is no Ed25519 public key of 64 hex digits; correct it."
        ) from None
