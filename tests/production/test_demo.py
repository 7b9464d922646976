"""The demo on the production shape, as `make demo-stack` plays it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from settings import Settings
from tests import postgresql
from tools.production.compose import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(postgresql.programs() is None, reason="no PostgreSQL server is installed"),
]


def test_it_goes_on_while_both_workers_are_replaced_by_the_next_build(settings: Settings, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.production.demo", str(tmp_path / "stack")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400)
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    assert said.count("Meanwhile") == 5
    for journey, status in (("hard", "Deactivated"), ("soft", "Active")):
        assert re.search(rf"token-{journey}-\w+ +{status}", said), said
    assert re.search(r"0 faults", said)
    assert re.search(rf"{{'{re.escape(settings.build_id)}': \d+, 'next': \d+}}; failed: 0\.", said), said
