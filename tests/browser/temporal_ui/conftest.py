"""The embedded stack as an operator has it before them: Temporal's own UI, with the codec on."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, ViewportSize, expect
from pydantic import SecretStr
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from connection import TASK_QUEUE, data_converter
from settings import Settings
from starter import keys
from starter.clock import Clock
from starter.stack import Stack

PATIENCE = 30.0
_LONGEST = 20_000
"""Milliseconds that the browser may take for what it shows at once on a quiet machine."""

_SIZE: ViewportSize = {"width": 1200, "height": 800}
_NOT_JSON = "Input must be valid JSON"


class Office:
    """The stack, and a client of it for what other people do meanwhile."""

    def __init__(self, info: dict[str, Any], settings: Settings, client: Client) -> None:
        self.info, self.settings, self.client = info, settings, client

    def handle(self, workflow_id: str) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(workflow_id)

    async def run_of(self, workflow_id: str) -> str:
        """Its newest run, as soon as it is there: a journey starts others by itself."""
        for _ in range(100):
            try:
                return (await self.handle(workflow_id).describe()).run_id
            except RPCError as fault:
                if fault.status is not RPCStatusCode.NOT_FOUND:
                    raise
            await asyncio.sleep(0.1)
        raise AssertionError(f"{workflow_id} has not been started")

    async def status(self, workflow_id: str) -> dict[str, Any]:
        return await asyncio.wait_for(self.handle(workflow_id).query("status"), PATIENCE)

    async def reaches(self, workflow_id: str, status: str) -> dict[str, Any]:
        """Its snapshot as soon as it has that status; meanwhile its clock is moved on, half a day at a time."""
        clock = Clock(self.client, self.handle(workflow_id), patience=PATIENCE)
        for _ in range(16):
            snapshot = await self.status(workflow_id)
            if snapshot["status"] == status:
                return snapshot
            await clock.to(await clock.now() + timedelta(hours=12))
        raise AssertionError(f"{workflow_id} does not become {status}")

    async def now(self, workflow_id: str) -> str:
        """Its time, as JSON has it."""
        return (await Clock(self.client, self.handle(workflow_id)).now()).isoformat()


@pytest.fixture(scope="module")
async def office(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    ports = {f"{name}_port": 0 for name in ("temporal", "ui", "gateway", "smtp")}
    state = tmp_path_factory.mktemp("office") / "state"
    settings = Settings(_env_file=None, state=state, **ports)  # type: ignore[call-arg]
    async with Stack(settings, print) as running:
        own = keys.load_or_create(state)
        settings = settings.model_copy(
            update={
                "payload_keys": {name: SecretStr(key) for name, key in own["payload_keys"].items()},
                "seal_keys": {name: SecretStr(key) for name, key in own["seal_keys"].items()},
                "pin_pepper": SecretStr(own["pin_pepper"]),
            }
        )
        client = await Client.connect(running.info["temporal"], data_converter=data_converter(settings))
        yield Office(dict(running.info), settings, client)


class TemporalUi:
    """What an operator does in the Temporal UI. `pictures`: where pictures are kept, if anywhere."""

    def __init__(self, page: Page, office: Office, pictures: Path | None) -> None:
        self.page, self._office, self._pictures = page, office, pictures
        self._base = f"{office.info['ui']}/namespaces/default/workflows"

    async def start(self, kind: str, workflow_id: str, pasted: str, picture: str = "") -> None:
        """Start Workflow, filled in by hand; returns when it is started."""
        page = self.page
        await page.goto(f"{self._base}/start-workflow")
        await page.locator("#workflowId").fill(workflow_id)
        await page.locator("#taskQueue").fill(TASK_QUEUE)
        await page.locator("#workflowType").fill(kind)
        await self._paste(page.locator("main"), pasted)
        await self.picture(picture)
        await page.get_by_role("button", name="Start Workflow").last.click()
        await expect(page.get_by_text("Workflow started").or_(page.get_by_text("started").last).first).to_be_visible(
            timeout=_LONGEST
        )

    async def send(self, how: str, workflow_id: str, name: str, pasted: str, picture: str = "") -> str:
        """More Actions, Send a Signal or Send an Update. What the form objects to; "" where it has closed."""
        page = self.page
        await page.goto(await self._address(workflow_id, "search-attributes"))
        await page.get_by_role("button", name="More Actions").click()
        await page.get_by_role("menuitem", name=f"Send a{'n' if how == 'Update' else ''} {how}").click()
        dialog = page.get_by_role("dialog").filter(has=page.get_by_role("heading", name=how))
        await dialog.locator("button[aria-haspopup]").first.click()
        option = dialog.get_by_role("option").filter(has_text=re.compile(rf"^\s*{name}\b(?!_)"))
        await expect(option.locator(".menu-item-description")).not_to_be_empty(timeout=_LONGEST)
        await self.picture(f"{picture}-menu" if picture else "")
        await option.click()
        await self._paste(dialog, pasted)
        await self.picture(picture)
        before = set((await dialog.inner_text()).splitlines())
        if _NOT_JSON in before:
            return _NOT_JSON
        await dialog.get_by_role("button", name="Submit").click()
        for _ in range(200):
            # In one go: a form that is closing has no lines any more.
            shown = await dialog.evaluate_all("all => all.filter(e => e.checkVisibility()).map(e => e.innerText)")
            if not shown:
                return ""
            new = [line for line in shown[0].splitlines() if line.strip() and line not in before]
            if new and "In Progress" not in new:
                await self.picture(f"{picture}-refused" if picture else "")
                return " ".join(new)
            await asyncio.sleep(0.05)
        raise AssertionError("the form neither closed nor objected")

    async def reads(self, workflow_id: str, *texts: str, picture: str = "") -> str:
        """The current details, as soon as all the texts stand in them."""
        said = ""
        for _ in range(20):
            await self.page.goto(await self._address(workflow_id, "user-metadata"))
            shown = self.page.frame_locator('iframe[title="output"]').last.locator("main")
            await shown.filter(has_text=re.compile(r"\S")).wait_for()
            said = await shown.inner_text()
            if all(text in said for text in texts):
                await self.picture(picture, tall=True)
                return said
            await asyncio.sleep(0.2)
        raise AssertionError(f"{[text for text in texts if text not in said]} not in {said}")

    async def shows(self, workflow_id: str, *texts: str, tab: str = "timeline", picture: str = "") -> None:
        """The journey's page, on which all the texts stand."""
        await self.page.goto(await self._address(workflow_id, tab))
        for text in texts:
            await expect(self.page.locator("main")).to_contain_text(text, timeout=_LONGEST)
        await self.picture(picture, tall=True)

    async def picture(self, name: str, *, tall: bool = False) -> None:
        """Keeps one, if pictures are kept."""
        if name and self._pictures:
            if tall:
                await self.page.set_viewport_size({"width": 1200, "height": 1500})
            await self.page.wait_for_timeout(400)  # what slides in has arrived
            await self.page.screenshot(path=self._pictures / f"{name}.png")
            await self.page.set_viewport_size(_SIZE)

    async def _paste(self, form: Locator, text: str) -> None:
        if text:
            editor = form.locator(".cm-content").first
            await editor.click()
            await self.page.keyboard.insert_text(text)
            # Leaving the editor reformats the text, which moves the buttons.
            await editor.evaluate("editor => editor.blur()")
            await self.page.wait_for_timeout(100)

    async def _address(self, workflow_id: str, tab: str = "timeline") -> str:
        run_id = await self._office.run_of(workflow_id)
        return f"{self._base}/{workflow_id}/{run_id}/{tab}"


PICTURES = Path(__file__).resolve().parents[3] / "docs" / "images" / "operating"


@pytest.fixture(scope="module")
async def ui(browser: Browser, office: Office) -> AsyncIterator[TemporalUi]:
    """`OPERATING_PICTURES=1` writes the pictures of docs/temporal-ui.md."""
    import os

    context = await browser.new_context(viewport=_SIZE, timezone_id="UTC")
    context.set_default_timeout(_LONGEST)
    async with context:
        yield TemporalUi(await context.new_page(), office, PICTURES if os.environ.get("OPERATING_PICTURES") else None)
