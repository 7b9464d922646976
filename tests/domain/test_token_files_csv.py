"""Files of lines: OATH CSV and the logs of Yubico's Personalization Tool, in the layouts that their makers document."""

import base64
from pathlib import Path

import pytest

from domain.passcodes import Device
from domain.token_files import BadRow, FileRefused, Format, Row, Token, Unlock, recognised, rows
from simulators import batch
from tests.token_makers import base32, entra_csv, seed, tokens, yubico_traditional

SEED = seed("A1")
HEX = SEED.hex()
B32 = base32(SEED)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def read(path: Path, content: str | bytes, format_: Format | None = None) -> list[Row]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(rows(path, format_ or recognised(path), Unlock()))


def one(path: Path, content: str | bytes) -> Token:
    [row] = read(path, content)
    assert isinstance(row, Token), row
    return row


def bad(path: Path, content: str | bytes) -> BadRow:
    [row] = read(path, content)
    assert isinstance(row, BadRow), row
    return row


@pytest.mark.parametrize("format_", ["oath-csv", "yubico"])
def test_what_is_written_is_read(path: Path, format_: str) -> None:
    made = tokens(5)
    assert read(path, batch.FORMATS[format_](made)) == made
    assert recognised(path) == format_


@pytest.mark.parametrize(
    ("line", "device", "counter"),
    [
        (f"A1,{HEX}", Device("HOTP", SEED, period=0), 0),  # Duo, PingID, IBM: HOTP
        (f"A1,{HEX},7", Device("HOTP", SEED, period=0), 7),  # Duo, PingID: a counter
        (f"A1, {HEX}, totp, 8", Device("TOTP", SEED, 8), 0),  # NetIQ
        (f"A1, {HEX}, totp, 6, 60", Device("TOTP", SEED, period=60), 0),  # NetIQ, LinOTP, privacyIDEA
        (f"A1, {HEX}, HOTP, 6, 9", Device("HOTP", SEED, period=0), 9),  # privacyIDEA: a counter
        (f"A1, {HEX}, totp, 6, 30, sha256", Device("TOTP", SEED, digest="SHA256"), 0),  # LinOTP
        (f"A1, {'0f' * 31 + 'aa'}, totp", Device("TOTP", b"\x0f" * 31 + b"\xaa", digest="SHA256"), 0),  # by its length
        (f"A1, {'0f' * 63 + 'aa'}, totp", Device("TOTP", b"\x0f" * 63 + b"\xaa", digest="SHA512"), 0),
        (f"A1, {'0f' * 31 + 'aa'}, totp,6,30,sha1", Device("TOTP", b"\x0f" * 31 + b"\xaa"), 0),
        (f"A1,{HEX.upper()},HOTP-8", Device("HOTP", SEED, 8, period=0), 0),  # Duo's names of types
        (f"A1;{B32};TOTP", Device("TOTP", SEED), 0),  # PhenixID
        (f"A1\t{B32.lower()}", Device("HOTP", SEED, period=0), 0),
        (f'"A1","{B32[:4]} {B32[4:]}"', Device("HOTP", SEED, period=0), 0),
        (f"A1,0x{HEX}", Device("HOTP", SEED, period=0), 0),
        (f"A1,{B32},,,,", Device("HOTP", SEED, period=0), 0),
        (f"YUBIHOTP508326_2,{HEX},hotp,8", Device("HOTP", SEED, 8, period=0), 0),  # the tool's flexible format
    ],
)
def test_without_a_header(path: Path, line: str, device: Device, counter: int) -> None:
    token = one(path, line + "\r\n")
    assert (token.device, token.counter, token.line) == (device, counter, 1)


@pytest.mark.parametrize(
    ("content", "device", "counter"),
    [
        # Microsoft Entra
        (
            f"upn,serial number,secret key,time interval,manufacturer,model\na@b.example,A1,{B32},60,Maker,Model\n",
            Device("TOTP", SEED, period=60),
            0,
        ),
        # Thales and Deepnet: no user
        (
            f"Serial Number,Secret Key,Manufacturer,Model,Start Date,Time Interval\nA1,{B32},M,OTP,2021-06-04T04:46:26,30",
            Device("TOTP", SEED),
            0,
        ),
        # Centrify
        (f"Token Identifier,Secret Key (HEX),Issuer\nA1,{HEX},Maker", Device("HOTP", SEED, period=0), 0),
        ("sn;otp_key;type;digits;counter\n" + f"A1;{HEX};hotp;8;12", Device("HOTP", SEED, 8, period=0), 12),
        (f"algorithm,serial,seed,digits,period\nSHA256,A1,{HEX},8,60\n", Device("HOTP", SEED, 8, "SHA256", 0), 0),
        (f"algorithm,type,serial,seed\nHMAC-SHA-512,totp,A1,{HEX}\n", Device("TOTP", SEED, 6, "SHA512"), 0),
        (f"algorithm,serial,seed\nTOTP,A1,{HEX}\n", Device("TOTP", SEED), 0),
    ],
)
def test_with_a_header(path: Path, content: str, device: Device, counter: int) -> None:
    token = one(path, content)
    assert (token.serial, token.device, token.counter, token.line) == ("A1", device, counter, 2)


def test_a_batch_is_kept(path: Path) -> None:
    assert one(path, f"serial,seed,lot number\nA1,{HEX},H-2026-02").batch == "H-2026-02"


def test_users_before_the_serial(path: Path) -> None:
    token = one(path, f"# version: 2\n# users first\nann, ldap, staff, A1, {HEX}, totp, 6, 60\n")
    assert (token.serial, token.device, token.line) == ("A1", Device("TOTP", SEED, period=60), 3)


def test_entra_seeds_are_base32_even_where_they_look_like_hex(path: Path) -> None:
    made = [Token(2, "A1", Device("TOTP", bytes(range(16, 36)), period=30))]
    assert read(path, entra_csv(made)) == made
    # Entra's own example; the first ten characters are "2234567abc".
    header = "upn,serial number,secret key,time interval,manufacturer,model\n"
    token = one(path, header + "user@contoso.example,A1,2234567abcdef2234567abcdef,60,Contoso,HardwareKey\n")
    assert token.device.seed == base64.b32decode("2234567ABCDEF2234567ABCDEF======")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_encodings(path: Path, encoding: str) -> None:
    content = f"serial,seed,manufacturer\r\nA1,{HEX},Müller\r\nA2,{seed('A2').hex()},Maker\r\n"
    mark = b"\xff\xfe" if encoding == "utf-16-le" else b""
    read_rows = read(path, mark + content.encode(encoding))
    if encoding == "latin-1":
        # What can't be read is said of its row, and only of that.
        assert isinstance(read_rows[0], BadRow)
        assert "can't be read as text" in read_rows[0].reason
        assert isinstance(read_rows[1], Token)
    else:
        assert [row.serial for row in read_rows if isinstance(row, Token)] == ["A1", "A2"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f"A1,{HEX[:-1]}", "odd number of hex digits"),
        ("A1,", "seed is blank"),
        ("A1", "seed is blank"),
        ("A1," + "00" * 20, "seed is blank"),
        ("A1,not a seed at all!", "neither hex nor base32"),
        (f"A1,{HEX[:20]}", "at least 14 bytes"),
        ("A1," + "0f" * 128 + "aa", "longer than 128 bytes"),
        (f",{HEX}", "no serial number"),
        (f"A 1,{HEX}", "serial number is not"),
        (f"{'A' * 65},{HEX}", "serial number is not"),
        (f"A1,{HEX},ocra,OCRA-1:HOTP-SHA1-6:C-QN08", "neither HOTP nor TOTP"),
        (f"A1,{HEX},motp", "neither HOTP nor TOTP"),
        (f"A1,{HEX},yubikey", "neither HOTP nor TOTP"),
        (f"A1,{HEX},totp,7", "neither six nor eight"),
        (f"A1,{HEX},totp,six", "number of digits is not a whole number"),
        (f"A1,{HEX},totp,6,45", "neither 30 nor 60"),
        (f"A1,{HEX},hotp,6,-1", "counter is not a whole number"),
        (f"A1,{HEX},hotp,6,99999999999", "counter is over"),
        (f"A1,{HEX},totp,6,30,md5", "none of SHA1, SHA256 and SHA512"),
        (f"A1,{HEX},60", "may be a counter or a time interval"),
        (f"A1\0,{HEX}", "can't be read as text"),
    ],
)
def test_rows_that_can_not_be_taken(path: Path, row: str, reason: str) -> None:
    refused = bad(path, row)
    assert reason in refused.reason
    assert refused.line == 1
    assert HEX not in repr(refused)


def test_a_seed_in_the_wrong_column_is_not_repeated(path: Path) -> None:
    refused = bad(path, f"{HEX},A1")
    assert refused.serial is None
    assert HEX not in repr(refused)
    assert HEX not in repr(one(path, f"A1,{HEX}"))
    assert repr(SEED) not in repr(one(path, f"A1,{HEX}"))


def test_each_row_by_itself(path: Path) -> None:
    content = f"# a comment\n\nA1,{HEX}\nA2,zz\n\n  \nA3,{seed('A3').hex()}\n"
    assert [(row.line, row.serial, isinstance(row, Token)) for row in read(path, content)] == [
        (3, "A1", True),
        (4, "A2", False),
        (7, "A3", True),
    ]


# Yubico


def test_traditional(path: Path) -> None:
    made = [Token(place + 1, token.serial, token.device, token.counter) for place, token in enumerate(tokens(3), 1)]
    assert read(path, yubico_traditional(made)) == made
    assert recognised(path) is Format.YUBICO


@pytest.mark.parametrize(
    ("line", "device", "counter"),
    [
        (f"OATH-HOTP,11.12.13 18:55,1,A1,,{HEX},,,0,0,0,8,3,0,0,0,0,0", Device("HOTP", SEED, 8, period=0), 3),
        # a country that writes a comma into the time
        (f"OATH-HOTP,11/12/13, 6:55 PM,1,A1,,{HEX},,,0,0,0,6,0,0,0,0,0,0", Device("HOTP", SEED, period=0), 0),
        (f"A1,,5,{HEX},,2013-12-12T08:41:07,", Device("HOTP", SEED, period=0), 5),
        (f"A1,ubhe00000001,0,{HEX},31323334,2013-12-12T08:41:07,", Device("HOTP", SEED, period=0), 0),
    ],
)
def test_yubicos_lines(path: Path, line: str, device: Device, counter: int) -> None:
    token = one(path, line)
    assert (token.serial, token.device, token.counter) == ("A1", device, counter)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "Yubico OTP,12/11/2013 11:10,1,vvgutb,ab86c04de6a3," + "d2" * 16 + ",,,0,0,0,0,0,0,0,0,0,0",
            "no OATH-HOTP token",
        ),
        ("Static Password,11.12.13 19:08,1,,d5a3d5,0e8e37,,,0,0,0,0,0,0,0,0,0,0", "no OATH-HOTP token"),
        ("Challenge-Response: HMAC-SHA1,1.1.13,2,,," + HEX + ",,,0,0,0,0,0,0,0,0,0,0", "no OATH-HOTP token"),
        (f"OATH-HOTP,11.12.13 18:55,1,,,{HEX},,,0,0,0,6,0,0,0,0,0,0", "no token identifier"),
        (f"OATH-HOTP,11.12.13 18:55,1,A1,,{HEX}", "not the 18 columns"),
        ("508326,cccccccccccc,83cebdfb7b93," + "a4" * 16 + ",,2013-12-12T08:43:17,", "is a Yubico OTP"),
        ("508326,,," + "9e" * 16 + ",,2013-12-12T08:44:34,", "static password"),
    ],
)
def test_yubicos_other_slots(path: Path, line: str, reason: str) -> None:
    assert reason in bad(path, line).reason
    assert recognised(path) is Format.YUBICO


# Files as a whole


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"  \n\n", "is empty"),
        (b"# nothing\n" * 2, "holds no tokens"),
        (b"PK\x03\x04rest", "Excel"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"-----BEGIN PGP MESSAGE-----", "PGP"),
        (b"%PDF-1.7", "PDF"),
        (b"<html><body/></html>", "neither PSKC"),
        (b"<?xml version='1.0'?>", "neither PSKC"),
        (b"A1," + b"f" * 5000, "longer than 4096"),
    ],
)
def test_files_that_are_none(path: Path, content: bytes, said: str) -> None:
    with pytest.raises(FileRefused, match=said):
        read(path, content)
