"""The worker is killed, with SIGKILL, between any two steps of a replacement; the next worker ends it as if nothing had been."""

import asyncio
import json
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from domain.peers import successor_id
from domain.status import Kind
from tests import dying_worker
from tests.forked import Forked
from tests.stage import Play, Stage, Theatre

pytestmark = pytest.mark.slow

STEPS = (
    "replacements.claim",
    "peers.deactivate",
    "records.write",  # the old journey's own, in between
    "peers.request_successor",
    "records.admit",  # the new journey's own
    "vendor.revoke",
    "peers.start_return",
    "returns.admit",
    "mail.send",
)
POINTS = [(step, when) for step in STEPS for when in ("before", "after")]


def environment(stage: Stage) -> dict[str, str]:
    settings = stage.settings

    def keys(given: dict[str, Any]) -> str:
        return json.dumps({name: key.get_secret_value() for name, key in given.items()})

    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TOKENS_", "TEMPORAL_"))}
    return {
        **clean,
        "TEMPORAL_ADDRESS": stage.client.service_client.config.target_host,
        "TEMPORAL_NAMESPACE": stage.client.namespace,
        "TEMPORAL_CONFIG_FILE": os.devnull,
        "TASK_QUEUE": stage.task_queue,
        "TOKENS_DATABASE_URL": settings.url_of_database,
        "TOKENS_IMPORT_FOLDER": str(settings.folder_of_imports),
        "TOKENS_SMTP_PORT": str(settings.smtp_port),
        "TOKENS_VENDOR_URL": settings.vendor_url,
        "TOKENS_CARRIER_URL": settings.carrier_url,
        "TOKENS_DIRECTORY_URL": settings.directory_url,
        "TOKENS_PAYLOAD_KEYS": keys(settings.payload_keys),
        "TOKENS_SEAL_KEYS": keys(settings.seal_keys),
        "TOKENS_PIN_PEPPER": settings.pin_pepper.get_secret_value(),
    }


async def process(stage: Stage, step: str, when: str) -> Forked:
    log = stage.folder / "worker.log"
    log.touch()
    words = (step, when, str(stage.folder / "died"))
    return Forked(dying_worker.program, *words, environment=environment(stage), stderr=log)


async def killed_at(stage: Stage, old: Play, step: str, when: str) -> None:
    """Replaces `old`; the first worker dies at that step, the second goes on."""
    await stage.stop_worker()
    order = {"journey_id": old.id, "reason": "faulty", "in_possession": True, "confirmed": True}
    replacement = await stage.open("ReplaceToken", order)
    first = await process(stage, step, when)
    assert await first.wait() == -signal.SIGKILL
    second = await process(stage, step, when)
    try:
        result = await asyncio.wait_for(replacement.handle.result(), 150)
        new_id = successor_id(old.id, Kind.HARD)
        assert result["journey_id"] == new_id
        await asyncio.wait_for(old.handle.result(), 150)
        back = await asyncio.wait_for(stage.peer(f"return-{old.id}"), 60)
        for _ in range(600):
            sent = stage.rows("select count(*) from emails where letter in ('return_label', 'request_received')")
            if sent == [(3,)] and stage.rows("select count(*) from emails where state <> 'sent'") == [(0,)]:
                break
            await asyncio.sleep(0.1)
        assert stage.rows("select journey_id, status from journeys where live") == [(new_id, "Requested")]
        assert stage.rows(f"select status, replaced_by from journeys where journey_id = '{old.id}'") == [
            ("Deactivated", new_id)
        ]
        assert stage.rows("select count(*) from replacements where finished_at is null") == [(0,)]
        # Each thing once, whatever was tried again.
        assert stage.rows("select letter from emails group by message_id having count(*) > 1") == []
        assert len({message["Message-ID"] for message in stage.mailbox.messages()}) == len(stage.mailbox.messages())
        assert old.letters().count("deactivated") == 1
        assert len(stage.done("vendor", "revocations", old.id)) == 1
        assert len(stage.done("carrier", "shipments", back.id)) == 1
        assert not await old.signs()
    finally:
        second.kill()
        await second.wait()


async def test_killed_between_any_two_steps(temporal: Client, theatre: Theatre, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        plays = []
        for number, _ in enumerate(POINTS):
            folder = tmp_path / str(number)
            folder.mkdir()
            stage = await stack.enter_async_context(Stage(temporal, theatre, folder))
            old = await stage.request("hard")
            await old.reach("Active")
            plays.append((stage, old))
        at_once = asyncio.Semaphore(9)

        async def play(point: tuple[str, str], stage: Stage, old: Play) -> str | None:
            async with at_once:
                try:
                    await killed_at(stage, old, *point)
                except Exception as fault:
                    return f"{point}: {type(fault).__name__} {fault}"
                return None

        faults = await asyncio.gather(
            *(play(point, stage, old) for point, (stage, old) in zip(POINTS, plays, strict=True))
        )
        assert [fault for fault in faults if fault] == []
