"""Seeds and unsent mail at rest."""

import pytest

from database.sealing import Seal, Unsealable

KEYS = {"k1": "11" * 32}


def test_sealed_and_opened() -> None:
    seal = Seal(KEYS)
    sealed = seal.close(b"seed", "HT-1")
    assert b"seed" not in sealed
    assert seal.open(sealed, "HT-1") == b"seed"
    assert seal.close(b"seed", "HT-1") != sealed


def test_it_can_t_be_moved_changed_or_opened_without_its_key() -> None:
    sealed = Seal(KEYS).close(b"seed", "HT-1")
    with pytest.raises(Unsealable):
        Seal(KEYS).open(sealed, "HT-2")
    with pytest.raises(Unsealable):
        Seal(KEYS).open(sealed[:-1] + b"x", "HT-1")
    with pytest.raises(Unsealable):
        Seal({"k2": "22" * 32}).open(sealed, "HT-1")


def test_keys_rotate() -> None:
    sealed = Seal(KEYS).close(b"seed", "HT-1")
    assert Seal({"k2": "22" * 32, **KEYS}).open(sealed, "HT-1") == b"seed"


def test_no_key_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="TOKENS_SEAL_KEYS"):
        Seal({})
