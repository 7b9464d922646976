"""The folder that token makers' files are imported from: nothing outside it is read, and what holds secrets does not stay.

Beside a file `NAME` may lie what opens it: `NAME.key` (hex digits) or `NAME.password`. `tokens import` seals what it puts there; a
person who starts an import in the UI writes it as it is. Either is erased when the import has ended.
"""

import base64
import binascii
import hashlib
import os
import re
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path

from activities.errors import refused
from database.sealing import Seal, Unsealable
from domain.token_files import Unlock

_SUBMITTED = "submitted-"
"""What `tokens import` has put here begins so; it is a copy, and removed when its import has ended."""
_SEALED = b"sealed:"
_CHUNK = 1 << 20
_LONGEST_SECRET = 4096
_FORGOTTEN = 7 * 24 * 3600
"""Seconds after which a copy that no import has removed is taken to be left over."""


class ImportFolder:
    """Given the folder, which need not be there yet, and the seal over secrets beside files."""

    def __init__(self, folder: Path, seal: Seal) -> None:
        self.folder = folder
        self._seal = seal

    # For whoever hands a file in

    def submit(self, source: Path, key: bytes | None = None, password: str | None = None) -> tuple[str, str]:
        """Copies a file into the folder, readable to its owner only, with what opens it sealed beside it. Returns the name of
        the copy and the SHA-256 of its content. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._sweep()
        name = f"{_SUBMITTED}{secrets.token_hex(6)}-{_plain(source.name)}"
        digest = hashlib.sha256()
        try:
            for suffix, secret in ((".key", None if key is None else key.hex()), (".password", password)):
                if secret is not None:
                    sealed = base64.b64encode(self._seal.close(secret.encode(), name))
                    with os.fdopen(self._new(name + suffix), "wb") as file:
                        file.write(_SEALED + sealed)
            with source.open("rb") as original, os.fdopen(self._new(name), "wb") as copy:
                while chunk := original.read(_CHUNK):
                    digest.update(chunk)
                    copy.write(chunk)
        except BaseException:
            self.clear(name)
            raise
        return name, digest.hexdigest()

    def _new(self, name: str) -> int:
        return os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def _sweep(self) -> None:
        for path in self.folder.glob(f"{_SUBMITTED}*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _FORGOTTEN:
                    path.unlink()

    # For the import

    def file(self, name: str) -> Path:
        """The file of that name. Raises `refused` for one that is not in the folder itself, or is no ordinary file."""
        if not name or name.startswith(".") or set(name) & {"/", "\\", "\0"}:
            raise refused(
                "The file can't be read: its name must be that of a file in the import folder, without folders."
            )
        path = self.folder / name
        try:
            kind = path.lstat().st_mode
        except (OSError, ValueError):
            raise refused(
                f"There is no file {name} in the import folder ({self.folder}); put it there, or use `tokens import`."
            ) from None
        if not stat.S_ISREG(kind):
            raise refused(
                f"{name} is no ordinary file (but a link, a folder or a device); put a copy of the file itself there."
            )
        return path

    def unlock(self, name: str) -> Unlock:
        """What opens the file of that name. Raises `refused` where what lies there can't be used."""
        key, password = self._secret(name, ".key"), self._secret(name, ".password")
        try:
            return Unlock(None if key is None else bytes.fromhex(key), password)
        except ValueError:
            raise refused(
                f"{name}.key does not hold a key in hex digits; write one line of them, or remove it."
            ) from None

    def _secret(self, name: str, suffix: str) -> str | None:
        if not (self.folder / (name + suffix)).exists():
            return None
        with self.file(name + suffix).open("rb") as file:
            content = file.read(_LONGEST_SECRET + 1)
        try:
            if len(content) > _LONGEST_SECRET:
                raise ValueError
            if content.startswith(_SEALED):
                return self._seal.open(base64.b64decode(content.removeprefix(_SEALED)), name).decode()
            return content.decode("utf-8-sig").rstrip("\r\n")
        except (Unsealable, ValueError, binascii.Error):
            raise refused(
                f"{name}{suffix} can't be read; write the key or the password into it, and nothing else."
            ) from None

    def clear(self, name: str) -> None:
        """Erases what opens the file, and the file itself where it is a copy that `tokens import` has made."""
        for suffix in (".key", ".password"):
            with suppress(OSError, ValueError):
                (self.folder / (name + suffix)).unlink()
        if name.startswith(_SUBMITTED) and "/" not in name:
            with suppress(OSError, ValueError):
                (self.folder / name).unlink()


def batch_of(name: str) -> str:
    """The batch that a file's tokens belong to where its rows name none: its name, without the ending."""
    return re.sub(rf"^{_SUBMITTED}[0-9a-f]+-", "", name).rsplit(".", 1)[0][:100] or name[:100]


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip(".")[-100:] or "tokens"
