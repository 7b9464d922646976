"""A postal address in the United States: its structure, and what is wrong with it.

Reading an address checks structure only, so that journeys can carry one anywhere; `problems` asks the state and ZIP
tables, which take half a second and 40 MB to load and are therefore not touched before `load` or the first question.
"""

import re
import unicodedata
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

_MILITARY = {"AA": "Armed Forces Americas", "AE": "Armed Forces Europe", "AP": "Armed Forces Pacific"}
_ZIP = re.compile(r"[0-9]{5}(-[0-9]{4})?")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of what is never seen in an address and breaks labels and headers: controls, direction marks,
lone surrogates, line and paragraph separators."""


def has_invisible(text: str) -> bool:
    return any(unicodedata.category(character) in _INVISIBLE for character in text)


def _visible(text: str) -> str:
    if has_invisible(text):
        raise ValueError("must not contain control or invisible characters; type it again on one line")
    return text


def _none_if_blank(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


_TRIMMED = StringConstraints(strip_whitespace=True, min_length=1)
Line = Annotated[str, _TRIMMED, Field(max_length=100), AfterValidator(_visible)]
Word = Annotated[str, _TRIMMED, Field(max_length=60), AfterValidator(_visible)]
Code = Annotated[str, _TRIMMED, Field(max_length=40), AfterValidator(_visible)]


class Address(BaseModel):
    """Who and where a parcel goes to. Blanks around each part are trimmed and a state's code is put in capitals.

    Raises pydantic's ValidationError for missing, empty, overlong or unknown parts and for invisible characters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Line
    street1: Line
    street2: Annotated[Line | None, BeforeValidator(_none_if_blank)] = None
    city: Word
    state: Annotated[Code, AfterValidator(lambda state: state.upper() if len(state) == 2 else state)]
    postal_code: Code


def load() -> None:
    """Reads the tables, so that whoever asks first waits no longer than others."""
    _states()
    _states_of_zip("00501")


def problems(address: Address) -> list[str]:
    """What keeps a parcel from being sent to `address`, one plain sentence each; empty when nothing does."""
    return [sentence for _part, sentence in problems_by_part(address)]


def problems_by_part(address: Address) -> list[tuple[str, str]]:
    """The same, each with the part of the address that it is about.

    Real are the 50 states, DC, the five territories that parcel carriers deliver to, and the military's AA, AE and AP.
    A ZIP that the table has must be listed in the state. One that it does not have may be newer than the table: it is
    taken where the first three digits (the sorting centre) are the state's, and refused elsewhere.
    """
    found: list[tuple[str, str]] = []
    states = _states()
    real = address.state in states
    if not real:
        found.append(("state", _not_a_state(address.state)))
    if not _ZIP.fullmatch(address.postal_code):
        form = "The ZIP code is not in a form that the carrier takes: write five digits (21409) or ZIP+4 (21409-1234)."
        return [*found, ("postal_code", form)]
    belongs = _states_of_zip(address.postal_code[:5])
    if not belongs:
        unknown = "The ZIP code does not exist: no state has codes with its first three digits; check the number."
        found.append(("postal_code", unknown))
    elif real and address.state not in belongs:
        where = " or ".join(states.get(state, state) for state in sorted(belongs))
        misfit = (
            f"The ZIP code does not fit the state: it belongs to {where}, not to {states[address.state]}; "
            "correct whichever of the two is wrong."
        )
        found.append(("postal_code", misfit))
    return found


def _not_a_state(text: str) -> str:
    for code, name in _states().items():
        if name.casefold() == text.casefold():
            return f"The state has to be its two-letter code: write {code}."
    return (
        "The state is not one that the carrier delivers to: give the two-letter code of a US state, DC, a territory "
        "(AS, GU, MP, PR, VI) or the military (AA, AE, AP)."
    )


@cache
def _states() -> dict[str, str]:
    """Name by code."""
    import us  # parses every state's shape data: not at import, and never in a workflow

    known = [*us.states.STATES, us.states.DC, *us.states.TERRITORIES]
    return {state.abbr: state.name for state in known} | _MILITARY


@cache
def _states_of_zip(code: str) -> frozenset[str]:
    """Codes of the states that the ZIP (five digits), or failing that its first three digits, belong to."""
    import zipcodes  # unpacks 42,000 ZIPs on the first question

    known = zipcodes.matching(code) or zipcodes.similar_to(code[:3])
    return frozenset(row["state"] for row in known)
