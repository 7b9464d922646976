"""The embedded stack's own secrets: made at its first start, kept in `<state>/keys.json`, readable to its owner only."""

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from starter import api_keys

SENDERS = ("plain", "easypost", "shippo", "vendor", "surescripts")
"""Who sends webhooks, each with a secret of its own."""

_DEMO_KEY = "demo"
"""The key id of the demo EHR."""


class KeysUnreadable(Exception):
    """`keys.json` is there but can't be used; one sentence says what to do."""


def load_or_create(state: Path) -> dict[str, Any]:
    """The keys of the stack on `state`: `payload_keys` and `seal_keys` (key id to 64 hex digits), `pin_pepper` (hex),
    `webhook_secrets` (sender to hex), `demo_ehr_key` (PEM), `operator_key` (an API key), `codec_key` (what stands in the
    address with which the Temporal UI is started) and `audit_key` (64 hex digits). Two processes that come at once get the same
    ones. A file of an older version is completed. Raises KeysUnreadable."""
    path = path_in(state)
    if not path.exists():
        _create(path)
    try:
        keys = json.loads(path.read_text())
        if isinstance(keys, dict) and "payload_keys" in keys and not _MADE_LATER.keys() <= keys.keys():
            keys = _complete(path)
        environment(keys)
        completed = {sender: _derived(keys["pin_pepper"], sender) for sender in SENDERS} | keys["webhook_secrets"]
    except (OSError, ValueError, KeyError, TypeError):
        raise KeysUnreadable(
            f"{path} can't be read as the stack's keys; restore it from a backup, or choose another TOKENS_STATE"
            " (without its keys nothing in this one can be decrypted)."
        ) from None
    if completed != keys["webhook_secrets"]:
        keys["webhook_secrets"] = completed
        with _written(path, keys) as temporary:
            temporary.replace(path)
    return keys


def path_in(state: Path) -> Path:
    """Where the keys of the stack on `state` are kept."""
    return state / "keys.json"


def add_seal_key(state: Path) -> dict[str, Any]:
    """Puts a fresh sealing key before the others, which stay; the keys as they are then. The caller holds the stack's lock: a
    worker that runs on the older keys can't open what is sealed from here on. Raises KeysUnreadable."""
    keys = load_or_create(state)
    taken = [int(number[1]) for key_id in keys["seal_keys"] if (number := re.fullmatch(r"k(\d{1,9})", key_id))]
    fresh = {f"k{max(taken, default=0) + 1}": secrets.token_hex(32)}
    keys["seal_keys"] = {**fresh, **keys["seal_keys"]}
    with _written(path_in(state), keys) as temporary:
        temporary.replace(path_in(state))
    return keys


def environment(keys: dict[str, Any]) -> dict[str, str]:
    """The keys as the `TOKENS_*` variables that `settings.Settings` reads."""
    return {
        "TOKENS_PAYLOAD_KEYS": json.dumps(keys["payload_keys"]),
        "TOKENS_SEAL_KEYS": json.dumps(keys["seal_keys"]),
        "TOKENS_PIN_PEPPER": keys["pin_pepper"],
        "TOKENS_WEBHOOK_SECRETS": json.dumps(keys["webhook_secrets"]),
        "TOKENS_AUDIT_KEY": keys["audit_key"],
        "TOKENS_EHR_PUBLIC_KEYS": json.dumps({_DEMO_KEY: _public(keys["demo_ehr_key"])}),
    }


def _derived(root: str, sender: str) -> str:
    """The secret of a sender that the file, written by an older version, lacks. Worked out, not drawn: two processes that
    complete the file at once write the same."""
    return hmac.new(bytes.fromhex(root), f"webhook secret of {sender}".encode(), hashlib.sha256).hexdigest()


def _public(pem: str) -> str:
    public = load_pem_private_key(pem.encode(), None).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _demo_ehr_key() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


_MADE_LATER: dict[str, Callable[[], str]] = {
    "demo_ehr_key": _demo_ehr_key,
    "operator_key": api_keys.drawn,
    "codec_key": lambda: secrets.token_urlsafe(32),
    "audit_key": lambda: secrets.token_hex(32),
}
"""What the first versions did not make."""


def _complete(path: Path) -> dict[str, Any]:
    """Adds what older versions did not make; what is there stays as it is."""
    with _locked(path.parent):
        keys = json.loads(path.read_text())
        keys = {name: draw() for name, draw in _MADE_LATER.items() if name not in keys} | keys
        with _written(path, keys) as temporary:
            temporary.replace(path)
    return keys


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Of two processes, one after the other."""
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = {
        "payload_keys": {"k1": secrets.token_hex(32)},
        "seal_keys": {"k1": secrets.token_hex(32)},
        "pin_pepper": secrets.token_hex(32),
        "webhook_secrets": {sender: secrets.token_hex(32) for sender in SENDERS},
        **{name: draw() for name, draw in _MADE_LATER.items()},
    }
    # A link, not a rename: the second to come must not replace keys that are in use already.
    with _written(path, made) as temporary, contextlib.suppress(FileExistsError):
        path.hardlink_to(temporary)


@contextlib.contextmanager
def _written(path: Path, keys: dict[str, Any]) -> Iterator[Path]:
    """The keys in a file beside `path`, safe on the disk, for the caller to put in place; so is the folder after it."""
    temporary = path.with_name(f".keys-{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(keys, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
