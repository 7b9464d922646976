"""The devices in people's hands: a one-button hard token of the sample data."""

from datetime import datetime
from pathlib import Path

from domain.passcodes import Device, current, step
from domain.samples import HARD_TOKENS, seed_of


class HardDevice:
    """A hard token; how often its button was pressed is kept in `state`, as the device itself would."""

    def __init__(self, serial: str, state: Path) -> None:
        token = next((token for token in HARD_TOKENS if token.serial_number == serial), None)
        if token is None:
            raise ValueError(f"There is no sample token {serial}; `tokens show` names the serial of a journey.")
        self._device = Device(
            algorithm=token.algorithm,
            seed=seed_of(serial),
            digits=token.digits,
            digest=token.digest,
            period=token.period,
        )
        self._file = state / "devices" / serial

    def press(self, times: int = 1, at: datetime | None = None) -> str:
        """Presses the button so many times; the last passcode. `at` is needed by a token that goes by time."""
        if self._device.algorithm == "TOTP":
            if at is None:
                raise ValueError("This token goes by time; say at what time the button is pressed.")
            return current(self._device, step(self._device, at))
        self._file.parent.mkdir(parents=True, exist_ok=True)
        pressed = int(self._file.read_text()) if self._file.exists() else 0
        self._file.write_text(str(pressed + times))
        return current(self._device, pressed + times - 1)
