"""Seeds, PINs and passcodes are not shown by `repr`, by dumps, or by what is raised: all of those end up in logs."""

import base64
import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr, ValidationError
from pyotp.totp import TOTP

import activities
import database
import domain
import simulators
import starter
import workflows
from database.sealing import Seal, Unsealable
from database.tables import Base
from domain import pin as pins
from domain.passcodes import Counters, Device, current, judge
from settings import Settings
from starter.soft_enrollment import Stored

_SECRET = re.compile(r"(.*_)?(seed|pin|passcode|password|provisioning_uri|pin_hash|pin_pepper|secret)")
_SEED = bytes(range(20, 40))


def modules() -> Iterator[ModuleType]:
    """All of this project's that hold types, and the settings."""
    for package in (activities, database, domain, simulators, starter, workflows):
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations" not in found.name:
                yield importlib.import_module(found.name)
    yield importlib.import_module("settings")


def shown_secrets() -> Iterator[str]:
    """Fields that hold a secret, by their names, and are shown by the `repr` of their type."""
    seen: set[type] = set()
    for module in modules():
        for kind in vars(module).values():
            if not isinstance(kind, type) or kind in seen or kind.__module__ != module.__name__:
                continue
            seen.add(kind)
            fields: dict[str, bool] = {}
            if dataclasses.is_dataclass(kind):
                fields = {field.name: field.repr for field in dataclasses.fields(kind)}
            elif issubclass(kind, BaseModel):
                fields = {
                    name: field.repr and field.annotation is not SecretStr for name, field in kind.model_fields.items()
                }
            elif issubclass(kind, Base) and kind.__repr__ is not object.__repr__:
                fields = {column.name: True for column in kind.__table__.columns}
            yield from (
                f"{kind.__qualname__}.{name}" for name, shown in fields.items() if shown and _SECRET.fullmatch(name)
            )


def test_no_type_shows_a_secret() -> None:
    assert sorted(shown_secrets()) == []


def test_the_search_finds_one(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclasses.dataclass
    class Careless:
        seed: bytes

    Careless.__module__ = "domain.pin"
    monkeypatch.setattr(pins, "Careless", Careless, raising=False)
    assert [name.rpartition(".")[2] for name in shown_secrets()] == ["seed"]


def forms(seed: bytes) -> set[str]:
    """A seed as it may be written in a text."""
    in_base32 = base64.b32encode(seed).decode().rstrip("=")
    in_base64 = base64.b64encode(seed).decode().rstrip("=")
    return {seed.hex(), seed.hex().upper(), in_base32, in_base32.lower(), in_base64, repr(seed)[2:-1]}


@given(
    seed=st.binary(min_size=8, max_size=64),
    algorithm=st.sampled_from(["HOTP", "TOTP", "OCRA", ""]),
    digits=st.integers(-1, 10),
    digest=st.sampled_from(["SHA1", "SHA256", "SHA512", "MD5"]),
    period=st.integers(-1, 60),
    factor=st.integers(-3, 3),
)
def test_a_device_shows_no_seed_whatever_is_wrong_with_it(
    seed: bytes, algorithm: str, digits: int, digest: str, period: int, factor: int
) -> None:
    said = []
    try:
        device = Device(algorithm, seed, digits, digest, period)  # type: ignore[arg-type]
        said += [repr(device), str(device), repr(judge)]
        said.append(repr(Counters()))
        current(device, factor)
    except ValueError as fault:
        said += [str(fault), repr(fault)]
    assert said
    for text in said:
        assert not [form for form in forms(seed) if form in text]


@given(seed=st.binary(min_size=8, max_size=64), cut=st.integers(0, 80), about=st.sampled_from(["HT-1", "HT-2"]))
def test_a_seal_that_can_not_be_opened_says_nothing_of_what_is_in_it(seed: bytes, cut: int, about: str) -> None:
    seal = Seal({"k1": "17" * 32})
    sealed = seal.close(seed, "HT-1")
    assert seed not in sealed
    try:
        assert seal.open(sealed[:cut] if cut < len(sealed) else sealed, about) == seed
    except Unsealable as fault:
        cause = repr(fault.__cause__)
        for text in (str(fault), cause, repr(seal)):
            assert not [form for form in forms(seed) if form in text]
            assert "1717" not in text


def test_the_provisioning_uri_is_in_no_dump_and_no_error() -> None:
    secret = base64.b32encode(_SEED).decode()
    stored = Stored(enrollment_ref="ref", provisioning_uri=TOTP(secret, name="a", issuer="b").provisioning_uri())
    assert secret in stored.provisioning_uri
    for text in (repr(stored), str(stored), str(stored.model_dump()), stored.model_dump_json()):
        assert secret not in text
        assert "ref" in text
    with pytest.raises(ValidationError) as fault:
        Stored.model_validate({"enrollment_ref": None, "provisioning_uri": [stored.provisioning_uri]})
    assert secret not in str(fault.value)


def test_settings_show_no_key() -> None:
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        seal_keys={"k1": SecretStr("17" * 32)},
        payload_keys={"k1": SecretStr("17" * 32)},
        pin_pepper=SecretStr("17" * 32),
    )
    for text in (repr(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert "1717" not in text


@given(st.text(max_size=6))
def test_what_is_said_of_a_pin_does_not_repeat_it(pin: str) -> None:
    sentence = pins.refusal(pin)
    assert sentence is None or not any(sign.isdigit() for sign in sentence)
