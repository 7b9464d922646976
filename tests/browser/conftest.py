"""Headless Chromium, one for the session, and a fresh context for each test."""

import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.async_api import Browser, Error, Locator, Page, async_playwright, expect

_PATIENCE = 20
"""Seconds in which a page comes to what is awaited of it."""
CHROMIUM = Path(os.environ.get("TOKENS_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium")


async def press(page: Page, what: str | re.Pattern[str] | Locator) -> None:
    """A button or link (of that name) which leads to a page; done when that page is there, as what comes next would else
    now and then be done to the page before."""
    if not isinstance(what, Locator):
        exact = isinstance(what, str)
        what = page.get_by_role("button", name=what, exact=exact).or_(page.get_by_role("link", name=what, exact=exact))
    async with page.expect_navigation():
        await what.first.click()


async def leave_mail(page: Page, link: str) -> None:
    """From an email in the mailbox by this link of its own."""
    way_out = page.frame_locator("iframe").get_by_role("link", name=link, exact=True)
    await way_out.scroll_into_view_if_needed()
    while "/mailbox/" in page.url:
        # On a busy machine a frame moves under the pointer; a person clicks again, too.
        await way_out.click()
        with suppress(Error):
            await page.wait_for_url(lambda url: "/mailbox/" not in url, timeout=20_000)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all tests. Where it is missing they fail, and say so."""
    if not CHROMIUM.exists():  # noqa: ASYNC240  # once, and quick
        pytest.fail(
            f"{CHROMIUM} is missing, and the pages are tested in it; install Debian's package chromium.", pytrace=False
        )
    expect.set_options(timeout=_PATIENCE * 1000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(CHROMIUM),
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        async with browser:
            yield browser


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page in a context of its own: no cookies, nothing cached. What its scripts throw fails the test."""
    context = await browser.new_context()
    context.set_default_timeout(_PATIENCE * 1000)
    page = await context.new_page()
    thrown: list[str] = []
    page.on("pageerror", lambda fault: thrown.append(str(fault)))
    page.on("console", lambda line: thrown.append(line.text) if "Content Security Policy" in line.text else None)
    yield page
    await context.close()
    assert not thrown, thrown
