import subprocess
import sys

import pytest
from pydantic import ValidationError

from domain.address import Address, problems
from domain.policy import Policy

CLINIC = {"name": "Front Desk", "street1": "1 Elm Street", "city": "Annapolis", "state": "MD", "postal_code": "21409"}


def address(**changes: str | None) -> Address:
    return Address.model_validate(CLINIC | changes)


def test_the_default_return_address_has_no_problems() -> None:
    assert problems(Policy().return_address) == []


def test_parts_are_trimmed_and_blank_second_lines_dropped() -> None:
    taken = address(name="  Front Desk ", street2="   ", state=" md ", postal_code="21409\n")
    assert taken == address()
    assert taken.street2 is None


@pytest.mark.parametrize("part", ["name", "street1", "city", "state", "postal_code"])
@pytest.mark.parametrize("value", ["", "   ", "x" * 101, None, "two\nlines", "bell\x07", "a\u202eb", "a\u2028b", 7])
def test_structure_is_refused_on_reading(part: str, value: object) -> None:
    with pytest.raises(ValidationError) as refusal:
        Address.model_validate(CLINIC | {part: value})
    assert "input_value" not in str(refusal.value)


def test_unknown_parts_are_refused_and_nothing_changes_later() -> None:
    with pytest.raises(ValidationError):
        address(country="US")
    with pytest.raises(ValidationError):
        address().city = "Elsewhere"  # type: ignore[misc]


def test_other_alphabets_and_hyphens_are_taken() -> None:
    assert problems(address(name="Lucía Núñez-O'Dell", city="Cañon City", state="CO", postal_code="81212")) == []


@pytest.mark.parametrize(
    ("state", "postal_code"),
    [
        ("MD", "21409"),
        ("MD", "21409-1234"),
        ("DC", "20500"),
        ("PR", "00901"),
        ("GU", "96910"),
        ("VI", "00802"),
        ("AS", "96799"),
        ("MP", "96950"),
        ("AE", "09012"),
        ("AA", "34002"),
        ("AP", "96201"),
    ],
)
def test_real_states_and_zips(state: str, postal_code: str) -> None:
    assert problems(address(state=state, postal_code=postal_code)) == []


def test_a_zip_newer_than_the_table_goes_by_its_sorting_centre() -> None:
    import zipcodes

    assert zipcodes.matching("21499") == []
    assert problems(address(postal_code="21499")) == []
    assert len(problems(address(postal_code="21499", state="TX"))) == 1


@pytest.mark.parametrize(
    ("state", "postal_code", "says"),
    [
        ("ZZ", "21409", "not one that the carrier delivers to"),
        ("FM", "96941", "not one that the carrier delivers to"),
        ("Maryland", "21409", "write MD"),
        ("PA", "21409", "it belongs to Maryland, not to Pennsylvania"),
        ("MD", "00000", "does not exist"),
        ("MD", "2140", "five digits"),
        ("MD", "214091234", "five digits"),
        ("MD", "21409-12", "five digits"),
        ("MD", "２１４０９", "five digits"),
    ],
)
def test_each_problem_is_one_sentence_that_repeats_little(state: str, postal_code: str, says: str) -> None:
    (problem,) = problems(address(state=state, postal_code=postal_code))
    assert says in problem
    assert problem.endswith(".")
    assert ". " not in problem
    assert not any(part in problem for part in ("Front Desk", "Elm", "Annapolis"))


def test_both_parts_wrong_are_both_reported() -> None:
    assert len(problems(address(state="ZZ", postal_code="1"))) == 2


def test_the_tables_are_loaded_by_the_first_question_only() -> None:
    script = "import sys, domain.policy; print([name for name in ('us', 'zipcodes') if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_once_loaded_no_question_reads_a_file() -> None:
    script = """
import sys
from domain import address
from domain.address import Address
address.load()
read = []
sys.addaudithook(lambda event, args: read.append(args[0]) if event == "open" else None)
home = Address(name="A", street1="1 Main St", city="Annapolis", state="MD", postal_code="21409")
print(address.problems(home), read)
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[] []"
