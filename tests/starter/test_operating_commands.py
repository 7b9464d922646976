"""`tokens views` and `tokens report`, as a person types them."""

import json
import os
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from database import migrate
from database.engine import engine_of, sessions_of
from starter.views import VIEWS
from tests.reported import the_week
from tests.starter.test_commands import Terminal

pytestmark = pytest.mark.slow


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    url = f"sqlite:///{tmp_path / 'tokens.db'}"
    migrate.upgrade(url)
    engine = engine_of(url)
    with sessions_of(engine).begin() as session:
        the_week(session)
    engine.dispose()
    ours = {"TOKENS_STATE": str(tmp_path), "TOKENS_DATABASE_URL": url, "TOKENS_UI_URL": "https://ui.example"}
    return Terminal({name: value for name, value in os.environ.items() if not name.startswith("TOKENS_")} | ours)


def test_an_operator_s_lists_and_the_report(terminal: Terminal) -> None:
    listed = terminal.json("views", "--serial", "HT-1")
    assert [view["name"] for view in listed] == [view.name for view in VIEWS if view.name != "prescriber"]
    for view in listed:
        parts = urlsplit(view["link"])
        assert parts.geturl().startswith("https://ui.example/namespaces/default/workflows?query=")
        assert parse_qs(parts.query) == {"query": [view["query"]]}
        assert "{" not in view["query"]
    shown = terminal.tokens("views")
    assert "What waits to be processed?" in shown
    assert "SerialNumber" not in shown

    week = ("--from", "2026-03-02", "--to", "2026-03-08")
    found = terminal.json("report", *week)
    assert [day["hard"] for day in found["days"]] == [2, 1, 2, 0, 1, 0, 0]
    assert json.loads(terminal.tokens("report", *week, "--json"))["paces"] == found["paces"]
    shown = terminal.tokens("report", *week)
    for line in (
        r"hard +request to active +4 +2 d +2 d 16 h",
        r"processed in time +2 +3 +0 +1 +40%",
        r"Requested +hard +2 +1",
        r"A +3 +0 +0 +4 +1 +0 +0 +0 +low",
        r"Awaited by mail: 2\. Losses to report: 2, overdue: 1\.",
    ):
        assert re.search(line, shown), (line, shown)
    assert "give the earlier day first" in terminal.refused("report", "--from", "2026-03-08", "--to", "2026-03-02")
