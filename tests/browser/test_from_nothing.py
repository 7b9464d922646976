"""A person who knows nothing of it gets a hard and a soft token to Active from `tokens up`, with the browser alone: only by clicking and
typing, in the prescriber's pages, the mailbox, the Temporal UI and the desk."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.browser.activation.conftest import typed_passcode, typed_serial
from tests.browser.conftest import leave_mail, press
from tests.browser.test_manage_tokens import picture

pytestmark = pytest.mark.slow

_PATIENCE = 120
_PRESCRIBER, _TEAM = "miriam.aldous@lakeside.example", "token-team@rxnt.example"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[dict[str, Any]]:
    """`tokens up` as a process of its own, on free ports and a state of its own; what it says when it is ready."""
    ports = {f"TOKENS_{name}_PORT": "0" for name in ("TEMPORAL", "UI", "GATEWAY", "SMTP")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TOKENS_", "TEMPORAL_"))}
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("tokens")),
        *("up", "--json"),
        env=kept | ports | {"TOKENS_STATE": str(tmp_path / "state")},
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield json.loads(await asyncio.wait_for(process.stdout.readline(), _PATIENCE))
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), _PATIENCE) == 0


class Person:
    """Who sits at the browser, with the demonstration in one tab and the desk in another."""

    def __init__(self, page: Page, aside: Page, info: dict[str, Any]) -> None:
        self.page, self.aside, self._desk = page, aside, info["desk"]

    async def requests_both(self) -> None:
        """As the prescriber, from the desk on."""
        page = self.page
        await page.goto(self._desk)
        await press(page, page.get_by_role("main").get_by_role("link", name="sign in as"))
        await page.get_by_label("Prescriber", exact=True).select_option("P-1001")
        await press(page, "Sign in")
        await press(page, "Request Token")
        await page.get_by_label("Hard token").check()
        await page.get_by_label("Soft token").check()
        for button in ("Continue", "Continue", "Request Token"):
            await press(page, button)
        await expect(page.locator(".status")).to_have_text(["Requested", "Requested"])

    async def reads(self, whose: str, subject: str, link: str) -> None:
        """From the desk into a mailbox, to an email, and by its link out of it."""
        page = self.page
        await page.bring_to_front()
        await page.goto(self._desk)
        await press(page, page.get_by_role("navigation").get_by_role("link", name="Mailbox"))
        await press(page, page.get_by_role("link", name=f"{whose} ("))
        # It may still be on its way: the list stays true by itself.
        await page.get_by_role("main").get_by_role("link", name=subject).first.click()
        await page.wait_for_url(re.compile(r"/mailbox/\d+$"))
        await leave_mail(page, link)

    async def processes(self, kind: str) -> None:
        """As the team: from its email into the Temporal UI, where the update is sent."""
        page = self.page
        await self.reads(_TEAM, f"{kind} token request", "Open the journey")
        await page.get_by_role("button", name="More Actions").filter(visible=True).click()
        await page.get_by_text("Send an Update").filter(visible=True).first.click()
        dialog = page.get_by_role("dialog", name="Send an Update")
        await dialog.get_by_role("button", name="Select an Update").click()
        await page.get_by_role("option", name=re.compile("^process")).click()
        data = dialog.get_by_role("textbox").last
        await data.fill('{"operator": "Dana"}')
        # Leaving the editor reformats the text and moves the buttons: before the click, not by it.
        await data.blur()
        await expect(data).to_contain_text("Dana")
        await dialog.get_by_role("button", name="Submit").click()
        await expect(dialog).to_be_hidden()

    async def opens(self, kind: str) -> None:
        """A token on the desk, in the other tab."""
        await self.aside.bring_to_front()
        await self.aside.goto(self._desk)
        await press(self.aside, self.aside.get_by_role("link", name=f"{kind} token of Miriam Aldous"))

    async def sees(self, status: str | re.Pattern[str]) -> None:
        """The token on the desk comes to this by itself."""
        await self.aside.bring_to_front()
        await expect(self.aside.locator(".status")).to_have_text(status)

    async def presses_the_button(self) -> tuple[str, str]:
        """What stands on the back of the device and then on its display."""
        await self.aside.bring_to_front()
        await press(self.aside, re.compile("Press the button"))
        digits = self.aside.locator("#display code")
        await expect(digits).to_have_text(re.compile(r"^\d{6}$"))
        return (await self.aside.locator("#serial").inner_text()), (await digits.inner_text())


async def test_a_hard_and_a_soft_token_to_active_by_clicking_and_typing(page: Page, running: dict[str, Any]) -> None:
    aside = await page.context.new_page()
    for tab in (page, aside):
        tab.set_default_timeout(_PATIENCE * 1000)
    expect.set_options(timeout=_PATIENCE * 1000)
    person = Person(page, aside, running)
    await person.requests_both()
    for kind in ("soft", "hard"):
        await person.opens(kind.capitalize())
        await person.processes(kind)
        await person.sees(re.compile("Processed|Shipped"))  # a hard one is shipped at once, at the right time of day

    # The device: shipped at once, or after the cut-off or a weekend on the next day; then the carrier brings it.
    for _ in range(5):
        if await aside.locator(".status").inner_text() == "Shipped":
            break
        await press(aside, "A day ahead")
    await press(aside, "Have it delivered")
    await person.sees("Delivered")
    await looks(aside, "desk-token")
    serial, _ = await person.presses_the_button()
    await person.reads(_PRESCRIBER, "Keep this email to activate your hard token", "Activate my hard token")
    await typed_serial(page, serial)
    _, passcode = await person.presses_the_button()
    await looks(aside, "desk-device")
    await page.bring_to_front()
    await typed_passcode(page, passcode)
    await expect(page.get_by_text("Syncing with Surescripts.")).to_be_visible()
    await person.opens("Hard")
    await press(aside, "Ten minutes ahead")
    await person.sees("Active")
    await expect(page.get_by_text("Your token is active.")).to_be_visible()  # by itself

    await person.reads(_PRESCRIBER, "Set up your soft token", "Download my soft token")
    await page.get_by_label("No, I never send prescriptions from it").check()
    await press(page, "Continue")
    await press(page, "Enroll my token")
    await page.get_by_label("Token name").fill("My phone")
    await press(page, "Activate")
    await page.get_by_label("PIN", exact=True).fill("2580")
    await page.get_by_label("The same PIN again").fill("2580")
    await press(page, "Continue")
    await press(page, "It is in my app: finish")
    await expect(page.get_by_text("Syncing with Surescripts.")).to_be_visible()
    await person.opens("Soft")
    await press(aside, "Ten minutes ahead")
    await person.sees("Active")
    await aside.goto(running["desk"])
    await looks(aside, "desk")

    await page.goto(running["gateway"] + "/manage-tokens")
    await expect(page.locator(".status")).to_have_text(["Active", "Active"])


async def looks(page: Page, name: str) -> None:
    """Accessible, and not wider than a phone; its picture where pictures are made."""
    found = await Axe().run(page)
    assert not found.response["violations"], found.generate_report()
    await page.set_viewport_size({"width": 375, "height": 740})
    assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth"), f"{name} is too wide"
    await page.set_viewport_size({"width": 1000, "height": 800})
    await picture(page, name)
