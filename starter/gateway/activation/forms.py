"""What a browser keeps: a cookie with what was typed on the earlier pages of one link.

Nobody is signed in here, so forms are protected by where they come from (`Sec-Fetch-Site`, `Origin`) and by a token that has
to come twice, in the form and in the cookie. The cookie holds only what the same person typed: changing it gains nothing.
"""

import base64
import binascii
import json
import secrets
from dataclasses import dataclass, field
from typing import Self

from starlette.requests import Request
from starlette.responses import Response

_COOKIE = "tokens_activation"
_SECONDS = 3600
_LONGEST = {"serial_number": 64, "device": 16, "installed": 16, "token_name": 60}


@dataclass
class Kept:
    """`form` is the token that has to come twice; `typed` what was filled in so far, but never a passcode or PIN."""

    form: str
    typed: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, request: Request) -> Self:
        """What the browser has kept; a fresh one where it is missing or damaged."""
        try:
            content = json.loads(base64.urlsafe_b64decode(request.cookies.get(_COOKIE, "")))
            form, typed = str(content["form"]), dict(content["typed"])
        except (binascii.Error, ValueError, KeyError, TypeError):
            return cls(secrets.token_urlsafe(16))
        fits = {name: value for name, value in typed.items() if isinstance(value, str) and name in _LONGEST}
        return cls(form, {name: value for name, value in fits.items() if len(value) <= _LONGEST[name]})

    def put(self, response: Response, path: str, *, secure: bool) -> None:
        content = base64.urlsafe_b64encode(json.dumps({"form": self.form, "typed": self.typed}).encode()).decode()
        # Lax: whoever comes from the email again finds what was typed; another site's form brings no cookie along.
        response.set_cookie(_COOKIE, content, max_age=_SECONDS, path=path, secure=secure, httponly=True, samesite="lax")
