import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.pin import refusal

FOUR_DIGITS = [f"{number:04d}" for number in range(10_000)]


@pytest.mark.parametrize("pin", ["4829", "1357", "0012", "1122", "1221", "1243", "9991", "2580"])
def test_taken(pin: str) -> None:
    assert refusal(pin) is None


@pytest.mark.parametrize(
    "pin", ["0000", "7777", "1234", "4321", "0123", "3210", "6789", "9876", "7890", "0987", "9012"]
)
def test_too_easy(pin: str) -> None:
    assert refusal(pin)


@pytest.mark.parametrize("pin", ["", "123", "12345", "12a4", " 482", "482\n", "४८२९", "４８２９", "-482", "4 29"])
def test_not_four_digits(pin: str) -> None:
    assert "exactly four digits" in (refusal(pin) or "")


def test_ten_repeats_and_twenty_runs_are_refused_and_nothing_else() -> None:
    assert len([pin for pin in FOUR_DIGITS if refusal(pin)]) == 30


@given(st.text(alphabet="0123456789", max_size=8))
def test_no_sentence_holds_a_pin(pin: str) -> None:
    sentence = refusal(pin) or ""
    assert not any(character.isdigit() for character in sentence)
    assert sentence == "" or (sentence.endswith(".") and ". " not in sentence)
