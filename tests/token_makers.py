"""Files as token makers and other systems write them, made anew for each test from sample seeds. What `simulators.batch` writes is
taken from there."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from pskc import PSKC

from domain.passcodes import Device
from domain.token_files import Token

KEY = bytes.fromhex("12345678901234567890123456789012")
PASSWORD = "correct horse battery staple"


def tokens(number: int, batch: str = "T") -> list[Token]:
    """Ordinary HOTP tokens with seeds of 20 bytes."""
    return [
        Token(place, f"{batch}{place:06d}", Device("HOTP", seed(f"{batch}{place:06d}"), period=0))
        for place in range(1, number + 1)
    ]


def seed(serial: str) -> bytes:
    return hashlib.sha256(f"sample seed of {serial}".encode()).digest()[:20]


def base32(value: bytes) -> str:
    return base64.b32encode(value).decode()


def entra_csv(made: Sequence[Token]) -> str:
    """Microsoft Entra's, for tokens that go by time."""
    head = "upn,serial number,secret key,time interval,manufacturer,model\n"
    return head + "".join(
        f"ann@lakeside.example,{token.serial},{base32(token.device.seed)},{token.device.period or 30},Maker,Model\n"
        for token in made
    )


def yubico_traditional(made: Sequence[Token]) -> str:
    return "LOGGING START,12/11/2026 11:09\n" + "".join(
        f"OATH-HOTP,12/11/2026 11:09,1,{token.serial},,{token.device.seed.hex()},,,0,0,0,{token.device.digits},"
        f"{token.counter},0,0,0,0,0\n"
        for token in made
    )


def encrypted_pskc(
    made: Sequence[Token],
    path: Path,
    *,
    key: bytes | None = None,
    password: str | None = None,
    algorithm: str = "aes128-cbc",
) -> Path:
    """RFC 6030, encrypted if told so; written by python-pskc."""
    container = PSKC()
    for token in made:
        container.add_key(
            serial=token.serial,
            manufacturer="Maker",
            id=token.serial,
            algorithm=f"urn:ietf:params:xml:ns:keyprov:pskc:{token.device.algorithm.lower()}",
            secret=token.device.seed,
            response_length=token.device.digits,
            response_encoding="DECIMAL",
            algorithm_suite=f"HMAC-{token.device.digest}",
            **(
                {"counter": token.counter}
                if token.device.algorithm == "HOTP"
                else {"time_interval": token.device.period, "time_offset": 0}
            ),
        )
    if key is not None:
        container.encryption.setup_preshared_key(key=key, algorithm=algorithm)
    if password is not None:
        container.encryption.setup_pbkdf2(password, algorithm=algorithm, iterations=1000)
    container.write(str(path))
    return path
