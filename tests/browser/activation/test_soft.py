"""A soft token, from the email to Active."""

import re

import pytest
from playwright.async_api import Page, expect
from sqlalchemy import select

from database.tables import SoftEnrollment, TokenRow
from tests.browser.activation.conftest import Site
from tests.browser.conftest import press

pytestmark = pytest.mark.slow
SCRIPT = "<script>document.title='taken'</script>"


async def named(page: Page, link: str, name: str = "My phone") -> None:
    """On to the PIN."""
    await page.goto(link)
    await page.get_by_label("No, I never send prescriptions from it").check()
    await press(page, "Continue")
    await press(page, "Enroll my token")
    await page.get_by_label("Token name").fill(name)
    await press(page, "Activate")


async def chosen(page: Page, pin: str, again: str | None = None) -> None:
    await page.get_by_label("PIN", exact=True).fill(pin)
    await page.get_by_label("The same PIN again").fill(pin if again is None else again)
    await press(page, "Continue")


async def test_from_the_email_to_active(site: Site, page: Page) -> None:
    journey = await site.ready("soft")
    await page.goto(site.link(journey))
    await press(page, "Continue")
    await expect(page.locator("#device-wrong")).to_be_visible()
    await named(page, site.link(journey))
    for pin, again, said in (
        ("12a4", None, "four digits"),
        ("0000", None, "same"),
        ("1234", None, "run"),
        ("2580", "2581", "twice"),
    ):
        await chosen(page, pin, again)
        await expect(page.get_by_role("alert")).to_contain_text(said)
        assert pin not in await page.content()
    await chosen(page, "2580")
    await expect(page.get_by_role("img", name="QR code")).to_be_visible()
    secret = (await page.locator("code.secret").inner_text()).replace(" ", "")
    link = await page.get_by_role("link", name="Open in my app").get_attribute("href")
    assert link is not None
    assert link.startswith("otpauth://totp/")
    assert secret in link
    assert (await journey.status())["status"] == "Processed"  # not before the app has it
    await press(page, "It is in my app: finish")
    await expect(page.get_by_text("Syncing with Surescripts.")).to_be_visible()
    assert secret not in await page.content()
    await journey.wait(minutes=10)
    await expect(page.get_by_text("Your token is active.")).to_be_visible()
    assert (await journey.status())["status"] == "Active"


async def test_not_on_the_device_that_prescribes(site: Site, page: Page) -> None:
    journey = await site.ready("soft")
    link = site.link(journey)
    await page.goto(link)
    await page.get_by_label("Yes, I prescribe with it").check()
    await press(page, "Continue")
    await expect(page.get_by_text("a soft token may not be on the same one")).to_be_visible()
    await press(page, "Change my answer")
    await page.context.add_cookies([{"name": "tokens_device", "value": "a" * 64, "url": site.url}])
    await page.get_by_label("No, I never send prescriptions from it").check()
    await press(page, "Continue")
    await expect(page.get_by_text("This device is used to send prescriptions")).to_be_visible()
    await page.goto(link)
    await expect(page.get_by_text("This device is used to send prescriptions")).to_be_visible()
    await page.context.clear_cookies()
    await page.goto(link)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Set up your soft token")  # nothing was used up


async def test_script_in_a_name_stays_a_name(site: Site, page: Page) -> None:
    journey = await site.ready("soft")
    await named(page, site.link(journey), SCRIPT)
    await expect(page.locator("main")).to_contain_text(SCRIPT)
    await chosen(page, "2580")
    await expect(page.locator("main")).to_contain_text(SCRIPT)
    assert "taken" not in await page.title()
    await press(page, "It is in my app: finish")
    await expect(page.get_by_text("Syncing with Surescripts.")).to_be_visible()


async def test_two_tabs_and_only_one_code_works(site: Site, page: Page) -> None:
    journey = await site.ready("soft")
    other = await page.context.new_page()
    for tab in (page, other):
        await named(tab, site.link(journey))
        await chosen(tab, "2580")
    await press(page, "It is in my app: finish")
    await expect(page.get_by_role("alert")).to_contain_text("a later setup has taken its place")
    await press(other, "It is in my app: finish")
    await expect(other.get_by_text("Syncing with Surescripts.")).to_be_visible()
    with site.stage.sessions() as session:
        rows = session.scalars(select(SoftEnrollment).where(SoftEnrollment.journey_id == journey.id)).all()
        assert [row.used_at is not None for row in rows] == [True]
        assert session.scalars(select(TokenRow).where(TokenRow.journey_id == journey.id)).one()


async def test_its_pages_never_ask_for_a_serial_number(site: Site, page: Page) -> None:
    journey = await site.ready("soft")
    await page.goto(site.link(journey))
    await expect(page.get_by_role("complementary")).to_contain_text(re.compile("hard token, look for another email"))
    assert "serial" not in (await page.locator("main").inner_text()).lower()
    await page.goto(f"{site.link(journey)}?step=pin")  # steps can't be jumped over
    await expect(page.get_by_text("Step 1 of 5")).to_be_visible()
