"""Sample data for demonstrations and tests. Every person, practice and number is made up.

Emails end in `.example` (RFC 2606). NPI and DEA numbers have correct check digits; NPIs begin with 2, which the format
allows and those in use, as far as known, do not. Cities, states, ZIPs and time zones fit each other; streets are made up.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal

from domain.address import Address

_LABEL = b"token-fulfillment sample data, not secret"
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""What can't be misread on the back of a token: no I, L, O or U."""


@dataclass(frozen=True)
class Practice:
    """`time_zone` is an IANA name."""

    practice_id: str
    name: str
    time_zone: str
    street1: str
    street2: str | None
    city: str
    state: str
    postal_code: str


@dataclass(frozen=True)
class PrescribingDevice:
    """A device that prescriptions are sent from. `fingerprint`: 64 hex digits."""

    fingerprint: str
    name: str


@dataclass(frozen=True)
class Prescriber:
    prescriber_id: str
    practice_id: str
    name: str
    email: str
    npi: str
    dea_number: str
    address: Address
    id_proofed: bool = True
    devices: tuple[PrescribingDevice, ...] = ()


@dataclass(frozen=True)
class HardToken:
    """A token in stock; its seed is `seed_of(serial_number)`. `period`: seconds of a TOTP step, 0 for HOTP."""

    serial_number: str
    batch: str
    algorithm: Literal["HOTP", "TOTP"]
    digits: int = 6
    digest: Literal["SHA1", "SHA256", "SHA512"] = "SHA1"
    period: int = 0


def seed_of(serial_number: str) -> bytes:
    """The 20-byte seed of a sample token, the same on every machine, so that device simulators need no secrets file."""
    return _derived("seed", serial_number)[:20]


def _derived(what: str, of: str) -> bytes:
    return hmac.digest(_LABEL, f"{what}:{of}".encode(), "sha256")


def _serial(batch: str, number: int) -> str:
    """Fixed, but neither consecutive nor to be guessed from another one."""
    return "HT-" + "".join(_ALPHABET[byte % 32] for byte in _derived("serial", f"{batch}:{number}")[:10])


def _npi(number: int) -> str:
    """Nine digits and the Luhn check digit over them with the prefix 80840 (45 CFR 162.406)."""
    stem = f"2{number:08d}"
    doubled = [int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(reversed("80840" + stem))]
    return stem + str(-sum(product // 10 + product % 10 for product in doubled) % 10)


def _dea_number(surname: str, number: int) -> str:
    """A registrant's letter, the surname's initial, six digits and their check digit."""
    digits = f"99{number:04d}"
    check = sum(map(int, digits[0::2])) + 2 * sum(map(int, digits[1::2]))
    return f"G{surname[0]}{digits}{check % 10}"


PRACTICES = (
    Practice(
        "lakeside",
        "Lakeside Family Medicine",
        "America/New_York",
        "118 Harbor Steps",
        "Suite 2",
        "Burlington",
        "VT",
        "05401",
    ),
    Practice(
        "prairie",
        "Prairie Pain & Spine Center",
        "America/Chicago",
        "2204 Switchgrass Avenue",
        None,
        "Peoria",
        "IL",
        "61602",
    ),
    Practice(
        "animas",
        "Animas Orthopedic Group",
        "America/Denver",
        "731 Narrow Gauge Road",
        "Building C",
        "Durango",
        "CO",
        "81301",
    ),
    Practice(
        "ponderosa",
        "Ponderosa Behavioral Health",
        "America/Phoenix",
        "56 Lava Tube Lane",
        None,
        "Flagstaff",
        "AZ",
        "86001",
    ),
    Practice(
        "redwood",
        "Redwood Coast Oncology",
        "America/Los_Angeles",
        "4010 Fogbell Street",
        "Floor 3",
        "Eureka",
        "CA",
        "95501",
    ),
    Practice(
        "bayfront", "Bayfront Community Clinic", "Pacific/Honolulu", "87 Monkeypod Drive", None, "Hilo", "HI", "96720"
    ),
)

_PEOPLE = (
    # practice, given name, surname, mailbox
    ("lakeside", "Miriam", "Aldous", "miriam.aldous"),
    ("lakeside", "Theodore", "Banville", "theodore.banville"),
    ("lakeside", "Ngozi", "Chukwuma", "ngozi.chukwuma"),
    ("lakeside", "Patrick", "O'Dellmore", "patrick.odellmore"),
    ("lakeside", "Greta", "Lindqvale", "greta.lindqvale"),
    ("prairie", "Samuel", "Everhart-Pike", "samuel.everhart-pike"),
    ("prairie", "Lucía", "Núñez Arroyal", "lucia.nunez"),
    ("prairie", "Darnell", "Whitcomber", "darnell.whitcomber"),
    ("prairie", "Irena", "Kowalczuk", "irena.kowalczuk"),
    ("animas", "Joseph", "Tsinajin", "joseph.tsinajin"),
    ("animas", "Caroline", "Marsh-Odom", "caroline.marsh-odom"),
    ("animas", "Vikram", "Desharam", "vikram.desharam"),
    ("animas", "Beatrice", "Holloran", "beatrice.holloran"),
    ("ponderosa", "Elias", "Figueredo", "elias.figueredo"),
    ("ponderosa", "Hannah", "Roanhorst", "hannah.roanhorst"),
    ("ponderosa", "Omar", "Zaydani", "omar.zaydani"),
    ("ponderosa", "Sylvie", "Jourdanais", "sylvie.jourdanais"),
    ("redwood", "Wei", "Lianghua", "wei.lianghua"),
    ("redwood", "Rosalind", "Quillfeather", "rosalind.quillfeather"),
    ("redwood", "Anders", "Vestergren", "anders.vestergren"),
    ("redwood", "Priya", "Subramoni", "priya.subramoni"),
    ("bayfront", "Keoni", "Makaleha", "keoni.makaleha"),
    ("bayfront", "Yuki", "Tanabara", "yuki.tanabara"),
    ("bayfront", "Francis", "Gallowmere", "francis.gallowmere"),
    ("bayfront", "Adaeze", "Imoh", "adaeze.imoh"),
)

_NOT_PROOFED = "P-1025"
_DEVICES = {
    "P-1002": tuple(
        PrescribingDevice(fingerprint=hashlib.sha256(_LABEL + name.encode()).hexdigest(), name=name)
        for name in ("Exam room tablet", "Phone with the RXNT app")
    )
}


def _prescribers() -> tuple[Prescriber, ...]:
    practices = {practice.practice_id: practice for practice in PRACTICES}
    rows: list[Prescriber] = []
    for number, (practice_id, given_name, surname, mailbox) in enumerate(_PEOPLE, start=1):
        practice = practices[practice_id]
        prescriber_id = f"P-{1000 + number}"
        rows.append(
            Prescriber(
                prescriber_id=prescriber_id,
                practice_id=practice_id,
                name=f"{given_name} {surname}",
                email=f"{mailbox}@{practice_id}.example",
                npi=_npi(40_507_000 + 137 * number),
                dea_number=_dea_number(surname, 1200 + 73 * number),
                address=Address(
                    name=f"{given_name} {surname}",
                    street1=practice.street1,
                    street2=practice.street2,
                    city=practice.city,
                    state=practice.state,
                    postal_code=practice.postal_code,
                ),
                id_proofed=prescriber_id != _NOT_PROOFED,
                devices=_DEVICES.get(prescriber_id, ()),
            )
        )
    return tuple(rows)


PRESCRIBERS = _prescribers()
"""25, `P-1001` to `P-1025`. The last is not ID-proofed; `P-1002` has prescribing devices."""

HARD_TOKENS = (
    *(HardToken(_serial("H-2026-01", number), "H-2026-01", "HOTP") for number in range(40)),
    *(HardToken(_serial("T-2026-01", number), "T-2026-01", "TOTP", period=30) for number in range(8)),
)
"""40 HOTP tokens, then one batch of 8 TOTP tokens."""
