"""Every Manage Tokens screen of the article, in a real browser. `PAGE_PICTURES=1` writes the pictures of docs/pages.md."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from fastapi import FastAPI
from playwright.async_api import Browser, Page, expect
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import HTMLResponse

from simulators.serving import Serving
from tests.browser.conftest import press
from tests.site import PRESCRIBER, Ehr, Site
from tests.stage import Play, Stage

pytestmark = pytest.mark.slow

Look = Literal["light", "dark"]
PICTURES = Path(__file__).resolve().parents[2] / "docs" / "images" / "pages"


@pytest.fixture
async def site(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setenv("TEMPORAL_ADDRESS", stage.client.service_client.config.target_host)
    async with Site(stage) as site:
        yield site


async def sign_on(page: Page, site: Site, prescriber_id: str = PRESCRIBER) -> None:
    """With a session, at the list."""
    await page.request.post(f"{site.url}/launch", form={"token": site.ehr.token(prescriber_id)}, max_redirects=0)
    await page.goto(f"{site.url}/manage-tokens")


async def picture(page: Page, name: str) -> None:
    if os.environ.get("PAGE_PICTURES"):
        await page.set_viewport_size({"width": 820, "height": 600})
        await page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


async def only_journey(site: Site) -> Play:
    [journey_id] = site.journeys()
    return site.play(journey_id)


# Requesting, editing, cancelling


async def test_request_a_hard_token(page: Page, site: Site) -> None:
    await sign_on(page, site)
    await expect(page.get_by_text("You haven't requested a token yet.")).to_be_visible()
    await picture(page, "list-empty")
    await press(page, "Request Token")
    await expect(page.get_by_text("must be installed on a separate device")).to_be_visible()
    await page.get_by_label("Hard token").check()
    await picture(page, "request")
    await press(page, "Continue")
    await expect(page.get_by_label("Email")).to_have_value("miriam.aldous@lakeside.example")
    await expect(page.get_by_label("City")).to_have_value("Burlington")
    await picture(page, "request-hard-contact")
    await page.get_by_label("ZIP code").fill("21409")
    await press(page, "Continue")
    await expect(page.get_by_role("alert")).to_be_focused()
    await picture(page, "request-hard-wrong")
    await page.get_by_role("alert").get_by_role("link").click()
    await expect(page.get_by_label("ZIP code")).to_be_focused()
    await page.get_by_label("ZIP code").fill("05401")
    await page.get_by_label("Street and number").fill("9 Sample Wharf")
    await press(page, "Continue")
    await expect(page.get_by_text("9 Sample Wharf")).to_be_visible()
    await picture(page, "request-hard-review")
    await press(page, "Back")
    await expect(page.get_by_label("Street and number")).to_have_value("9 Sample Wharf")
    await press(page, "Continue")
    await press(page, "Request Token")
    await expect(page.get_by_text("Your request is in our processing queue")).to_be_visible()
    await expect(page.locator(".status")).to_have_text("Requested")
    await picture(page, "list-requested")
    play = await only_journey(site)
    assert (await play.status())["kind"] == "hard"
    letters = await asyncio.wait_for(_letters(play, "request_received"), 10)
    assert "9 Sample Wharf" in str(letters[-1].get_body(("plain",)))


async def _letters(play: Play, name: str, least: int = 1) -> list[Any]:
    """As soon as there are so many."""
    while True:
        found = [letter for letter in play.emails() if letter["X-Token-Letter"] == name]
        if len(found) >= least:
            return found
        await asyncio.sleep(0.05)


async def test_request_a_soft_token_edit_it_and_cancel_it(page: Page, site: Site) -> None:
    await sign_on(page, site)
    await press(page, "Request Token")
    await page.get_by_label("Soft token").check()
    await press(page, "Continue")
    await expect(page.get_by_label("City")).to_have_count(0)
    await picture(page, "request-soft-contact")
    await press(page, "Continue")
    await expect(page.get_by_text("The token download link will be sent to your email address.")).to_be_visible()
    await picture(page, "request-soft-review")
    await press(page, "Request Token")
    await press(page, page.locator("#edit-soft"))
    await page.get_by_label("Email").fill("other@lakeside.example")
    await picture(page, "edit")
    await press(page, "Save")
    await expect(page.get_by_text("Your request is changed.")).to_be_visible()
    await expect(page.get_by_text("other@lakeside.example")).to_be_visible()
    play = await only_journey(site)
    await play.update("process", {"operator": "Dana"})
    await page.reload()
    await expect(page.locator("#edit")).to_have_count(0)
    await picture(page, "processed")
    await press(page, page.locator("#resend"))
    await expect(page.get_by_text("A new activation email is on its way to you.")).to_be_visible()
    await press(page, page.locator("#cancel"))
    await picture(page, "cancel")
    await press(page, "Cancel the request")
    await expect(page.locator(".status")).to_have_text("Cancelled")
    await expect(page.locator("#again")).to_be_visible()
    assert (await play.status())["status"] == "Cancelled"


async def test_request_both(page: Page, site: Site) -> None:
    await sign_on(page, site)
    await press(page, "Request Token")
    await page.get_by_label("Hard token").check()
    await page.get_by_label("Soft token").check()
    for button in ("Continue", "Continue", "Request Token"):
        await press(page, button)
    await expect(page.locator(".status")).to_have_text(["Requested", "Requested"])
    await picture(page, "list-both")
    assert len(site.journeys()) == 2


# Ending


async def test_replace_a_hard_token(page: Page, site: Site, stage: Stage) -> None:
    token = await stage.request("hard")
    await token.reach("Active")
    await sign_on(page, site)
    await picture(page, "list-active")
    await press(page, page.locator("#replace-hard"))
    await page.get_by_label("Faulty Token").check()
    await picture(page, "replace-hard-reason")
    await press(page, "Continue")
    await expect(page.get_by_text("1449 Whitehall Road")).to_be_visible()
    await picture(page, "replace-hard-confirm")
    await press(page, "Continue")
    await expect(page.get_by_role("alert")).to_contain_text("2 things need to be corrected.")
    await page.get_by_label("Yes, I have it").check()
    await page.get_by_label("Deactivate this token").check()
    await press(page, "Continue")
    await expect(page.get_by_label("City")).to_have_value("Burlington")
    await picture(page, "replace-hard-contact")
    await press(page, "Continue")
    await picture(page, "replace-hard-review")
    assert (await token.status())["status"] == "Active"
    await press(page, "Request Token")
    await expect(page.get_by_text("The old token is deactivated, and your request for the new one")).to_be_visible()
    await expect(page.locator("section .status").first).to_have_text("Requested")
    await picture(page, "replaced")
    old = await token.status()
    assert old["status"] == "Deactivated"
    assert stage.rows("select requested_by, status from journeys where live") == [(PRESCRIBER, "Requested")]
    await stage.peer(f"return-{token.id}")  # asked back by mail


async def test_replace_a_soft_token(page: Page, site: Site, stage: Stage) -> None:
    token = await stage.request("soft")
    await token.reach("Active")
    await sign_on(page, site)
    await press(page, page.locator("#replace-soft"))
    await page.get_by_label("Uninstalled").check()
    await page.get_by_label("Deactivate this token").check()
    await picture(page, "replace-soft-confirm")
    await press(page, "Continue")
    await page.get_by_label("Email").fill("new@lakeside.example")
    await picture(page, "replace-soft-contact")
    await press(page, "Continue")
    await picture(page, "replace-soft-review")
    await press(page, "Request Token")
    await expect(page.locator("section .status").first).to_have_text("Requested")
    assert stage.rows("select email from journeys where live") == [("new@lakeside.example",)]


async def test_deactivate_a_hard_and_a_soft_token(page: Page, site: Site, stage: Stage) -> None:
    hard, soft = await stage.request("hard"), await stage.request("soft")
    await hard.reach("Active")
    await soft.reach("Active")
    await sign_on(page, site)
    await press(page, page.locator("#deactivate-hard"))
    await page.get_by_label("Lost Token").check()
    await picture(page, "deactivate-hard-reason")
    await press(page, "Deactivate")
    await expect(page.get_by_text("1449 Whitehall Road")).to_be_visible()
    await page.get_by_label("Deactivate this token").check()
    await picture(page, "deactivate-hard-confirm")
    await press(page, "Deactivate")
    await expect(page.locator(".status")).to_have_text("Deactivated")
    await expect(page.get_by_text("It is no longer active")).to_be_visible()
    await picture(page, "deactivated-hard")
    await press(page, "Manage Tokens")
    await press(page, page.locator("#deactivate-soft"))
    await page.get_by_label("Deactivate this token").check()
    await picture(page, "deactivate-soft-confirm")
    await press(page, "Deactivate")
    await expect(page.locator(".status")).to_have_text("Deactivated")
    await picture(page, "deactivated-soft")
    assert [(await play.status())["status"] for play in (hard, soft)] == ["Deactivated", "Deactivated"]


async def test_select_your_token(page: Page, site: Site, stage: Stage) -> None:
    hard, soft = await stage.request("hard"), await stage.request("soft")
    await hard.reach("Delivered")
    await soft.process()
    await sign_on(page, site)
    await press(page, "Select your token")
    await page.get_by_label("Hard token").check()
    await press(page, "Continue")
    await expect(page.get_by_role("heading", name="Activate your hard token")).to_be_visible()
    await expect(page.get_by_text("below the bar code")).to_be_visible()
    await picture(page, "select")
    await press(page, "Send a new activation email for the hard token")
    await expect(page.get_by_text("A new activation email is on its way to you.")).to_be_visible()
    assert len(await asyncio.wait_for(_letters(hard, "vendor_activation_hard", 2), 10)) == 2


# Two at once, live, by keyboard, from the EHR


async def test_two_tabs_and_a_live_page(page: Page, site: Site, stage: Stage) -> None:
    token = await stage.request("hard")
    await sign_on(page, site)
    other = await page.context.new_page()
    await other.goto(f"{site.url}/manage-tokens/token/{token.id}/edit")
    await token.process()
    await expect(page.locator(".status")).to_have_text("Shipped")  # without reloading
    await expect(page.locator("[data-news]")).to_have_text("Hard token: Shipped")
    await other.get_by_label("City").fill("South Burlington")
    await press(other, "Save")
    await expect(other.get_by_role("alert")).to_contain_text(
        "The request can't be edited: it has been shipped and is on its way (status Shipped)"
    )
    await expect(other.get_by_label("City")).to_have_value("South Burlington")
    await page.context.clear_cookies()
    await expect(page.locator("[data-news]")).to_contain_text("Your session has ended")


async def test_keyboard_only(page: Page, site: Site) -> None:
    await sign_on(page, site)

    async def tab_to(name: str) -> None:
        for _ in range(30):
            await page.keyboard.press("Tab")
            if name in await page.evaluate("(document.activeElement.labels?.[0] ?? document.activeElement).innerText"):
                return
        raise AssertionError(f"{name} can't be reached")

    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.innerText") == "Skip to the content"
    await page.keyboard.press("Enter")
    await tab_to("Request Token")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Request Token")).to_be_visible()
    await tab_to("Soft token")
    await page.keyboard.press("Space")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Request a soft token")).to_be_visible()
    await tab_to("Email")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Review your request")).to_be_visible()
    await tab_to("Request Token")
    await page.keyboard.press("Enter")
    await expect(page.locator(".status")).to_have_text("Requested")


async def test_the_ehr_hands_over_from_another_site(page: Page, site: Site) -> None:
    ehr = FastAPI()

    @ehr.get("/")
    async def launch(_request: Request) -> HTMLResponse:
        form = f'<form method="post" action="{site.url}/launch"><input name="token" value="{site.ehr.token()}"><button>Go</button></form>'
        return HTMLResponse(form)

    async with Serving(ehr) as serving:
        await page.goto(serving.url.replace("127.0.0.1", "localhost"))
        await press(page, "Go")
        await expect(page.get_by_role("heading", name="Manage Tokens")).to_be_visible()
        await expect(page.get_by_text("Miriam Aldous")).to_be_visible()
        await press(page, "Sign out")
        await expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()


async def test_sign_in_as_in_the_embedded_stack(page: Page, stage: Stage) -> None:
    ehr = Ehr()
    settings = {"demo_ehr_key": SecretStr(ehr.private), "ehr_public_keys": {"demo": ehr.public}}
    async with Site(stage, **settings) as site:
        await page.goto(f"{site.url}/manage-tokens?request=soft")
        await press(page, "Sign in as a sample prescriber")
        found = await Axe().run(page)
        assert found.response["violations"] == []
        await page.get_by_label("Prescriber", exact=True).select_option("P-1007")
        await press(page, "Sign in")
        await expect(page.get_by_role("heading", name="Request Token")).to_be_visible()  # where the way led
        await expect(page.get_by_label("Soft token")).to_be_checked()
        await expect(page.get_by_text("Lucía Núñez Arroyal")).to_be_visible()
        await page.goto(f"{site.url}/demo")
        await page.get_by_label("Prescriber", exact=True).select_option("P-1025")
        await press(page, "Sign in")
        await expect(page.get_by_role("heading", name="Complete ID proofing first")).to_be_visible()


# For everybody


async def test_axe_finds_nothing(browser: Browser, site: Site, stage: Stage) -> None:
    await (await stage.request("soft")).reach("Active")
    waiting = await stage.request("hard")
    await waiting.process()
    ended = await stage.request("soft", "P-1003")
    await ended.reach("Cancelled")
    context = await browser.new_context()
    page = await context.new_page()
    soft, hard = (
        f"/manage-tokens/token/{journey_id}" for journey_id in sorted(site.journeys(), key=lambda i: i == waiting.id)
    )

    async def look(where: str) -> None:
        # The stages lie differently on a phone; the rest is the same in both widths.
        looks: tuple[tuple[Look, int], ...] = (("light", 1200), ("dark", 390))
        if where in ("", hard):
            looks = (*looks, ("light", 390), ("dark", 1200))
        for scheme, width in looks:
            await page.emulate_media(color_scheme=scheme)
            await page.set_viewport_size({"width": width, "height": 800})
            found = await Axe().run(page)
            said = [f"{one['id']}: {one['nodes'][0]['html']}" for one in found.response["violations"]]
            assert said == [], f"{where}, {scheme}, {width}"
            wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide == 0, f"{where} can be scrolled sideways at {width}"

    await page.goto(f"{site.url}/manage-tokens")
    await look("signed off")
    await sign_on(page, site)
    for path in ("", "/request", "/select"):
        await page.goto(f"{site.url}/manage-tokens{path}")
        await look(path)
    for path in (hard, f"{hard}/cancel", soft, f"{soft}/deactivate", f"{soft}/replace", f"{soft}/edit"):
        await page.goto(site.url + path)
        await look(path)
    await sign_on(page, site, "P-1003")
    await look("ended")
    await press(page, "Request Token")
    await press(page, "Continue")
    await look("nothing chosen")
    await page.get_by_label("Hard token").check()
    await press(page, "Continue")
    await page.get_by_label("Email").fill("")
    await press(page, "Continue")
    await look("wrong")
    await page.get_by_label("Email").fill("a@b.example")
    await press(page, "Continue")
    await look("review")
    await context.close()
