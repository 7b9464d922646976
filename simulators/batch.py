"""Stands in for a token maker: a batch of new hard tokens, the file in which it hands over their seeds, and the devices.

`make("oath-csv", 20, state)` is the file's content. The devices' seeds are kept in `state/devices/<serial>.json`, readable to the owner
only, so that `simulators.devices` can press their buttons.
"""

import base64
import json
import os
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from domain.passcodes import Device
from domain.token_files.row import Token

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""What can't be misread on the back of a token: no I, L, O or U."""


def make(format_: str, count: int, state: Path) -> str:
    """A new batch in one of `FORMATS`; its devices are kept. Raises KeyError for another format."""
    write = FORMATS[format_]
    batch = "".join(secrets.choice(_ALPHABET) for _ in range(5))
    made = [
        Token(number, f"IT-{batch}-{number:06d}", Device("HOTP", secrets.token_bytes(20)))
        for number in range(1, count + 1)
    ]
    for token in made:
        _keep(token, state)
    return write(made)


def device(serial: str, state: Path) -> Device | None:
    """The device of that serial, where it was made here."""
    try:
        kept = json.loads(_place(serial, state).read_text())
    except (OSError, ValueError):
        return None
    return Device(kept["algorithm"], bytes.fromhex(kept["seed"]), kept["digits"], kept["digest"], kept["period"])


def _place(serial: str, state: Path) -> Path:
    if "/" in serial or serial.startswith("."):
        raise ValueError("a serial number has no slash and begins with no dot")
    return state / "devices" / f"{serial}.json"


def _keep(token: Token, state: Path) -> None:
    path = _place(token.serial, state)
    path.parent.mkdir(parents=True, exist_ok=True)
    made = token.device
    kept = {"algorithm": made.algorithm, "seed": made.seed.hex(), "digits": made.digits, "digest": made.digest}
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({**kept, "period": made.period}, file)


# The files


def oath_csv(made: Sequence[Token]) -> str:
    """The columns that LinOTP and privacyIDEA read: serial, seed, type, digits, counter or interval."""
    return "".join(
        f"{token.serial}, {token.device.seed.hex()}, {token.device.algorithm.lower()}, {token.device.digits}, "
        f"{token.counter if token.device.algorithm == 'HOTP' else token.device.period}\n"
        for token in made
    )


def yubico(made: Sequence[Token]) -> str:
    """The log of Yubico's Personalization Tool in its Yubico format."""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return "".join(f"{token.serial},,{token.counter},{token.device.seed.hex()},,{at},\n" for token in made)


def safenet_xml(made: Sequence[Token]) -> str:
    """SafeNet's XML for eToken PASS."""
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<Tokens>\n'
        + "".join(
            f'<Token serial="{token.serial}"><CaseModel>5</CaseModel><Model>101</Model><ProductName>eTPass 6.10</ProductName>'
            '<Applications><Application ConnectorID="{0}">'
            f"<Seed>{token.device.seed.hex()}</Seed><MovingFactor>{token.counter}</MovingFactor>"
            "</Application></Applications></Token>\n"
            for token in made
        )
        + "</Tokens>\n"
    )


def pskc(made: Sequence[Token]) -> str:
    """PSKC in plain text (RFC 6030, section 4)."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">\n'
        + "".join(
            f"<KeyPackage><DeviceInfo><Manufacturer>Simulator</Manufacturer><SerialNo>{token.serial}</SerialNo></DeviceInfo>"
            f'<Key Id="{token.serial}" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:{token.device.algorithm.lower()}">'
            f"<AlgorithmParameters><Suite>HMAC-{token.device.digest}</Suite>"
            f'<ResponseFormat Length="{token.device.digits}" Encoding="DECIMAL"/></AlgorithmParameters>'
            f"<Data><Secret><PlainValue>{base64.b64encode(token.device.seed).decode()}</PlainValue></Secret>"
            + (
                f"<Counter><PlainValue>{token.counter}</PlainValue></Counter>"
                if token.device.algorithm == "HOTP"
                else f"<Time><PlainValue>0</PlainValue></Time>"
                f"<TimeInterval><PlainValue>{token.device.period}</PlainValue></TimeInterval>"
            )
            + "</Data></Key></KeyPackage>\n"
            for token in made
        )
        + "</KeyContainer>\n"
    )


FORMATS: dict[str, Callable[[Sequence[Token]], str]] = {
    "oath-csv": oath_csv,
    "yubico": yubico,
    "safenet-xml": safenet_xml,
    "pskc": pskc,
}
