"""PINs at rest: argon2id over the PIN with the server's pepper, so that the database alone gives none away."""

import hmac

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError


def hashed(pin: str, pepper: str) -> str:
    """What is kept. Raises ValueError where no pepper is set."""
    return PasswordHasher().hash(_peppered(pin, pepper))


def matches(kept: str, pin: str, pepper: str) -> bool:
    """Whether `kept` was made of this PIN. Raises ValueError where no pepper is set."""
    try:
        return PasswordHasher().verify(kept, _peppered(pin, pepper))
    except VerifyMismatchError:
        return False


def _peppered(pin: str, pepper: str) -> bytes:
    if not pepper:
        raise ValueError("no pepper is set; set TOKENS_PIN_PEPPER")
    return hmac.digest(pepper.encode(), pin.encode(), "sha256")
