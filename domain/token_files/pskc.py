"""PSKC (RFC 6030), plain or encrypted with AES by a key agreed upon before, or by a password (PBKDF2). python-pskc does the
cryptography; each key package is handed to it by itself, so that a large file needs no memory."""

import base64
import binascii
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pskc import PSKC
from pskc.exceptions import PSKCError
from pskc.parser import PSKCParser

from domain.token_files.row import FileRefused, Given, Row, Unlock, bad_row, row_of
from domain.token_files.xml import bare, elements

_MOST_ITERATIONS = 2_000_000
"""Two seconds' work; today's recommendations are below it."""
_LONGEST_KEY = 64
_SHORTEST_MAC = 16


def rows(path: Path, unlock: Unlock) -> Iterator[Row]:
    """Each key, good or bad. Raises FileRefused where the file is not whole, or `unlock` does not open it."""
    container: PSKC | None = None
    place = 0
    for root, package in elements(path, "KeyPackage"):
        if container is None:
            container = _container(root, unlock)
        bare(package)
        keys = package.findall("Key")
        if not keys:
            place += 1
            yield bad_row(place, "", "its package has no key")
        for key in keys:
            place += 1
            for other in package.findall("Key"):
                package.remove(other)
            package.append(key)
            yield _row(container, package, key, place)


def _container(root: Any, unlock: Unlock) -> PSKC:
    """What stands before the first key: how values are encrypted, and how they are checked."""
    head = bare(copy.deepcopy(root))
    for child in list(head):
        if child.tag not in ("EncryptionKey", "MACMethod"):
            head.remove(child)
    container = PSKC()
    try:
        PSKCParser.parse_document(container, head)
    except (PSKCError, ValueError):
        raise FileRefused("The file's beginning can't be read as PSKC (RFC 6030); check it with its sender.") from None
    if not len(head):
        return container
    try:
        container.encryption.key = _key(container, unlock)
        if container.mac.algorithm:
            # Decrypted once: the library would do it again for each value.
            container.mac.key = container.mac.key
            if len(container.mac.key or b"") % 4:
                # What a wrong key gives where its padding fits by chance (1 in 256): nobody makes a key of 31 bytes.
                raise ValueError("not a MAC key")
    except (PSKCError, ValueError, TypeError):
        raise FileRefused(
            "The file can't be decrypted: its key or password is another one; check it with its sender."
        ) from None
    return container


def _key(container: PSKC, unlock: Unlock) -> bytes | None:
    derivation = container.encryption.derivation
    if not derivation.algorithm:
        if unlock.key is None:
            raise FileRefused("The file is encrypted with a key agreed upon before; give that key in hex.")
        return unlock.key
    if unlock.password is None:
        raise FileRefused("The file is encrypted with a password; give it.")
    if (derivation.pbkdf2_iterations or 0) > _MOST_ITERATIONS or (derivation.pbkdf2_key_length or 0) > _LONGEST_KEY:
        raise FileRefused(f"The file asks for more than {_MOST_ITERATIONS} rounds of PBKDF2; check it with its sender.")
    container.encryption.derive_key(unlock.password)
    return container.encryption.key


def _row(container: PSKC, package: Any, part: Any, place: int) -> Row:
    serial = (package.findtext("DeviceInfo/SerialNo") or part.get("Id") or "").strip()
    wrong = _wrong(part)
    if wrong:
        return bad_row(place, serial, wrong)
    device = container.add_device()
    try:
        PSKCParser.parse_key_package(device, package)
        [key] = device.keys
        if key.policy.unknown_policy_elements or (key.policy.key_usage and "OTP" not in key.policy.key_usage):
            return bad_row(place, serial, "its policy does not allow it to be used for one-time passcodes")
        given = _given(key, part, serial)
    except PSKCError:
        return bad_row(place, serial, "its values can't be decrypted, or their MAC is wrong")
    except Exception:  # whatever a damaged file makes the library stumble over
        return bad_row(place, serial, "its values can't be read")
    finally:
        container.devices.clear()
    return row_of(place, given)


def _given(key: Any, part: Any, serial: str) -> Given:
    return Given(
        serial,
        key.secret or b"",
        algorithm=(key.algorithm or "unnamed").replace("#", ":").rsplit(":", 1)[-1],
        digits=_text(key.response_length),
        digest=key.algorithm_suite or _attribute(part, "AlgorithmParameters/Suite", "hashalgo"),
        period=_text(key.time_interval),
        counter=_text(key.counter),
    )


def _wrong(part: Any) -> str | None:
    """What can be seen to be wrong before anything is decrypted."""
    shape = part.find("AlgorithmParameters/ResponseFormat")
    if shape is not None:
        if (shape.get("Encoding") or "DECIMAL").upper() != "DECIMAL":
            return "its passcodes are not decimal digits"
        if (shape.get("CheckDigits") or "false").lower() in ("true", "1"):
            return "its passcodes end in a check digit, which is not supported"
    for name in ("Counter", "Time", "TimeInterval"):
        # The library would take base64 for a number, as a draft before the RFC had it.
        said = (part.findtext(f"Data/{name}/PlainValue") or "0").strip()
        if not (said.isascii() and said.isdigit()):
            return "its counter or time is not a whole number"
    if (part.findtext("Data/Time/PlainValue") or "0").strip() not in ("0", ""):
        return "its time does not begin at 1970, which is not supported"
    secret = part.find("Data/Secret")
    if secret is None:
        return "it has no seed"
    for value in [*secret.iterfind(".//PlainValue"), *secret.iterfind(".//CipherValue"), *secret.iterfind("ValueMAC")]:
        if not _strict_base64(value.text):
            return "a value of it is not whole (no base64)"
    encrypted = secret.find("EncryptedValue")
    if encrypted is not None:
        method = _attribute(encrypted, "EncryptionMethod", "Algorithm").lower()
        mac = _strict_base64(secret.findtext("ValueMAC")) or b""
        if "kw-" not in method and len(mac) < _SHORTEST_MAC:
            return (
                "its seed is encrypted without a MAC, so nobody can tell whether it was changed (RFC 6030, section 6.2)"
            )
    return None


def _strict_base64(text: str | None) -> bytes | None:
    try:
        return base64.b64decode("".join((text or "").split()), validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _attribute(element: Any, path: str, name: str) -> str:
    found = element.find(path)
    return (found.get(name) or "") if found is not None else ""


def _text(value: int | None) -> str:
    return "" if value is None else str(value)
