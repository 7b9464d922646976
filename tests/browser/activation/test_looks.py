"""Every page: axe-core finds nothing, in light and dark, at a desk and on a phone."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page
from sqlalchemy import update

from database.tables import ActivationLink, TokenRow
from tests.browser.activation.conftest import Site
from tests.browser.activation.test_soft import chosen, named
from tests.browser.conftest import press
from tests.stage import EVENING, Play

pytestmark = pytest.mark.slow
DESK, PHONE = {"width": 1000, "height": 800}, {"width": 375, "height": 740}


class Looks:
    """Looks at a page in every guise; into `folder` go its pictures, where one is given."""

    def __init__(self, page: Page, folder: Path | None = None) -> None:
        self._page, self._folder, self._axe = page, folder, Axe()

    async def at(self, name: str) -> None:
        for scheme in ("light", "dark"):
            await self._page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            for width, size in (("desk", DESK), ("phone", PHONE)):
                await self._page.set_viewport_size(size)  # type: ignore[arg-type]
                found = await self._axe.run(self._page)
                assert not found.response["violations"], f"{name}, {scheme}, {width}: {found.generate_report()}"
                wide = await self._page.evaluate("document.documentElement.scrollWidth > innerWidth")
                assert not wide, f"{name} is wider than the {width}"
                if self._folder:
                    await self._page.screenshot(path=self._folder / f"{name}-{scheme}-{width}.png", full_page=True)
        await self._page.set_viewport_size(DESK)  # type: ignore[arg-type]


async def tour(site: Site, page: Page, folder: Path | None = None) -> None:
    """Through every page of both kinds."""
    looks = Looks(page, folder)
    hard = await site.stage.request("hard")
    await hard.process()
    await hard.wait(days=1)
    link = site.link(hard)
    serial = (await hard.status())["serial_number"]
    await page.goto(link)
    await looks.at("hard-serial")
    await press(page, "Continue")
    await looks.at("hard-serial-wrong")
    await page.get_by_role("textbox", name="Serial number").fill(serial)
    await press(page, "Continue")
    await looks.at("hard-passcode")
    await page.get_by_role("textbox", name="Passcode").fill("000000")
    await press(page, "Activate my token")
    await looks.at("hard-passcode-wrong")

    soft = await site.ready("soft")
    await page.goto(site.link(soft))
    await looks.at("soft-device")
    await page.get_by_label("Yes, I prescribe with it").check()
    await press(page, "Continue")
    await looks.at("soft-same-device")
    await press(page, "Change my answer")
    await page.get_by_label("No, I never send prescriptions from it").check()
    await press(page, "Continue")
    await looks.at("soft-download")
    await press(page, "Enroll my token")
    await looks.at("soft-name")
    await named(page, site.link(soft))
    await looks.at("soft-pin")
    await chosen(page, "1234", "12")
    await looks.at("soft-pin-wrong")
    await chosen(page, "2580")
    await looks.at("soft-app")
    await press(page, "It is in my app: finish")
    await page.get_by_text("Syncing with Surescripts.").wait_for()
    await looks.at("syncing")
    await soft.wait(minutes=10)
    await page.reload()
    await looks.at("active")

    await hard.update("resend_activation", {"by": "Dana"})
    await hard.wait(seconds=5)
    await page.goto(link)
    await looks.at("superseded")
    await press(page, "Send me a new link")
    await looks.at("sent")
    await standings(site, page, looks, hard)
    await page.goto(f"{site.url}/activate/{'x' * 32}")
    await looks.at("unknown")
    await page.goto(f"{site.url}/mailbox")
    await looks.at("mailbox")
    await press(page, "Set up your soft token")
    await looks.at("mailbox-message")


async def standings(site: Site, page: Page, looks: Looks, hard: Play) -> None:
    """Links with which nothing can be enrolled; those whose state takes weeks or ten wrong passcodes are put into it."""
    await hard.wait(seconds=5)
    link = site.link(hard)
    with site.stage.sessions.begin() as session:
        session.execute(update(TokenRow).where(TokenRow.journey_id == hard.id).values(locked=True))
    await page.goto(link)
    await looks.at("locked")
    with site.stage.sessions.begin() as session:
        session.execute(update(TokenRow).where(TokenRow.journey_id == hard.id).values(locked=False))
        past = datetime.now(UTC) - timedelta(minutes=1)
        session.execute(update(ActivationLink).where(ActivationLink.journey_id == hard.id).values(valid_until=past))
    await page.goto(link)
    await looks.at("expired")
    evening = await site.stage.request("hard", "P-1003", at=EVENING)
    await evening.process()
    await page.goto(site.link(evening))
    await looks.at("early")
    await page.goto(f"{site.url}/v1/docs")
    await looks.at("api-docs")


async def test_every_page_is_accessible_in_every_guise(site: Site, browser: Browser) -> None:
    """`ACTIVATION_PICTURES=FOLDER` keeps what was looked at; docs/activation.md shows some of it."""
    context = await browser.new_context()
    try:
        pictures = os.environ.get("ACTIVATION_PICTURES")
        await tour(site, await context.new_page(), Path(pictures) if pictures else None)
    finally:
        await context.close()
