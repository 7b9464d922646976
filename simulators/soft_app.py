"""Stands in for the authenticator app on a person's phone.

`SoftApp(journey_id, state)` scans the QR code of an enrolment and shows passcodes from then on. What it scanned is kept in
`state/devices`, as a phone would keep it. It reads the `otpauth://` URI by pyotp alone, as an app knows nothing of this system.
"""

import hashlib
import os
import secrets
from datetime import datetime
from pathlib import Path

from pyotp import parse_uri
from pyotp.totp import TOTP


class SoftApp:
    """The app on the phone on which the soft token of `journey_id` is set up."""

    def __init__(self, journey_id: str, state: Path) -> None:
        name = hashlib.sha256(journey_id.encode()).hexdigest()[:16]
        self._file = state / "devices" / f"app-{name}"

    def scan(self, uri: str) -> None:
        """Takes what a QR code says, in place of what was scanned before. Raises ValueError for another kind of code."""
        _totp(uri)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_name(f".{self._file.name}-{secrets.token_hex(4)}")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(uri)
        new.replace(self._file)

    def passcode(self, at: datetime) -> str:
        """The passcode that it shows at `at`, which has an offset. Raises ValueError where nothing was scanned."""
        if not self._file.exists():
            raise ValueError("this app has scanned no code yet; set the token up with `tokens simulate app`")
        return _totp(self._file.read_text()).at(at)


def _totp(uri: str) -> TOTP:
    try:
        read = parse_uri(uri)
    except ValueError:
        read = None  # its text is not passed on: it may hold what was scanned
    if not isinstance(read, TOTP):
        raise ValueError("this is not the code of a token that goes by time; scan the one that the enrolment shows")
    return read
