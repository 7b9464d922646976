"""The embedded stack's own secrets."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from settings import Settings
from starter import keys


def test_they_are_made_once_for_the_owner_only(tmp_path: Path) -> None:
    made = keys.load_or_create(tmp_path / "state")
    assert keys.load_or_create(tmp_path / "state") == made
    assert stat.S_IMODE((tmp_path / "state" / "keys.json").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["keys.json"]
    for kind in ("payload_keys", "seal_keys"):
        assert len(bytes.fromhex(made[kind]["k1"])) == 32
    assert list(made["webhook_secrets"]) == ["plain", "easypost", "shippo", "vendor", "surescripts"]
    secrets = [
        made["payload_keys"]["k1"],
        made["seal_keys"]["k1"],
        made["pin_pepper"],
        *made["webhook_secrets"].values(),
        made["codec_key"],
        made["operator_key"],
    ]
    assert len(set(secrets)) == 10


def test_those_of_an_older_version_are_completed(tmp_path: Path) -> None:
    older = keys.load_or_create(tmp_path)
    older["webhook_secrets"] = {"plain": older["webhook_secrets"]["plain"]}
    for made_later in ("codec_key", "operator_key"):
        del older[made_later]
    (tmp_path / "keys.json").write_text(json.dumps(older))
    with ThreadPoolExecutor(8) as threads:
        completed = list(threads.map(keys.load_or_create, [tmp_path] * 8))
    assert all(one == completed[0] for one in completed)
    assert json.loads((tmp_path / "keys.json").read_text()) == completed[0]
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]
    kept = {**completed[0], "webhook_secrets": older["webhook_secrets"]}
    assert {name: kept[name] for name in older} == older
    assert completed[0]["codec_key"] != completed[0]["operator_key"]
    secrets = completed[0]["webhook_secrets"]
    assert secrets["plain"] == older["webhook_secrets"]["plain"]
    assert len(set(secrets.values())) == 5
    assert all(len(bytes.fromhex(secret)) == 32 for secret in secrets.values())


def test_all_who_come_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(keys.load_or_create, [tmp_path] * 8))
    assert all(one == made[0] for one in made)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"payload_keys": '])
def test_damaged_ones_are_never_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(keys.KeysUnreadable, match="restore it from a backup"):
        keys.load_or_create(tmp_path)
    assert (tmp_path / "keys.json").read_text() == content


def test_a_new_sealing_key_comes_first_and_the_others_stay(tmp_path: Path) -> None:
    made = keys.load_or_create(tmp_path)
    added = keys.add_seal_key(tmp_path)
    assert list(added["seal_keys"]) == ["k2", "k1"]
    assert added["seal_keys"]["k1"] == made["seal_keys"]["k1"] != added["seal_keys"]["k2"]
    assert {**added, "seal_keys": None} == {**made, "seal_keys": None}
    assert keys.load_or_create(tmp_path) == added
    assert list(keys.load_or_create(tmp_path)["seal_keys"]) == ["k2", "k1"]
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    del added["seal_keys"]["k1"]
    (tmp_path / "keys.json").write_text(json.dumps(added))
    assert list(keys.add_seal_key(tmp_path)["seal_keys"]) == ["k3", "k2"]
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


def test_the_settings_read_them_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = keys.load_or_create(tmp_path)
    for name, value in keys.environment(made).items():
        monkeypatch.setenv(name, value)
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    assert settings.payload_keys["k1"].get_secret_value() == made["payload_keys"]["k1"]
    assert settings.seal_keys["k1"].get_secret_value() == made["seal_keys"]["k1"]
    assert settings.webhook_secrets["plain"].get_secret_value() == made["webhook_secrets"]["plain"]
    assert settings.pin_pepper.get_secret_value() == made["pin_pepper"]


def test_a_file_of_an_older_version_is_completed(tmp_path: Path) -> None:
    older = keys.load_or_create(tmp_path)
    del older["demo_ehr_key"]
    (tmp_path / "keys.json").write_text(json.dumps(older))
    with ThreadPoolExecutor(8) as threads:
        completed = list(threads.map(keys.load_or_create, [tmp_path] * 8))
    assert all(one == completed[0] for one in completed)
    assert older.items() < completed[0].items()
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600


def test_the_demo_ehr_s_private_key_is_not_given_to_everybody(tmp_path: Path) -> None:
    made = keys.load_or_create(tmp_path)
    assert made["demo_ehr_key"] not in keys.environment(made).values()
    assert "PRIVATE" not in str(keys.environment(made))
