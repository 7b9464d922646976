"""Seeds and unsent mail at rest."""

import pytest

from database.sealing import LONGEST_HEAD, Seal, Unsealable, key_id_of

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
        Seal(KEYS).open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "HT-1")
    with pytest.raises(Unsealable):
        Seal({"k2": "22" * 32}).open(sealed, "HT-1")


def test_keys_rotate() -> None:
    sealed = Seal(KEYS).close(b"seed", "HT-1")
    assert Seal({"k2": "22" * 32, **KEYS}).open(sealed, "HT-1") == b"seed"


def test_no_key_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="TOKENS_SEAL_KEYS"):
        Seal({})


@pytest.mark.parametrize(
    "keys",
    [
        {"k1": "11" * 16},  # AES-128
        {"k1": "11" * 31 + "1x"},
        {"k1": " " + "11" * 32},
        {"": "11" * 32},
        {"k:1": "11" * 32},
        {"schlüssel": "11" * 32},
        {"k" * 33: "11" * 32},
    ],
)
def test_a_bad_key_is_one_sentence_that_does_not_repeat_it(keys: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="TOKENS_SEAL_KEYS") as fault:
        Seal(keys)
    assert "1111" not in str(fault.value)


def test_the_key_id_stands_before_what_is_sealed() -> None:
    for key_id in ("k1", "2037-03.a_b", "k" * 32):
        sealed = Seal({key_id: "11" * 32}).close(b"", "HT-1")
        assert key_id_of(sealed) == key_id_of(sealed[:LONGEST_HEAD]) == key_id
    for other in (b"", b"no colon", b":x", b"\xff:x", b"k" * 33 + b":"):
        assert key_id_of(other) is None


def test_it_shows_no_key() -> None:
    assert repr(Seal({"k2": "22" * 32, **KEYS})) == "Seal(k2, k1)"


@pytest.mark.parametrize("sealed", [b"", b"k1", b"k1:", b"k1:short", b"k1:" + b"x" * 27])
def test_cut_off_ones_are_unsealable(sealed: bytes) -> None:
    with pytest.raises(Unsealable):
        Seal(KEYS).open(sealed, "HT-1")
