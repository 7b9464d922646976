"""Email and shipping address as typed into a form: what is wrong at which field, in words, before the journey is asked."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from domain import email_address
from domain.address import Address, problems_by_part

PARTS = ("name", "street1", "street2", "city", "state", "postal_code")
LABELS = {
    "email": "Email",
    "name": "Name",
    "street1": "Street and number",
    "street2": "Suite, floor or unit",
    "city": "City",
    "state": "State",
    "postal_code": "ZIP code",
}
_MISSING = {
    "name": "Enter the name that is to stand on the parcel.",
    "street1": "Enter the street and number that the token is to be mailed to.",
    "city": "Enter the city.",
    "state": "Enter the state by its two letters, such as MD.",
    "postal_code": "Enter the ZIP code, such as 21409.",
}


@dataclass(frozen=True)
class Contact:
    """`wrong`: a sentence by field. Where it is empty, email and address are good; a soft token has no address."""

    email: str
    address: Address | None
    wrong: dict[str, str]


def typed(email: str, address: Address | None) -> dict[str, str]:
    """The fields, filled in."""
    parts = address.model_dump() if address else {}
    return {"email": email, **{part: parts.get(part) or "" for part in PARTS}}


def read(fields: Mapping[str, str], *, shipped: bool) -> Contact:
    """What the fields say. `shipped`: an address is needed. Loading the ZIP table takes half a second the first time."""
    wrong: dict[str, str] = {}
    email = fields.get("email", "")
    try:
        email = email_address.checked(email)
    except ValueError as fault:
        wrong["email"] = str(fault)
    address = None
    if shipped:
        address, faults = _address(fields)
        wrong |= faults
    return Contact(email, address, wrong)


def _address(fields: Mapping[str, str]) -> tuple[Address | None, dict[str, str]]:
    parts = {part: fields.get(part, "") for part in PARTS}
    try:
        address = Address.model_validate(parts)
    except ValidationError as fault:
        wrong = {
            str(problem["loc"][0]): _sentence(str(problem["loc"][0]), problem["type"], problem.get("ctx", {}))
            for problem in fault.errors(include_url=False, include_input=False)
        }
        if not wrong.keys() & {"state", "postal_code"}:
            # What is wrong with these two is said now, too, and not only when the rest has been corrected.
            _, more = _address(parts | dict.fromkeys(wrong, "x"))
            wrong |= more
        return None, wrong
    return address, dict(reversed(problems_by_part(address)))


def _sentence(part: str, kind: str, context: Mapping[str, object]) -> str:
    match kind:
        case "string_too_short":
            return _MISSING[part]
        case "string_too_long":
            return f"{LABELS[part]} is too long for a label; write at most {context['max_length']} characters."
        case _:
            return f"{LABELS[part]} has a line break or an invisible character in it; type it again."
