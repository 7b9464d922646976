"""What `tokens doctor` says of a machine that lacks this or that."""

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from database import migrate
from settings import Settings
from starter import stack
from starter.doctor import Check, as_json, examine, healthy


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "browsers"))
    monkeypatch.delenv("TEMPORAL_ADDRESS", raising=False)


def settings(tmp_path: Path, **given: Any) -> Settings:
    ports = {"temporal_port": 0, "ui_port": 0, "gateway_port": 0, "smtp_port": 0}
    return Settings(_env_file=None, state=tmp_path / "state", **{**ports, **given})  # type: ignore[call-arg]


def script(path: Path, answer: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)
    return path


def temporal(path: Path) -> Path:
    return script(path, "temporal version 1.8.2 (Server 1.33.0, UI 2.50.1)")


def named(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_a_bare_machine_lacks_temporal_and_go_and_says_what_to_do(tmp_path: Path) -> None:
    checks = examine(settings(tmp_path))
    found = named(checks)
    assert found["Python"].ok
    assert not found["Temporal binary"].ok
    assert not found["Go"].ok
    assert "https://go.dev/dl" in (found["Go"].advice or "")
    assert not healthy(checks)
    assert as_json(checks)["ok"] is False
    assert as_json(checks)["temporal"] == {"path": None, "version": None, "how": None}


def test_go_is_described_where_it_would_build_temporal(tmp_path: Path) -> None:
    script(tmp_path / "bin" / "go", "go version go1.26.8 linux/amd64")
    assert named(examine(settings(tmp_path)))["Go"].found == "go1.26.8 linux/amd64"


def test_with_a_binary_go_is_of_no_interest_and_json_names_it(tmp_path: Path) -> None:
    binary = temporal(tmp_path / "bin" / "temporal")
    checks = examine(settings(tmp_path))
    assert "Go" not in named(checks)
    assert as_json(checks)["temporal"] == {"path": str(binary), "version": "1.33.0", "how": "PATH"}


def test_what_is_optional_does_not_make_it_fail(tmp_path: Path) -> None:
    temporal(tmp_path / "bin" / "temporal")
    checks = examine(settings(tmp_path))
    assert not named(checks)["Chromium"].ok
    assert not named(checks)["Embedded stack"].ok
    assert healthy(checks)
    assert as_json(checks)["ok"] is True


def test_an_unusable_setting_is_told_in_its_own_words(tmp_path: Path) -> None:
    check = named(examine(settings(tmp_path, temporal_binary=tmp_path / "nowhere")))["Temporal binary"]
    assert not check.ok
    assert "TOKENS_TEMPORAL_BINARY" in (check.advice or "")


def test_every_failed_check_has_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    checks = examine(settings(tmp_path, database_url="postgresql+psycopg://127.0.0.1:1/none"))
    assert {check.name for check in checks if not check.ok} >= {"Temporal binary", "Database", "Temporal server"}
    assert all(check.advice for check in checks if not check.ok)


def test_a_database_that_is_not_there_yet_is_no_fault_and_is_not_made(tmp_path: Path) -> None:
    check = named(examine(settings(tmp_path)))["Database"]
    assert check.ok
    assert "tokens up" in (check.advice or "")
    assert not (tmp_path / "state").exists()


def test_a_database_at_the_newest_revision_is_well(tmp_path: Path) -> None:
    given = settings(tmp_path)
    migrate.upgrade(given.url_of_database)
    check = named(examine(given))["Database"]
    assert check.ok
    assert check.extra["revision"] == check.extra["newest_revision"] is not None


def test_a_database_that_lags_is_told_how_to_come_up(tmp_path: Path) -> None:
    given = settings(tmp_path)
    given.state.mkdir()
    (given.state / "tokens.db").touch()
    check = named(examine(given))["Database"]
    assert not check.ok
    assert "tokens db upgrade" in (check.advice or "")


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://someone:hidden-word@127.0.0.1:1/tokens?connect_timeout=1", "no url: hidden-word"]
)
def test_a_database_out_of_reach_shows_no_password(tmp_path: Path, url: str) -> None:
    checks = examine(settings(tmp_path, database_url=url))
    assert not named(checks)["Database"].ok
    assert "hidden-word" not in str(checks)


def test_a_taken_port_names_its_setting_and_is_no_fault_of_the_machine(tmp_path: Path) -> None:
    temporal(tmp_path / "bin" / "temporal")
    with closing(socket.create_server(("127.0.0.1", 0))) as foreign:
        checks = examine(settings(tmp_path, ui_port=foreign.getsockname()[1]))
    assert not named(checks)["Ports"].ok
    assert "TOKENS_UI_PORT" in named(checks)["Ports"].found
    assert healthy(checks)


def test_a_running_stack_is_described_and_its_ports_are_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = {"ui": "http://127.0.0.1:1", "pids": {"stack": os.getpid()}}
    monkeypatch.setattr(stack, "connect_info", lambda _state: info)
    found = named(examine(settings(tmp_path)))
    assert found["Embedded stack"].ok
    assert "http://127.0.0.1:1" in found["Embedded stack"].found
    assert "Ports" not in found


def test_a_stack_that_has_lost_a_part_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass  # leaving the block waits for its end
    info = {"ui": "http://127.0.0.1:1", "pids": {"stack": os.getpid(), "worker": ended.pid}}
    monkeypatch.setattr(stack, "connect_info", lambda _state: info)
    check = named(examine(settings(tmp_path)))["Embedded stack"]
    assert not check.ok
    assert check.required
    assert "without worker" in check.found


def test_the_server_is_looked_for_only_where_an_address_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Temporal server" not in named(examine(settings(tmp_path)))
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
        assert named(examine(settings(tmp_path)))["Temporal server"].ok
    monkeypatch.setenv("TEMPORAL_ADDRESS", "nonsense")
    assert not named(examine(settings(tmp_path)))["Temporal server"].ok
