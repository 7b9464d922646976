"""What a prescriber types to set up a soft token, kept before Temporal hears of it: the PIN only as an argon2id hash."""

import base64
import secrets
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field
from pyotp.totp import TOTP
from sqlalchemy import select
from sqlalchemy.orm import Session

from activities.pins import hashed
from database import unfinished
from database.engine import Sessions
from database.sealing import Seal
from database.tables import JourneyRow, PrescribingDevice, SoftEnrollment, TokenRow
from domain import pin as pins
from domain.status import Kind, Status, refusal

ISSUER = "RXNT EPCS"
"""What authenticator apps show above the account. No colon: it parts issuer and account."""
UNFINISHED_KEPT = timedelta(hours=24)
_SEED_BYTES = 20  # the output of HMAC-SHA-1, as RFC 4226, section 4, recommends


class NotStored(Exception):
    """The enrolment can't go on; one sentence says why and what to do instead."""


class Linked(NotStored):
    """A setup under `enrollment_ref` has been taken. Where the journey does not know of it, since Temporal has lost the update, the
    same enrolment sent once more (`enroll_soft` with these) ends it; its PIN and seed stand."""

    def __init__(self, sentence: str, enrollment_ref: str, token_name: str) -> None:
        super().__init__(sentence)
        self.enrollment_ref, self.token_name = enrollment_ref, token_name


class Stored(BaseModel):
    """`provisioning_uri` holds the seed (Google Authenticator's key URI format). It is in this answer and nowhere else: not to be
    had a second time, not dumped, not shown by `repr`."""

    model_config = ConfigDict(hide_input_in_errors=True)

    enrollment_ref: str
    provisioning_uri: str = Field(repr=False, exclude=True)


def store(
    sessions: Sessions, seal: Seal, pepper: str, *, journey_id: str, pin: str, device: str | None, at: datetime
) -> Stored:
    """Keeps PIN hash and a fresh seed under a reference for `enroll_soft`. `device`: fingerprint of the device that the
    app is on; `at`: UTC. Raises NotStored: a weak PIN, a prescribing device, no soft token's journey, one that is enrolled (Linked,
    where it may not know so yet).

    Begun again (a page that was loaded again, another phone) it makes a new seed; the reference and the seed from before can't
    be used any more.
    """
    too_easy = pins.refusal(pin)
    if too_easy:
        raise NotStored(too_easy)
    with sessions.begin() as session:
        _allowed(session, journey_id, device)
    pin_hash = hashed(pin, pepper)  # takes long on purpose: only for whom it is needed, and with no lock held
    seed = secrets.token_bytes(_SEED_BYTES)
    reference = secrets.token_urlsafe(16).replace("_", "-").strip("-")
    with sessions.begin() as session:
        account = _allowed(session, journey_id, device).email
        unfinished.drop_of(session, journey_id)
        unfinished.drop_older_than(session, at - UNFINISHED_KEPT)
        session.add(
            SoftEnrollment(
                enrollment_ref=reference,
                journey_id=journey_id,
                pin_hash=pin_hash,
                seed=seal.close(seed, reference),
                device=device,
                stored_at=at,
            )
        )
    totp = TOTP(base64.b32encode(seed).decode(), name=account, issuer=ISSUER)
    return Stored(enrollment_ref=reference, provisioning_uri=totp.provisioning_uri())


def _allowed(session: Session, journey_id: str, device: str | None) -> JourneyRow:
    """The journey of a soft token that may be set up on this device; its row is locked, so that of two that are begun at once
    the later one stands, and one only. Raises NotStored."""
    journey = session.get(JourneyRow, journey_id, with_for_update=True)
    if journey is None or journey.kind != Kind.SOFT:
        raise NotStored(f"There is no soft token request {journey_id}; check the id, or request a soft token first.")
    _refuse_enrolled(session, journey)
    _refuse_prescribing_device(session, device)
    return journey


def _refuse_enrolled(session: Session, journey: JourneyRow) -> None:
    """Once enrolled a token keeps its seed. The row may lag behind the journey, which only moves on: what is not processed by
    the row is left to the journey to refuse."""
    status = Status(journey.status)
    if status is not Status.REQUESTED and (sentence := refusal("enroll_soft", Kind.SOFT, status)):
        raise NotStored(sentence)
    taken = session.execute(
        select(SoftEnrollment.enrollment_ref, TokenRow.name)
        .join(TokenRow, TokenRow.journey_id == SoftEnrollment.journey_id)
        .where(SoftEnrollment.journey_id == journey.journey_id, SoftEnrollment.used_at.is_not(None))
    ).first()
    if taken:
        raise Linked(str(refusal("enroll_soft", Kind.SOFT, Status.SYNCING)), taken.enrollment_ref, taken.name or "")


def _refuse_prescribing_device(session: Session, device: str | None) -> None:
    """The article: soft tokens can't be used on the device that sends prescriptions, whoever's prescriptions they are."""
    if device and session.get(PrescribingDevice, device.strip().lower()):
        raise NotStored(
            "This device is used to send prescriptions, and a soft token may not be on the same one; use another device."
        )
