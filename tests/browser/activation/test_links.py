"""Links that enrol nothing any more: what is said, and the new one."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect
from sqlalchemy import update

from database.tables import ActivationLink
from starter.gateway.activation import resend
from tests.browser.activation.conftest import Site, typed_passcode, typed_serial
from tests.browser.conftest import leave_mail, press

pytestmark = pytest.mark.slow


async def test_expired_on_the_journey_s_clock_and_a_new_one(
    site: Site, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resend, "_ONE_EACH", 10**10)  # else ten minutes could end in the midst of it
    journey = await site.ready("hard")
    old = site.link(journey)
    await journey.wait(days=14, hours=1)
    serial = (await journey.status())["serial_number"]
    await page.goto(old)
    await typed_serial(page, serial)
    await typed_passcode(page, journey.device(serial).press(at=await journey.now()))
    await expect(page.get_by_role("heading", level=1)).to_have_text("This activation link has expired")
    await press(page, "Send me a new link")
    await expect(page.get_by_role("heading", level=1)).to_have_text("A new link is on its way")
    await journey.wait(seconds=5)
    await page.goto(old)
    await expect(page.get_by_role("heading", level=1)).to_have_text("A newer activation link has been sent")
    before = journey.letters().count("vendor_activation_hard")
    await press(page, "Send me a new link")  # once per link and time: nobody's mailbox is flooded
    await expect(page.get_by_role("heading", level=1)).to_have_text("A new link is on its way")
    await journey.wait(seconds=5)
    assert journey.letters().count("vendor_activation_hard") == before
    await page.goto(site.link(journey, "vendor_activation_hard"))
    await typed_serial(page, serial)
    await typed_passcode(page, journey.device(serial).press(at=await journey.now()))
    await expect(page.get_by_text("Syncing with Surescripts.")).to_be_visible()
    await page.goto(old)
    await expect(page.get_by_text("Syncing with Surescripts.")).to_be_visible()


async def test_expired_on_our_clock_too(site: Site, page: Page) -> None:
    journey = await site.ready("soft")
    with site.stage.sessions.begin() as session:
        past = datetime.now(UTC) - timedelta(minutes=1)
        session.execute(update(ActivationLink).where(ActivationLink.journey_id == journey.id).values(valid_until=past))
    await page.goto(site.link(journey))
    await expect(page.get_by_role("heading", level=1)).to_have_text("This activation link has expired")


async def test_withdrawn_with_its_request(site: Site, page: Page) -> None:
    journey = await site.ready("hard")
    await journey.update("cancel", {"by": "Dana"})
    await journey.wait(seconds=5)
    await page.goto(site.link(journey))
    await expect(page.get_by_role("heading", level=1)).to_have_text("This request has ended")
    await expect(page.get_by_role("link", name="Request a new token")).to_be_visible()
    await expect(page.get_by_role("button")).to_have_count(0)


async def test_a_mailbox_whose_links_lead_to_the_page(site: Site, page: Page) -> None:
    journey = await site.ready("soft")
    await page.goto(f"{site.url}/mailbox")
    await press(page, re.compile("^miriam.aldous@"))
    await press(page, "Set up your soft token")
    await leave_mail(page, "Download my soft token")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Set up your soft token")
    assert page.url == site.link(journey)
