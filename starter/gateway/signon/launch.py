"""The launch token with which the EHR hands a prescriber's browser over: a JWT (RFC 7519), signed with the EHR's private key,
good for a few minutes and for one use."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints, ValidationError
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

from database.engine import Sessions
from database.tables import LaunchRow
from settings import Settings

LONGEST_LIFE = timedelta(minutes=5)
"""From `iat` to `exp`; a token that is made out for longer is refused."""
LEEWAY = timedelta(seconds=30)
"""By which the EHR's clock may be off."""
_CLAIMS = ("iss", "aud", "sub", "iat", "exp", "jti")

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class NotLaunched(Exception):
    """The launch is refused; the text is one sentence for the prescriber."""


class Device(BaseModel):
    """The device at which the EHR runs. `prescribes`: prescriptions are sent from it."""

    fingerprint: Annotated[str, StringConstraints(to_lower=True, pattern=r"^[A-Za-z0-9_-]{16,128}$")]
    """In small letters, as devices are looked up."""
    name: Text = "A device of the EHR"
    prescribes: StrictBool = False


class Launch(BaseModel):
    """What the EHR says of the prescriber, beside the registered claims (RFC 7519, section 4.1)."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    prescriber_id: Annotated[Text, Field(alias="sub")]
    issuer: Annotated[Text, Field(alias="iss")]
    identifier: Annotated[Text, Field(alias="jti")]
    issued_at: Annotated[datetime, Field(alias="iat")]
    expires_at: Annotated[datetime, Field(alias="exp")]
    id_proofed: StrictBool = False
    pin_validated: StrictBool = False
    device: Device | None = None


def read(token: str, settings: Settings) -> Launch:
    """The launch that `token` stands for. Raises NotLaunched: not signed by the EHR, not for us, expired or not yet valid,
    made out for too long, a claim missing or malformed."""
    try:
        key_id = jwt.get_unverified_header(token).get("kid")
        key, algorithm = _key(settings.ehr_public_keys.get(key_id, "") if isinstance(key_id, str) else "")
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=settings.ehr_issuer,
            audience=settings.audience_of_launches,
            leeway=LEEWAY,
            options={"require": list(_CLAIMS)},
        )
        launch = Launch.model_validate(claims)
    except jwt.ExpiredSignatureError:
        raise NotLaunched(_again("it has expired")) from None
    except (jwt.InvalidAudienceError, jwt.InvalidIssuerError):
        raise NotLaunched(_again("it was made out for another system")) from None
    except jwt.ImmatureSignatureError:
        raise NotLaunched(_again("it is not valid yet, so a clock must be wrong")) from None
    except (jwt.PyJWTError, ValueError, ValidationError):
        raise NotLaunched(_again("it is not one that your EHR has signed, or a part of it is missing")) from None
    if launch.expires_at - launch.issued_at > LONGEST_LIFE:
        raise NotLaunched(_again("it was made out for too long a time"))
    return launch


def use(launch: Launch, sessions: Sessions) -> None:
    """Marks the token as used, once, whichever copy of the gateway it comes to. Raises NotLaunched the second time."""
    used = hashlib.sha256(f"{launch.issuer}\n{launch.identifier}".encode()).hexdigest()
    try:
        with sessions.begin() as session:
            session.execute(delete(LaunchRow).where(LaunchRow.expires_at < datetime.now(UTC) - 2 * LEEWAY))
            session.add(LaunchRow(launch_hash=used, expires_at=launch.expires_at))
    except IntegrityError:
        raise NotLaunched(_again("it has been used already")) from None


def _key(pem: str) -> tuple[Any, str]:
    """The public key, and the one algorithm that goes with it: what the token's header names is not believed. Raises
    ValueError."""
    try:
        key = load_pem_public_key(pem.encode())
    except UnsupportedAlgorithm:
        raise ValueError("unsupported key") from None
    match key:
        case RSAPublicKey():
            return key, "RS256"
        case EllipticCurvePublicKey() if isinstance(key.curve, SECP256R1):
            return key, "ES256"
        case Ed25519PublicKey():
            return key, "EdDSA"
        case _:
            raise ValueError("unsupported key")


def _again(why: str) -> str:
    return f"This sign-on can't be used because {why}; go back to your EHR and open Manage Tokens from there again."
