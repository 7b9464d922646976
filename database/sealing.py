"""AES-256-GCM for what must not lie in the database in the clear: seeds of tokens, mail that is not sent yet."""

import os
import re
import string

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_HEX_DIGITS = 64
LONGEST_HEAD = 33
"""Bytes at the beginning of what is sealed that are enough for `key_id_of`."""


class Unsealable(Exception):
    """The key is not known, or the bytes were changed."""


class Seal:
    """Encrypts with the first key, decrypts with any. `keys`: key id to 64 hex digits. Raises ValueError, which never repeats
    a key."""

    def __init__(self, keys: dict[str, str]) -> None:
        if not keys:
            raise ValueError("no sealing key is set; set TOKENS_SEAL_KEYS to a JSON object of key id to 64 hex digits")
        self._ciphers = {_checked_id(key_id): AESGCM(_checked_key(key)) for key_id, key in keys.items()}
        self.current = next(iter(keys))
        """The id of the key that encrypts."""

    def __repr__(self) -> str:
        return f"Seal({', '.join(self._ciphers)})"

    @property
    def key_ids(self) -> list[str]:
        """The ids of all keys, the one that encrypts first."""
        return list(self._ciphers)

    def close(self, plain: bytes, about: str) -> bytes:
        """Seals `plain`; `about` (what it belongs to) is bound to it, so that it can't be moved to another row."""
        nonce = os.urandom(12)
        sealed = self._ciphers[self.current].encrypt(nonce, plain, about.encode())
        return self.current.encode() + b":" + nonce + sealed

    def open(self, sealed: bytes, about: str) -> bytes:
        """The plain bytes. Raises Unsealable."""
        key_id, _, rest = sealed.partition(b":")
        cipher = self._ciphers.get(key_id.decode("ascii", "replace"))
        if cipher is None:
            raise Unsealable("sealed with a key that is not set")
        try:
            return cipher.decrypt(rest[:12], rest[12:], about.encode())
        except (InvalidTag, ValueError) as fault:  # ValueError: too short to hold a nonce
            raise Unsealable("the sealed bytes are damaged or belong elsewhere") from fault


def key_id_of(sealed: bytes) -> str | None:
    """The id of the key that `sealed`, or its first `LONGEST_HEAD` bytes, was sealed with; None where none stands there."""
    key_id, colon, _ = sealed[:LONGEST_HEAD].partition(b":")
    text = key_id.decode("ascii", "replace")
    return text if colon and _KEY_ID.fullmatch(text) else None


def _checked_id(key_id: str) -> str:
    if not _KEY_ID.fullmatch(key_id):
        raise ValueError("an id in TOKENS_SEAL_KEYS is not 1 to 32 letters, digits, dots, dashes or underscores")
    return key_id


def _checked_key(key: str) -> bytes:
    if len(key) != _HEX_DIGITS or not set(key) <= set(string.hexdigits):
        raise ValueError("a key in TOKENS_SEAL_KEYS is not 64 hex digits (AES-256)")
    return bytes.fromhex(key)
