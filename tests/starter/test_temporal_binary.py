"""The look-up order, with shell scripts in the place of Temporal and Go."""

import os
import sys
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from settings import Settings
from starter import go_build, temporal_binary, temporal_download
from starter.temporal_binary import TemporalMissing, ensure, find


@pytest.fixture(autouse=True)
def nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache, an empty PATH (but for the shell), and no network."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(temporal_download, "reachable", lambda: False)


@pytest.fixture
def said() -> list[str]:
    return []


def settings(binary: Path | None = None) -> Settings:
    return Settings(_env_file=None, temporal_binary=binary)  # type: ignore[call-arg]


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def fake(path: Path, server: str = "1.32.0") -> Path:
    return script(path, f"echo 'temporal version 1.8.2 (Server {server}, UI 2.50.1)'")


def go(tmp_path: Path, text: str) -> Path:
    """A `go` that runs `text` with the name of the file to make in $out."""
    loop = 'while [ $# -gt 0 ]; do [ "$1" = -o ] && out="$2"; shift; done'
    return script(tmp_path / "bin" / "go", f'echo "$@" >> {tmp_path}/go-calls\n{loop}\n{text}')


GOOD_BUILD = (
    "echo some/package >&2\n"
    "printf '#!/bin/sh\\necho temporal version 1 \\\\(Server 1.32.0, UI 2\\\\)\\n' > \"$out\"\n"
    '/bin/chmod 755 "$out"'
)


def test_nothing_is_found_where_nothing_is() -> None:
    assert find(settings()) is None


def test_the_setting_goes_first(tmp_path: Path) -> None:
    fake(tmp_path / "bin" / "temporal")
    named = fake(tmp_path / "elsewhere" / "temporal", "1.33.1")
    assert find(settings(named)) == (named, "1.33.1", "setting")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "not a file"),
        ("echo hello", "does not run as a Temporal binary"),
        ("exit 3", "does not run as a Temporal binary"),
        ("echo 'temporal version 1.4.1 (Server 1.28.0, UI 2.39.0)'", "whose server is 1.28.0, but 1.32 or newer"),
    ],
)
def test_a_setting_that_names_something_unusable_is_refused(
    tmp_path: Path, content: str | None, complaint: str
) -> None:
    named = tmp_path / "named"
    if content is not None:
        script(named, content)
    with pytest.raises(TemporalMissing, match=complaint) as refusal:
        find(settings(named))
    assert "TOKENS_TEMPORAL_BINARY" in str(refusal.value)
    assert str(refusal.value).count("\n") == 0


def test_path_goes_before_the_one_built_before(tmp_path: Path) -> None:
    on_path = fake(tmp_path / "bin" / "temporal", "1.32.2")
    fake(temporal_binary.built_path())
    assert find(settings()) == (on_path, "1.32.2", "PATH")


@pytest.mark.parametrize("server", ["1.31.9", "0.99.0"])
def test_one_on_path_that_is_too_old_is_passed_over(tmp_path: Path, server: str) -> None:
    fake(tmp_path / "bin" / "temporal", server)
    built = fake(temporal_binary.built_path())
    assert find(settings()) == (built, "1.32.0", "built before")


def test_the_built_one_belongs_to_exactly_this_module_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = temporal_binary.built_path()
    module = tmp_path / "module"
    module.mkdir()
    (module / "go.mod").write_text("module other\n")
    (module / "go.sum").write_text("")
    monkeypatch.setattr(temporal_binary, "MODULE", module)
    after = temporal_binary.built_path()
    assert before != after
    assert before.parent.parent == after.parent.parent == tmp_path / "cache" / "token-fulfillment"


def test_the_download_is_taken_if_new_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: list[str]) -> None:
    monkeypatch.setattr(temporal_download, "reachable", lambda: True)
    monkeypatch.setattr(sys, "executable", str(downloader(tmp_path, "1.32.0")))
    found = ensure(settings(), said.append)
    assert (found.version, found.how) == ("1.32.0", "downloaded")
    assert find(settings()) == found


def test_a_download_that_is_too_old_is_not_asked_for_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: list[str]
) -> None:
    monkeypatch.setattr(temporal_download, "reachable", lambda: True)
    monkeypatch.setattr(sys, "executable", str(downloader(tmp_path, "1.30.0")))
    for _ in range(2):
        with pytest.raises(TemporalMissing, match="Go is missing"):
            ensure(settings(), said.append)
    assert (tmp_path / "downloads").read_text() == "1\n"


def downloader(tmp_path: Path, server: str) -> Path:
    """Stands for the Python that would run the launcher with the SDK's download in it."""
    text = f"echo 1 >> {tmp_path}/downloads\nfor last; do :; done\n"
    text += f'printf \'#!/bin/sh\\necho "(Server {server}, UI 2)"\\n\' > "$last/temporal-sdk"\n'
    return script(tmp_path / "python", text + '/bin/chmod 755 "$last/temporal-sdk"')


def test_missing_go_is_one_sentence_that_says_what_to_install(said: list[str]) -> None:
    with pytest.raises(TemporalMissing, match=r"install Go 1\.\d+ or newer from https://go\.dev/dl"):
        ensure(settings(), said.append)


def test_it_is_built_once_and_kept(tmp_path: Path, said: list[str]) -> None:
    module_before = (temporal_binary.MODULE / "go.mod").read_bytes()
    go(tmp_path, GOOD_BUILD)
    built = ensure(settings(), said.append)
    assert built == (temporal_binary.built_path(), "1.32.0", "built now")
    assert said[0].startswith("Building the Temporal server")
    assert ensure(settings(), said.append) == (built.path, "1.32.0", "built before")
    call = (tmp_path / "go-calls").read_text()
    assert call.count("\n") == 1
    assert "-mod=readonly" in call
    assert (temporal_binary.MODULE / "go.mod").read_bytes() == module_before
    assert not list(built.path.parent.glob(".building-*"))


def test_progress_tells_time_and_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: list[str]) -> None:
    monkeypatch.setattr(go_build, "_TELL_EVERY", 0)
    go(tmp_path, f"echo some/package >&2\nread line < {fifo(tmp_path)}\n{GOOD_BUILD}")

    def tell(line: str) -> None:
        said.append(line)
        if "1 packages compiled" in line and not any("1 packages compiled" in earlier for earlier in said[:-1]):
            release(tmp_path)

    ensure(settings(), tell)
    assert any("0:0" in line and "1 packages compiled" in line for line in said)


def test_a_build_that_fails_says_why_and_leaves_nothing_half_done(tmp_path: Path, said: list[str]) -> None:
    go(tmp_path, 'echo half > "$out"\necho "go: disk is full" >&2\nexit 1')
    with pytest.raises(TemporalMissing, match=r"could not be built \(go: disk is full\)"):
        ensure(settings(), said.append)
    assert find(settings()) is None
    assert not list(temporal_binary.built_path().parent.glob(".building-*"))


def test_a_build_can_be_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: list[str]) -> None:
    go(tmp_path, f"read line < {fifo(tmp_path)}")
    stop = threading.Event()
    stop.set()
    with pytest.raises(TemporalMissing, match="was stopped"):
        ensure(settings(), said.append, stop)


def test_who_comes_while_another_builds_waits_for_its_binary(tmp_path: Path) -> None:
    target = temporal_binary.built_path()
    target.parent.mkdir(parents=True)
    go(tmp_path, "exit 9")
    other = FileLock(target.parent.with_suffix(".lock"), thread_local=False)
    other.acquire()

    def tell(line: str) -> None:
        if "by another process" in line:
            fake(target)
            other.release()

    assert ensure(settings(), tell) == (target, "1.32.0", "built before")


def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def release(tmp_path: Path) -> None:
    (tmp_path / "fifo").write_text("go on\n")
