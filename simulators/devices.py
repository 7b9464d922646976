"""Stands in for the devices in people's hands: a one-button hard token of the sample data, or of a batch made here.

`HardDevice(serial, state).press()` is the passcode on its display. It needs no secrets file, as the seeds of the sample data
are derived from the serial (`domain.samples.seed_of`). How often the button was pressed is kept in `state/devices/<serial>`.
"""

from datetime import datetime
from pathlib import Path

from domain.passcodes import Device, current, step
from domain.samples import HARD_TOKENS, seed_of
from simulators import batch


class HardDevice:
    """A hard token; how often its button was pressed is kept in `state`, as the device itself would.

    Raises ValueError for a serial that is neither of the sample data nor of a batch in `state`.
    """

    def __init__(self, serial: str, state: Path) -> None:
        self._device = _of_samples(serial) or _of_batches(serial, state)
        self._file = state / "devices" / serial

    def press(self, times: int = 1, at: datetime | None = None) -> str:
        """Presses the button so many times; the last passcode. A token that goes by time needs `at`, with an offset; one
        that goes by presses takes no notice of it. Raises ValueError without a press, or without the time it needs."""
        if times < 1:
            raise ValueError("A button is pressed at least once.")
        if self._device.algorithm == "TOTP":
            if at is None:
                raise ValueError("This token goes by time; say at what time the button is pressed.")
            return current(self._device, step(self._device, at))
        pressed = int(self._file.read_text()) if self._file.exists() else 0
        self._count(pressed + times)
        return current(self._device, pressed + times - 1)

    def _count(self, pressed: int) -> None:
        """By renaming, so that the count is never half written."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_name(f".{self._file.name}.new")
        new.write_text(str(pressed))
        new.replace(self._file)


def _of_samples(serial: str) -> Device | None:
    for token in HARD_TOKENS:
        if token.serial_number == serial:
            return Device(token.algorithm, seed_of(serial), token.digits, token.digest, token.period)
    return None


def _of_batches(serial: str, state: Path) -> Device:
    try:
        made = batch.device(serial, state)
    except ValueError:
        made = None
    if made is None:
        raise ValueError(f"There is no sample token {serial}; `tokens show` names the serial of a journey.")
    return made
