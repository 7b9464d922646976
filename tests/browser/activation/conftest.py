"""The gateway with the activation pages and the mailbox, and the links of real emails."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page
from temporalio.client import Client

from simulators.serving import Serving
from starter.gateway.app import app
from starter.supervision import choose
from tests.browser.conftest import press
from tests.stage import Play, Stage, Theatre


class Site:
    """The gateway at `url`, on a stage of its own; emails link to it."""

    def __init__(self, stage: Stage, url: str) -> None:
        self.stage, self.url = stage, url

    async def ready(self, kind: str, prescriber_id: str = "P-1001") -> Play:
        """A token whose owner may activate it: delivered, or, soft, processed."""
        journey = await self.stage.request(kind, prescriber_id)
        await journey.reach("Delivered" if kind == "hard" else "Processed")
        return journey

    def link(self, journey: Play, letter: str | None = None) -> str:
        """The link in the newest email that has one, or in the newest of these letters."""
        for message in reversed(journey.emails()):
            if letter in (None, message["X-Token-Letter"]):
                body = message.get_body(("plain",))
                assert body is not None
                found = re.search(rf"{re.escape(self.url)}/activate/[A-Za-z0-9_-]+", body.get_content())
                if found:
                    return found[0]
        raise AssertionError("there is no such email with a link")


@pytest.fixture
async def site(
    temporal: Client, theatre: Theatre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    port = choose(0, set())
    url = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.service_client.config.target_host)
    monkeypatch.setattr(theatre, "settings", theatre.settings.model_copy(update={"public_url": url}))
    async with Stage(temporal, theatre, tmp_path) as stage:
        settings = stage.settings.model_copy(update={"embedded": True, "state": stage.folder})
        async with Serving(app(settings, task_queue=stage.task_queue), port):
            yield Site(stage, url)


async def typed_serial(page: Page, serial: str) -> None:
    await page.get_by_role("textbox", name="Serial number").fill(serial)
    await press(page, "Continue")


async def typed_passcode(page: Page, passcode: str) -> None:
    await page.get_by_role("textbox", name="Passcode").fill(passcode)
    await press(page, "Activate my token")
