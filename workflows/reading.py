"""How a message is read, and refused with one sentence: what is wrong, why, and what to send instead."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.exceptions import ApplicationError

from workflows.messages import AS_0_1, Body


class Refused(ApplicationError):
    """A business refusal: one plain sentence; never retried."""

    def __init__(self, sentence: str, *details: str) -> None:
        super().__init__(sentence, *details, type="Refused", non_retryable=True)


CHANGED = "changed"
"""Stands in the details of a refusal of an edit whose sender had not seen the newest edition."""


class Unreadable(BaseModel):
    """Stands for a payload that nobody can read."""

    reason: str

    _MARK: ClassVar[str] = "__unreadable__"

    @classmethod
    def payload(cls, reason: str) -> Payload:
        """The marker as a payload, for the codec."""
        return Payload(metadata={"encoding": b"json/plain"}, data=json.dumps({cls._MARK: reason}).encode())

    @classmethod
    def recognised(cls, value: Any) -> Any:
        """The marker back from what the converter made of it; anything else unchanged."""
        if isinstance(value, Mapping) and value.keys() == {cls._MARK}:
            return cls(reason=str(value[cls._MARK]))
        return value

    def __str__(self) -> str:
        return self.reason


B = TypeVar("B", bound=Body)


def read(body: type[B], bodies: tuple[Any, ...], name: str, *, as_0_1: bool = False) -> B:
    """The one object in `bodies` as a `body`. Raises Refused with what is wrong, why, and what to send instead.
    `as_0_1`: as release 0.1 took it, control characters and all; so does whoever carries on what was taken then.

    The sentence names fields, never what stood in them: it is shown and kept in places where that may not stand.
    """
    instead = f"send one JSON object such as {json.dumps(body.example)}"
    if len(bodies) > 1:
        raise Refused(f"`{name}` takes one JSON object, and {len(bodies)} payloads came; {instead}.")
    value = bodies[0] if bodies else None
    if isinstance(value, body):
        return value
    if value is None:
        value = {}
    if isinstance(value, Unreadable):
        raise Refused(f"`{name}` could not be read: {value.reason}; {instead}.")
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if not isinstance(value, dict):
        raise Refused(f"`{name}` takes a JSON object, and {_shape(value)} came; {instead}.")
    try:
        return body.model_validate(value, context=AS_0_1 if as_0_1 or value.get("carried") else None)
    except ValidationError as fault:
        # The input is left out on purpose: it may hold a passcode or an address.
        raise Refused(f"`{name}` was not taken: {problems_of(body, fault)}; {instead}.") from None


def problems_of(body: type[Body], fault: ValidationError) -> str:
    """What is wrong, in words; never what stood there."""
    problems = fault.errors(include_url=False, include_input=False, include_context=True)
    return "; ".join(_problem(body, problem) for problem in problems[:4])


def _shape(value: Any) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case bytes():
            return "bytes that are not JSON"
        case list():
            return "a list"
        case _:
            return "something else"


def _problem(body: type[Body], problem: Any) -> str:
    field = ".".join(str(part) for part in problem["loc"])
    named = f"`{field}`" if len(field) <= 60 and field.replace(".", "").replace("_", "").isalnum() else "a field"
    match problem["type"]:
        case "missing":
            return f"{named} is missing"
        case "extra_forbidden":
            known = ", ".join(
                key for key in body.model_fields if key not in ("carried", "resume", "replaced_by", "if_match")
            )
            return f"{named} is not known (known are {known})"
        case "enum" | "literal_error":
            return f"{named} must be {problem['ctx']['expected']}"
        case "string_pattern_mismatch":
            return f"{named} has characters that don't belong there"
        case _:
            return f"{named}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"
