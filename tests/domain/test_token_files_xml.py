"""XML files: SafeNet's, and PSKC (RFC 6030) plain and encrypted. No entity, no document type, nothing fetched."""

from pathlib import Path

import pytest

from domain.passcodes import Device
from domain.token_files import BadRow, FileRefused, Format, Row, Token, Unlock, recognised, rows
from simulators import batch
from tests.token_makers import KEY, PASSWORD, encrypted_pskc, seed, tokens

SEED = seed("A1")
HEX = SEED.hex()
PSKC = "urn:ietf:params:xml:ns:keyprov:pskc"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def read(path: Path, content: str | bytes | None = None, unlock: Unlock | None = None) -> list[Row]:
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(rows(path, recognised(path), unlock or Unlock()))


def refused(path: Path, content: str | bytes | None = None, unlock: Unlock | None = None) -> str:
    with pytest.raises(FileRefused) as fault:
        read(path, content, unlock)
    assert str(fault.value).endswith(".")
    return str(fault.value)


def bad(path: Path, content: str) -> str:
    [row] = read(path, content)
    assert isinstance(row, BadRow), row
    assert HEX not in repr(row)
    return row.reason


# SafeNet


def safenet(body: str, serial: str = 'serial="A1"') -> str:
    return f"<Tokens><Token {serial}><ProductName>eTPass</ProductName>{body}</Token></Tokens>"


def application(seed_: str, counter: str = "1") -> str:
    return f'<Application ConnectorID="{{a}}"><Seed>{seed_}</Seed><MovingFactor>{counter}</MovingFactor></Application>'


def test_safenet_is_read_as_it_was_written(path: Path) -> None:
    made = tokens(5)
    assert read(path, batch.safenet_xml(made)) == made
    assert recognised(path) is Format.SAFENET_XML


def test_safenets_longer_seeds_go_with_sha256(path: Path) -> None:
    [token] = read(path, safenet(f"<Applications>{application('ab' * 31 + 'cd', '7')}</Applications>"))
    assert token == Token(1, "A1", Device("HOTP", b"\xab" * 31 + b"\xcd", digest="SHA256", period=0), 7)


def test_safenet_in_a_namespace_and_another_encoding(path: Path) -> None:
    text = safenet(f"<Applications>{application(HEX)}</Applications>").replace("<Tokens>", '<Tokens xmlns="urn:x">')
    for encoding in ("utf-8", "utf-16", "iso-8859-1"):
        head = f'<?xml version="1.0" encoding="{encoding}"?>'
        [token] = read(path, (head + text.replace("eTPass", "Schlüssel")).encode(encoding))
        assert token == Token(1, "A1", Device("HOTP", SEED, period=0), 1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (safenet(f"<Applications>{application(HEX[:-1])}</Applications>"), "odd number of hex digits"),
        (safenet(f"<Applications>{application('')}</Applications>"), "seed is blank"),
        (safenet(f"<Applications>{application('00' * 20)}</Applications>"), "seed is blank"),
        (safenet(f"<Applications>{application('GG' * 20)}</Applications>"), "is not hex"),
        (safenet(f"<Applications>{application(HEX, 'x')}</Applications>"), "counter is not a whole number"),
        (safenet("<Applications/>"), "no application with a seed"),
        (safenet("<Applications>" + application(HEX) * 2 + "</Applications>"), "more than one application"),
        (safenet(f"<Applications>{application(HEX)}</Applications>", ""), "no serial number"),
    ],
)
def test_safenets_rows_that_can_not_be_taken(path: Path, content: str, reason: str) -> None:
    assert reason in bad(path, content)


# PSKC


def key(
    secret: str = "<PlainValue>MTIzNDU2Nzg5MGFiY2RlZmdoaWo=</PlainValue>",
    algorithm: str = f"{PSKC}:hotp",
    parameters: str = '<ResponseFormat Length="6" Encoding="DECIMAL"/>',
    data: str = "<Counter><PlainValue>0</PlainValue></Counter>",
    more: str = "",
) -> str:
    return (
        f'<KeyContainer Version="1.0" xmlns="{PSKC}"><KeyPackage><DeviceInfo><SerialNo>A1</SerialNo></DeviceInfo>'
        f'<Key Id="k1" Algorithm="{algorithm}"><AlgorithmParameters>{parameters}</AlgorithmParameters>'
        f"<Data><Secret>{secret}</Secret>{data}</Data>{more}</Key></KeyPackage></KeyContainer>"
    )


def test_pskc_is_read_as_it_was_written(path: Path) -> None:
    made = [
        *tokens(3),
        Token(4, "B4", Device("TOTP", seed("B4"), 8, "SHA256", 60)),
        Token(5, "B5", Device("HOTP", seed("B5"), 8, "SHA512", 0), 77),
    ]
    assert read(path, batch.pskc(made)) == made
    assert recognised(path) is Format.PSKC
    assert read(encrypted_pskc(made, path)) == made  # written by python-pskc, plain


@pytest.mark.parametrize("algorithm", ["aes128-cbc", "aes256-cbc", "kw-aes128", "kw-aes256"])
def test_pskc_with_a_key_agreed_upon(path: Path, algorithm: str) -> None:
    made = tokens(3)
    size = 32 if "256" in algorithm else 16
    encrypted_pskc(made, path, key=(KEY * 2)[:size], algorithm=algorithm)
    assert read(path, unlock=Unlock(key=(KEY * 2)[:size])) == made
    assert "another one" in str(_outcome(path, Unlock(key=bytes(size))))
    assert "give that key in hex" in refused(path)
    assert "give that key in hex" in refused(path, unlock=Unlock(password=PASSWORD))


def _outcome(path: Path, unlock: Unlock) -> str:
    """The sentence, of the file or of its first row: key wrapping has no MAC key whose decryption would tell."""
    try:
        [row, *_] = read(path, unlock=unlock)
    except FileRefused as fault:
        return str(fault)
    assert isinstance(row, BadRow)
    return row.reason.replace("can't be decrypted", "another one")


@pytest.mark.parametrize("algorithm", ["aes128-cbc", "aes256-cbc"])
def test_pskc_with_a_password(path: Path, algorithm: str) -> None:
    made = tokens(3)
    encrypted_pskc(made, path, password=PASSWORD, algorithm=algorithm)
    assert read(path, unlock=Unlock(password=PASSWORD)) == made
    assert "another one" in refused(path, unlock=Unlock(password="wrong"))
    assert "with a password; give it" in refused(path)


def test_no_wrong_password_passes_by_chance(path: Path) -> None:
    """One in 256 gives a padding that fits."""
    encrypted_pskc(tokens(1), path, key=KEY)
    for number in range(1500):
        assert "another one" in refused(path, unlock=Unlock(key=number.to_bytes(16, "big")))


def test_a_wrong_mac(path: Path) -> None:
    encrypted_pskc(tokens(2), path, key=KEY)
    text = path.read_text()
    at = text.index("ValueMAC>") + len("ValueMAC>") + 3
    path.write_text(text[:at] + ("B" if text[at] == "A" else "A") + text[at + 1 :])
    first, second = read(path, unlock=Unlock(key=KEY))
    assert isinstance(first, BadRow)
    assert "their MAC is wrong" in first.reason
    assert isinstance(second, Token)


def test_an_encrypted_seed_without_a_mac(path: Path) -> None:
    encrypted_pskc(tokens(1), path, key=KEY)
    text = path.read_text()
    start, end = text.index("<pskc:ValueMAC"), text.index("</pskc:ValueMAC>") + len("</pskc:ValueMAC>")
    path.write_text(text[:start] + text[end:])
    [row] = read(path, unlock=Unlock(key=KEY))
    assert isinstance(row, BadRow)
    assert "without a MAC" in row.reason


def test_too_much_work_is_not_done(path: Path) -> None:
    encrypted_pskc(tokens(1), path, password=PASSWORD)
    path.write_text(path.read_text().replace(">1000<", ">999999999<"))
    assert "rounds of PBKDF2" in refused(path, unlock=Unlock(password=PASSWORD))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (key(secret="<PlainValue></PlainValue>"), "no base64"),
        (key(secret="<PlainValue>!!!!</PlainValue>"), "no base64"),
        (key(secret="<PlainValue>AAAAAAAAAAAAAAAAAAAAAAAAAAA=</PlainValue>"), "seed is blank"),
        (key(algorithm=f"{PSKC}:ocra"), "neither HOTP nor TOTP"),
        (
            key(algorithm="http://www.rsa.com/rsalabs/otps/schemas/2005/09/otps-wst#SecurID-AES"),
            "neither HOTP nor TOTP",
        ),
        (key(algorithm=""), "neither HOTP nor TOTP"),
        (key(parameters='<ResponseFormat Length="6" Encoding="HEXADECIMAL"/>'), "not decimal"),
        (key(parameters='<ResponseFormat Length="6" Encoding="DECIMAL" CheckDigits="true"/>'), "check digit"),
        (key(parameters='<ResponseFormat Length="9" Encoding="DECIMAL"/>'), "neither six nor eight"),
        (key(parameters='<Suite>HMAC-MD5</Suite><ResponseFormat Length="6" Encoding="DECIMAL"/>'), "none of SHA1"),
        (key(data="<Counter><PlainValue>many</PlainValue></Counter>"), "not a whole number"),
        (key(algorithm=f"{PSKC}:totp", data="<Time><PlainValue>1000000</PlainValue></Time>"), "does not begin at 1970"),
        (key(more="<Policy><KeyUsage>CR</KeyUsage></Policy>"), "policy does not allow"),
        (key(more="<Policy><OnlyOnMondays/></Policy>"), "policy does not allow"),
        (f'<KeyContainer Version="1.0" xmlns="{PSKC}"><KeyPackage/></KeyContainer>', "has no key"),
    ],
)
def test_pskc_keys_that_can_not_be_taken(path: Path, content: str, reason: str) -> None:
    assert reason in bad(path, content)


def test_pskc_as_makers_write_it(path: Path) -> None:
    """Prefixes, a policy with dates, a response format and nothing else, as Feitian's and Thales' files have them."""
    policy = "<Policy><StartDate>2026-01-01T00:00:00Z</StartDate><ExpiryDate>2037-12-31T00:00:00Z</ExpiryDate>"
    made = key(
        algorithm=f"{PSKC}:totp",
        data="<Time><PlainValue>0</PlainValue></Time><TimeInterval><PlainValue>60</PlainValue></TimeInterval>",
        more=policy + "<KeyUsage>OTP</KeyUsage></Policy>",
    )
    prefixed = made.replace("</", "</p:").replace("<", "<p:").replace("<p:/p:", "</p:").replace("xmlns=", "xmlns:p=")
    for content in (made, '<?xml version="1.0"?>\n<!-- made for a test -->\n' + prefixed):
        [token] = read(path, content)
        assert token == Token(1, "A1", Device("TOTP", b"1234567890abcdefghij", period=60))


def test_two_keys_of_one_device_are_two_rows(path: Path) -> None:
    one = key()
    start, end = one.index("<Key "), one.index("</KeyPackage>")
    read_rows = read(path, one[:end] + one[start:end].replace("k1", "k2") + one[end:])
    assert [(row.line, row.serial) for row in read_rows] == [(1, "A1"), (2, "A1")]


# What XML can be made to do

_BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(b)} "{f"&{chr(b - 1)};" * 10}">' for b in range(98, 108))
    + "]>"
)


@pytest.mark.parametrize(
    "doctype",
    [
        _BOMB,
        '<!DOCTYPE x [<!ENTITY k SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">',
        "<!DOCTYPE x>",
    ],
    ids=["bomb", "file", "network", "bare"],
)
@pytest.mark.parametrize("entity", ["&k;", "A1"])
def test_no_document_type(path: Path, doctype: str, entity: str) -> None:
    for root, body in (
        ("Tokens", f'<Token serial="A1"><Applications>{application(entity)}</Applications></Token>'),
        ("KeyContainer", f"<KeyPackage><DeviceInfo><SerialNo>{entity}</SerialNo></DeviceInfo></KeyPackage>"),
    ):
        said = refused(path, f"{doctype.replace('x', root, 1)}<{root}>{body}</{root}>")
        assert "document type" in said or "not whole" in said


@pytest.mark.parametrize(
    "content",
    [
        "<Tokens><Token",
        "<Tokens>",
        "<Tokens></Token>",
        '<?xml version="1.0" encoding="klingon"?><Tokens></Tokens>',
        "<Tokens>" + "<a>" * 100_000,
        "<Tokens><Token>&undefined;</Token></Tokens>",
        '<Tokens><Token serial="' + "A" * 11_000_000 + '"/></Tokens>',
    ],
    ids=["cut", "open", "crossed", "encoding", "deep", "entity", "long"],
)
def test_xml_that_is_not_whole(path: Path, content: str) -> None:
    assert "not whole" in refused(path, content)
