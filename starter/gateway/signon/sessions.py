"""Sessions of prescribers at the pages: `browser_sessions` holds what they share with those of operators."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.exc import IntegrityError

from database.engine import Sessions
from database.tables import Practice, Prescriber, PrescribingDevice, SessionRow
from domain.address import Address
from settings import Settings
from starter.gateway import browser_sessions
from starter.gateway.signon.launch import Device, Launch


class NoAccess(Exception):
    """The EHR's word is good, but this prescriber can't have tokens yet. `why`: `unknown` or `not_proofed`."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Visitor:
    """A prescriber who is signed on. `zone`: the practice's; `csrf`: what each form of this session must bring back."""

    session_hash: str
    prescriber_id: str
    name: str
    practice: str
    zone: ZoneInfo
    email: str
    address: Address
    pin_validated: bool
    csrf: str


def begin(launch: Launch, sessions: Sessions, settings: Settings, instead_of: str | None) -> str:
    """A new session's id; only its hash is kept. Ends the browser's session `instead_of`, if it had one, and records the
    device if prescriptions are sent from it. Raises NoAccess."""
    now = datetime.now(UTC)
    session_id = browser_sessions.new_id()
    with sessions.begin() as session:
        browser_sessions.sweep(SessionRow, session, now)
        browser_sessions.end(SessionRow, instead_of, session, now)
        prescriber = session.get(Prescriber, launch.prescriber_id)
        if prescriber is not None and prescriber.id_proofed and launch.id_proofed:
            session.add(
                SessionRow(
                    session_hash=browser_sessions.hash_of(session_id),
                    prescriber_id=prescriber.prescriber_id,
                    pin_validated=launch.pin_validated,
                    device=launch.device.fingerprint if launch.device else None,
                    signed_on_at=now,
                    seen_at=now,
                    expires_at=now + timedelta(hours=settings.session_hours),
                )
            )
    if prescriber is None:
        raise NoAccess("unknown")
    if launch.device is not None and launch.device.prescribes:
        _record(launch.device, prescriber.prescriber_id, sessions)
    if not prescriber.id_proofed or not launch.id_proofed:
        raise NoAccess("not_proofed")
    return session_id


def find(session_id: str, sessions: Sessions, settings: Settings, *, touch: bool) -> Visitor | None:
    """Whose session it is; None where it is over. `touch`: the visitor does something, so idling begins anew."""
    now = datetime.now(UTC)
    with sessions.begin() as session:
        row = browser_sessions.find(SessionRow, session_id, session, now, settings.session_idle_minutes)
        if row is None:
            return None
        if touch:
            browser_sessions.touch(row, now)
        prescriber = session.get_one(Prescriber, row.prescriber_id)
        practice = session.get_one(Practice, prescriber.practice_id)
        return Visitor(
            session_hash=row.session_hash,
            prescriber_id=prescriber.prescriber_id,
            name=prescriber.name,
            practice=practice.name,
            zone=ZoneInfo(practice.time_zone),
            email=prescriber.email,
            address=Address.model_validate(prescriber.address),
            pin_validated=row.pin_validated,
            csrf=browser_sessions.csrf_of(session_id),
        )


def end(session_id: str, sessions: Sessions) -> None:
    """Signs off. Harmless when repeated."""
    with sessions.begin() as session:
        browser_sessions.end(SessionRow, session_id, session, datetime.now(UTC))


def _record(device: Device, prescriber_id: str, sessions: Sessions) -> None:
    """From now on no soft token is set up on this device."""
    try:
        with sessions.begin() as session:
            if session.get(PrescribingDevice, device.fingerprint) is None:
                session.add(
                    PrescribingDevice(
                        fingerprint=device.fingerprint, prescriber_id=prescriber_id, name=device.name[:200]
                    )
                )
    except IntegrityError:
        pass  # another launch from the same device has just recorded it
