"""AES-256-GCM for what must not lie in the database in the clear: seeds of tokens, mail that is not sent yet."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class Unsealable(Exception):
    """The key is not known, or the bytes were changed."""


class Seal:
    """Encrypts with the first key, decrypts with any. `keys`: key id to 64 hex digits."""

    def __init__(self, keys: dict[str, str]) -> None:
        if not keys:
            raise ValueError("no sealing key is set; set TOKENS_SEAL_KEYS to a JSON object of key id to 64 hex digits")
        self._ciphers = {key_id: AESGCM(bytes.fromhex(key)) for key_id, key in keys.items()}
        self._current = next(iter(keys))

    def close(self, plain: bytes, about: str) -> bytes:
        """Seals `plain`; `about` (what it belongs to) is bound to it, so that it can't be moved to another row."""
        nonce = os.urandom(12)
        sealed = self._ciphers[self._current].encrypt(nonce, plain, about.encode())
        return self._current.encode() + b":" + nonce + sealed

    def open(self, sealed: bytes, about: str) -> bytes:
        """The plain bytes. Raises Unsealable."""
        key_id, _, rest = sealed.partition(b":")
        cipher = self._ciphers.get(key_id.decode("ascii", "replace"))
        if cipher is None:
            raise Unsealable("sealed with a key that is not set")
        try:
            return cipher.decrypt(rest[:12], rest[12:], about.encode())
        except InvalidTag as fault:
            raise Unsealable("the sealed bytes are damaged or belong elsewhere") from fault
