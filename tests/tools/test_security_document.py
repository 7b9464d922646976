"""docs/security.md names real tests, and what it says of settings and commands is there."""

import re
from pathlib import Path

import pytest

from settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "security.md").read_text()


def test_each_named_test_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", DOCUMENT)
    assert len(named) > 40
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not (ROOT / file).is_file() or not re.search(rf"def {test}\(", (ROOT / file).read_text())
    ]
    assert missing == []


def test_each_row_of_each_table_names_one() -> None:
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| ") and not line.startswith("| who |")]
    assert [row for row in rows if "::test_" not in row] == []


@pytest.mark.parametrize("document", ["security.md", "backup.md", "decisions/0010-audit-trail.md"])
def test_each_named_setting_exists(document: str) -> None:
    text = (ROOT / "docs" / document).read_text()
    known = {f"TOKENS_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"\bTOKENS_[A-Z_]+[A-Z]", text)) <= known
