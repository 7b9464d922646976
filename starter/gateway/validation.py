"""What is wrong with a request, as one sentence. It names fields, never what stood in them: that may be a passcode or an
address, and sentences are kept in logs."""

from typing import Any

from fastapi.exceptions import RequestValidationError

_PLACES = {"body": "the body", "query": "the query", "path": "the address", "header": "the headers"}


def sentence(fault: RequestValidationError) -> str:
    """The first few problems, in words."""
    problems = fault.errors()
    said = "; ".join(dict.fromkeys(_problem(problem) for problem in problems[:4]))
    return f"The request was not taken: {said}; see /v1/docs for what to send."


def _problem(problem: Any) -> str:
    place, *path = problem["loc"]
    field = ".".join(str(part) for part in path)
    known = field and len(field) <= 60 and field.isascii() and field.replace(".", "").replace("_", "").isalnum()
    named = f"`{field}`" if known else "a field" if field else _PLACES.get(str(place), "something")
    said = str(problem["msg"]).removeprefix("Value error, ")
    match problem["type"]:
        case "json_invalid":
            return "the body is not JSON"
        case "missing":
            return f"{named} is missing"
        case "extra_forbidden":
            return f"{named} in {_PLACES.get(str(place), 'it')} is not known"
        case "enum" | "literal_error":
            return f"{named} must be {problem['ctx']['expected']}"
        case "string_pattern_mismatch":
            return f"{named} has characters that don't belong there"
        case "model_attributes_type" | "dict_type":
            return f"{named} must be a JSON object"
        case _:
            return f"{named}: {said[:1].lower()}{said[1:]}"
