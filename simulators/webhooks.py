"""How the simulated parties tell of something by HTTP: each in its own shape, signed by its own scheme. Sent once: a lost one
stays lost until somebody sends it again."""

import argparse
import hashlib
import hmac
import json
import time
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from starlette.responses import JSONResponse, Response

from simulators.answers import Refusal


@dataclass(frozen=True)
class Hook:
    """Where webhooks go, and the secret they are signed with."""

    url: str
    secret: str = field(default="", repr=False)


Sign = Callable[[Hook, bytes], Mapping[str, str]]
"""The headers of a webhook, signed and stamped now."""


def _digest(secret: str, *parts: str | bytes) -> str:
    signed = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def plain(hook: Hook, content: bytes) -> dict[str, str]:
    """`X-Tokens-Signature: sha256=` and the HMAC-SHA256 in hex of `<X-Tokens-Timestamp>.<body>`, the stamp in Unix seconds."""
    stamp = str(int(time.time()))
    return {"X-Tokens-Timestamp": stamp, "X-Tokens-Signature": f"sha256={_digest(hook.secret, stamp, '.', content)}"}


def easypost(hook: Hook, content: bytes) -> dict[str, str]:
    """Both of EasyPost's signatures, the newer with its time and path."""
    secret = unicodedata.normalize("NFKD", hook.secret)
    stamp, path = formatdate(), urlsplit(hook.url).path
    return {
        "X-Timestamp": stamp,
        "X-Path": path,
        "X-Hmac-Signature": f"hmac-sha256-hex={_digest(secret, content)}",
        "X-Hmac-Signature-V2": f"hmac-sha256-hex={_digest(secret, stamp, 'POST', path, content)}",
    }


def shippo(hook: Hook, content: bytes) -> dict[str, str]:
    """`Shippo-Auth-Signature: t=…,v1=…`."""
    stamp = str(int(time.time()))
    return {"Shippo-Auth-Signature": f"t={stamp},v1={_digest(hook.secret, stamp, '.', content)}"}


async def post(hook: Hook | None, sign: Sign, body: dict[str, Any]) -> Response:
    """202 with `{"webhook": status}`; 502 if the webhook did not take it, with null for the status if it could not be reached.
    Raises Refusal (409) where no webhook is set."""
    if hook is None:
        raise Refusal("No webhook is set for it; start the party with --webhook-url or --webhooks-file.", 409)
    content = json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **sign(hook, content)}
    try:
        # Not by way of a proxy that the environment names: the webhook is on this machine.
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            answer = await client.post(hook.url, content=content, headers=headers)
    except httpx.HTTPError as fault:
        reason = f"The webhook could not be reached ({type(fault).__name__}); the event is lost, send it again."
        return JSONResponse({"webhook": None, "detail": reason}, 502)
    return JSONResponse({"webhook": answer.status_code}, 202 if answer.is_success else 502)


def hooks_of(file: Path | None) -> dict[str, Hook]:
    """What `--webhooks-file` holds: `{sender: {"url", "secret"}}`. Raises OSError, ValueError."""
    if file is None:
        return {}
    return {sender: Hook(**hook) for sender, hook in json.loads(file.read_text()).items()}


def with_webhooks(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The option by which a party's process is told where its webhooks go."""
    parser.add_argument(
        "--webhooks-file", type=Path, help='where webhooks go, and their secrets: {sender: {"url", "secret"}} as JSON'
    )
    return parser
