"""A hard token, from the email to Active."""

import asyncio
import re

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.activation.conftest import Site, typed_passcode, typed_serial
from tests.browser.conftest import press
from tests.stage import Play

pytestmark = pytest.mark.slow
WRONG = "could not be confirmed"


async def device_of(journey: Play) -> tuple[str, str]:
    """The serial number on its back, and a passcode off its display."""
    serial = (await journey.status())["serial_number"]
    return serial, journey.device(serial).press(at=await journey.now())


async def test_from_the_email_to_active(site: Site, page: Page) -> None:
    journey = await site.ready("hard")
    serial, passcode = await device_of(journey)
    await page.goto(site.link(journey))
    await expect(page.get_by_role("heading", level=1)).to_have_text("Activate your hard token")
    await expect(page.get_by_role("img", name="below it, marked, the serial number")).to_be_visible()
    assert "download" not in (await page.locator("main").inner_text()).lower()
    await typed_serial(page, f" {serial[:6]} {serial[6:].lower()} ")
    await expect(page.get_by_role("img", name="marked, the button")).to_be_visible()
    await typed_passcode(page, f"{passcode[:3]} {passcode[3:]}")
    await expect(page.get_by_text("may take up to 60 minutes")).to_be_visible()
    assert (await journey.status())["status"] == "Syncing"
    await journey.wait(minutes=10)
    # Without reloading: the page follows the journey.
    await expect(page.get_by_text("Your token is active.")).to_be_visible()
    assert (await journey.status())["status"] == "Active"
    await page.reload()
    await expect(page.get_by_text("Your token is active.")).to_be_visible()


async def test_what_is_malformed_is_told_at_its_field_and_nothing_typed_is_lost(site: Site, page: Page) -> None:
    journey = await site.ready("hard")
    serial, passcode = await device_of(journey)
    await page.goto(site.link(journey))
    field = page.get_by_role("textbox", name="Serial number")
    for typed, said in (("", "Enter the serial number"), ("<script>alert(1)</script>", "only letters, digits and")):
        await typed_serial(page, typed)
        await expect(field).to_have_attribute("aria-invalid", "true")
        await expect(field).to_have_accessible_description(re.compile(said))
        await expect(page.locator("#serial_number-wrong")).to_contain_text(said)
        await expect(field).to_have_value(typed)
        await expect(page.get_by_role("alert")).to_be_focused()
    await typed_serial(page, serial)
    for typed in ("", "12345", "abcdef", "1234567"):
        await typed_passcode(page, typed)
        await expect(page.locator("#passcode-wrong")).to_contain_text("has six digits")
        await expect(page.get_by_role("textbox", name="Passcode")).to_have_value("")
    await press(page, "Change the serial number")
    await expect(field).to_have_value(serial)
    await press(page, "Continue")
    await typed_passcode(page, passcode)
    await expect(page.get_by_text("Syncing with Surescripts.")).to_be_visible()
    assert not (await journey.status())["refused"]  # the journey never heard of what was malformed


async def test_a_wrong_serial_and_a_wrong_passcode_get_the_same_answer(site: Site, page: Page) -> None:
    journey = await site.ready("hard")
    serial, passcode = await device_of(journey)
    answers = []
    for typed, code in (("HT-NOTTHISONE", passcode), (serial, "000000")):
        await page.goto(site.link(journey))
        await typed_serial(page, typed)
        await typed_passcode(page, code)
        await expect(page.locator("#passcode-wrong")).to_contain_text(WRONG)
        answers.append((await page.locator("main").inner_text()).replace(typed, "…"))
        await expect(page.get_by_role("textbox", name="Passcode")).to_have_value("")
    assert answers[0] == answers[1]


async def test_throttled_then_locked_then_unlocked_by_the_team_s_new_link(site: Site, page: Page) -> None:
    journey = await site.ready("hard")
    serial, _ = await device_of(journey)
    link = site.link(journey)
    await page.goto(link)
    await typed_serial(page, serial)
    for _ in range(3):
        await typed_passcode(page, "000000")
        await expect(page.locator("#passcode-wrong")).to_contain_text(WRONG)
    await typed_passcode(page, "000000")
    await expect(page.locator("#passcode-wrong")).to_contain_text(re.compile(r"wait 1[0-5] seconds"))
    for failures in range(3, 9):
        await journey.wait(seconds=5 * failures + 1)
        await typed_passcode(page, "000000")
        await expect(page.locator("#passcode-wrong")).to_contain_text(WRONG)
    await journey.wait(seconds=46)
    await typed_passcode(page, "000000")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Activation is locked")
    await expect(page.get_by_text("Ask the team for a new activation link")).to_be_visible()
    await expect(page.get_by_role("button")).to_have_count(0)  # nobody unlocks it here
    await page.goto(link)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Activation is locked")
    await journey.wait(minutes=2)
    await journey.update("resend_activation", {"by": "Dana"})
    await journey.wait(seconds=5)
    await page.goto(site.link(journey, "vendor_activation_hard"))
    await typed_serial(page, serial)
    await typed_passcode(page, (await device_of(journey))[1])
    await expect(page.get_by_text("Syncing with Surescripts.")).to_be_visible()


async def test_two_tabs_at_once_with_the_same_passcode(site: Site, page: Page, browser: Browser) -> None:
    journey = await site.ready("hard")
    serial, passcode = await device_of(journey)
    other = await page.context.new_page()
    for tab in (page, other):
        await tab.goto(site.link(journey))
        await typed_serial(tab, serial)
        await tab.get_by_role("textbox", name="Passcode").fill(passcode)
    await asyncio.gather(*(tab.get_by_role("button", name="Activate my token").click() for tab in (page, other)))
    for tab in (page, other):
        await expect(tab.get_by_text("Syncing with Surescripts.")).to_be_visible()
    timeline = [line["what"] for line in (await journey.status())["timeline"]]
    assert timeline.count("enrolled by serial number and passcode") == 1


async def test_by_keyboard_only(site: Site, page: Page) -> None:
    journey = await site.ready("hard")
    serial, passcode = await device_of(journey)
    await page.goto(site.link(journey))

    async def until(role: str, name: str) -> None:
        for _ in range(12):
            await page.keyboard.press("Tab")
            if await page.get_by_role(role, name=name).evaluate("it => it === document.activeElement"):  # type: ignore[arg-type]
                return
        raise AssertionError(f"no way to {name} by keyboard")

    await until("link", "Skip to the content")
    await page.keyboard.press("Enter")
    await until("textbox", "Serial number")
    await page.keyboard.type("?")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")  # the problem leads to its field
    await expect(page.get_by_role("textbox", name="Serial number")).to_be_focused()
    await page.keyboard.press("Control+A")
    await page.keyboard.type(serial)
    await until("button", "Continue")
    await page.keyboard.press("Space")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Enter a passcode from your token")
    await until("textbox", "Passcode")
    await page.keyboard.type(passcode)
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Syncing with Surescripts.")).to_be_visible()


async def test_a_sync_that_is_late_is_said(site: Site, page: Page) -> None:
    journey = await site.ready("hard")
    site.stage.polls_until_synced(None)
    serial, passcode = await device_of(journey)
    await page.goto(site.link(journey))
    await typed_serial(page, serial)
    await typed_passcode(page, passcode)
    await expect(page.get_by_text("Syncing with Surescripts.")).to_be_visible()
    await journey.wait(minutes=61)
    await expect(page.get_by_text("This takes longer than usual.")).to_be_visible()
