"""Reads the forms that browsers send to our pages."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

_LARGEST = 32 * 1024
"""Bytes. Our longest form, each field filled to its end, stays below it."""
_MOST_FIELDS = 40


class NotTaken(Exception):
    """A form that can't be taken. `status` is HTTP's; the text is a sentence for whoever sent it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


async def fields_of(request: Request) -> dict[str, str]:
    """A form's fields as typed; of several with one name, the last. Raises NotTaken for anything but a small form."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise NotTaken(415, "This is not one of our forms, so nothing was done; open the page again and repeat it.")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST:
            raise NotTaken(413, "The form is too large, so nothing was done; write less into its fields.")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise NotTaken(400, "The form can't be read, so nothing was done; open the page again and repeat it.") from None
    return dict(pairs)


def checked(fields: Mapping[str, str], name: str) -> bool:
    """Whether a box was ticked."""
    return fields.get(name) == "yes"
