"""What a prescriber types to set up a soft token, kept before Temporal hears of it: the PIN only as an argon2id hash."""

import base64
import secrets
from datetime import datetime

from pydantic import BaseModel, Field
from pyotp.totp import TOTP

from activities.pins import hashed
from database.engine import Sessions
from database.sealing import Seal
from database.tables import JourneyRow, PrescribingDevice, SoftEnrollment
from domain import pin as pins
from domain.status import Kind


class NotStored(Exception):
    """The enrolment can't go on; one sentence says why and what to do instead."""


class Stored(BaseModel):
    """`provisioning_uri` holds the seed: it is shown to the app once, and nowhere else."""

    enrollment_ref: str
    provisioning_uri: str = Field(repr=False)


def store(
    sessions: Sessions, seal: Seal, pepper: str, *, journey_id: str, pin: str, device: str | None, at: datetime
) -> Stored:
    """Keeps PIN hash and a fresh seed under a reference for `enroll_soft`. `device`: fingerprint of the device that the
    app is on; `at`: UTC. Raises NotStored: a weak PIN, a prescribing device, no soft token's journey."""
    refusal = pins.refusal(pin)
    if refusal:
        raise NotStored(refusal)
    seed = secrets.token_bytes(20)
    reference = secrets.token_urlsafe(16).replace("_", "-").strip("-")
    with sessions.begin() as session:
        journey = session.get(JourneyRow, journey_id)
        if journey is None or journey.kind != Kind.SOFT:
            raise NotStored(
                f"There is no soft token request {journey_id}; check the id, or request a soft token first."
            )
        known = session.get(PrescribingDevice, device) if device else None
        if known is not None and known.prescriber_id == journey.prescriber_id:
            raise NotStored(
                "This device is used to send prescriptions, and a soft token may not be on the same one; use another device."
            )
        session.add(
            SoftEnrollment(
                enrollment_ref=reference,
                journey_id=journey_id,
                pin_hash=hashed(pin, pepper),
                seed=seal.close(seed, reference),
                device=device,
                stored_at=at,
            )
        )
    totp = TOTP(_base32(seed))
    return Stored(enrollment_ref=reference, provisioning_uri=totp.provisioning_uri(name="EPCS", issuer_name="RXNT"))


def _base32(seed: bytes) -> str:
    return base64.b32encode(seed).decode()
