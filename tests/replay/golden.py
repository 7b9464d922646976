"""Histories of each release, kept in `golden/<release>/`, so that a change which an older release's journeys can't follow is
caught before it meets them.

`make golden` records those of the present release: it plays the tests of this folder with this module's `keep` switched on, in
plain text (the people in them are the sample data's). Recorded files are never changed again.
"""

import gzip
import os
import re
from pathlib import Path

from temporalio.client import WorkflowHistory

FOLDER = Path(__file__).parent / "golden"
RECORDING = "GOLDEN"
"""Environment variable: the release whose histories are recorded."""

_recorded: dict[str, int] = {}


def types(release: str) -> set[str]:
    """The types of workflows of which a release's histories are there."""
    histories = (read(path) for path in sorted((FOLDER / release).glob("*.json.gz")))
    return {history.events[0].workflow_execution_started_event_attributes.workflow_type.name for history in histories}


def recording() -> bool:
    """Whether this run records."""
    return bool(os.environ.get(RECORDING))


def keep(history: WorkflowHistory) -> None:
    """Writes the history under the present test's name, if this run records."""
    release = os.environ.get(RECORDING)
    if not release:
        return
    test = os.environ["PYTEST_CURRENT_TEST"].split("::")[-1].removesuffix(" (call)")
    name = re.sub(r"[^a-z0-9]+", "-", test.removeprefix("test_").lower()).strip("-")[:80]
    _recorded[name] = _recorded.get(name, 0) + 1
    folder = FOLDER / release
    folder.mkdir(parents=True, exist_ok=True)
    # No time stamp in the archive: the same history gives the same file.
    text = re.sub(r'"\d+@[^"]*"', '"worker"', history.to_json())  # names process and machine
    packed = gzip.compress(text.encode(), mtime=0)
    (folder / f"{name}-{_recorded[name]}.json.gz").write_bytes(packed)


def kept() -> list[Path]:
    """All recorded histories, of every release."""
    return sorted(FOLDER.glob("*/*.json.gz"))


def read(path: Path) -> WorkflowHistory:
    """A recorded history, under the id that its workflow had."""
    text = gzip.decompress(path.read_bytes()).decode()
    history = WorkflowHistory.from_json("unknown", text)
    started = history.events[0].workflow_execution_started_event_attributes
    return WorkflowHistory.from_json(started.workflow_id, text)
