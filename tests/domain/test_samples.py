import re
from zoneinfo import ZoneInfo

import zipcodes

from domain.address import problems
from domain.email_address import checked
from domain.passcodes import Device, current
from domain.samples import HARD_TOKENS, PRACTICES, PRESCRIBERS, seed_of


def luhn(digits: str) -> int:
    """ISO/IEC 7812: 0 for a number whose check digit is right."""
    doubled = "".join(str(int(d) * 2) if place % 2 else d for place, d in enumerate(reversed(digits)))
    return sum(9 if pair == "18" else sum(map(int, pair)) for pair in doubled) % 10


def test_twenty_five_prescribers_of_six_practices() -> None:
    assert [p.prescriber_id for p in PRESCRIBERS] == [f"P-{number}" for number in range(1001, 1026)]
    assert {p.practice_id for p in PRESCRIBERS} == {p.practice_id for p in PRACTICES}
    assert len({p.state for p in PRACTICES}) == len({p.time_zone for p in PRACTICES}) == len(PRACTICES) == 6
    assert [p.prescriber_id for p in PRESCRIBERS if not p.id_proofed] == ["P-1025"]
    assert [p.prescriber_id for p in PRESCRIBERS if p.devices] == ["P-1002"]
    assert len({d.fingerprint for p in PRESCRIBERS for d in p.devices}) == 2


def test_addresses_are_real_places_in_their_time_zone() -> None:
    for practice in PRACTICES:
        (place,) = zipcodes.matching(practice.postal_code)
        assert (place["city"], place["state"]) == (practice.city, practice.state)
        assert place["timezone"] == ZoneInfo(practice.time_zone).key
    assert [found for p in PRESCRIBERS for found in problems(p.address)] == []


def test_emails_go_nowhere() -> None:
    for prescriber in PRESCRIBERS:
        assert checked(prescriber.email) == prescriber.email
        assert prescriber.email.endswith(".example")
    assert len({p.email for p in PRESCRIBERS}) == 25


def test_the_check_digit_against_the_published_example() -> None:
    assert luhn("808401234567893") == 0


def test_npi_and_dea_numbers_have_their_check_digits() -> None:
    for prescriber in PRESCRIBERS:
        assert re.fullmatch(r"2\d{9}", prescriber.npi)
        assert luhn("80840" + prescriber.npi) == 0
        assert re.fullmatch(r"G[A-Z]\d{7}", prescriber.dea_number)
        digits = [int(digit) for digit in prescriber.dea_number[2:]]
        total = digits[0] + digits[2] + digits[4] + 2 * (digits[1] + digits[3] + digits[5])
        assert total % 10 == digits[6]
    assert len({p.npi for p in PRESCRIBERS}) == len({p.dea_number for p in PRESCRIBERS}) == 25


def test_forty_hotp_tokens_and_one_batch_of_totp() -> None:
    assert [t.algorithm for t in HARD_TOKENS] == ["HOTP"] * 40 + ["TOTP"] * 8
    assert len({t.batch for t in HARD_TOKENS}) == 2
    assert len({t.serial_number for t in HARD_TOKENS}) == len({seed_of(t.serial_number) for t in HARD_TOKENS}) == 48
    for token in HARD_TOKENS:
        assert re.fullmatch(r"HT-[0-9A-HJKMNP-TV-Z]{10}", token.serial_number)
        assert len(seed_of(token.serial_number)) == 20
        device = Device(token.algorithm, seed_of(token.serial_number), token.digits, token.digest, token.period)
        assert len(current(device, 0)) == 6


def test_serials_and_seeds_never_change() -> None:
    """Stocks and device simulators made by an older release have to go on fitting."""
    assert HARD_TOKENS[0].serial_number == "HT-KW7ZYE4PXB"
    assert HARD_TOKENS[-1].serial_number == "HT-8XMD08N50S"
