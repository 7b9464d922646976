"""The team's page in a real browser. `PAGE_PICTURES=1` writes the picture of docs/operating.md."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from starter.api_keys import Scope
from tests.browser.conftest import press
from tests.gateway.api import serving
from tests.reported import a_month, the_week
from tests.stage import Stage

pytestmark = pytest.mark.slow
PICTURES = Path(__file__).resolve().parents[2] / "docs" / "images" / "operating"
CHARTS = ("requests", "times", "promises", "stock", "open")


async def test_how_the_work_goes(page: Page, stage: Stage, tmp_path: Path) -> None:
    folder = PICTURES if os.environ.get("PAGE_PICTURES") else tmp_path
    with stage.sessions.begin() as session:
        a_month(session, datetime.now(UTC))
    async with serving(stage) as upstream:
        url, key = upstream.url, upstream.system(Scope.OPERATE).key
        page.set_default_navigation_timeout(60_000)  # the first chart of a process loads what draws it
        await page.goto(f"{url}/ops")
        assert (await page.request.get(f"{url}/ops/charts/stock.svg", max_redirects=0)).status == 303
        await page.get_by_label("Your key").fill(key or "")
        await press(page, "Sign in")
        await expect(page.get_by_role("heading", name="How the work goes")).to_be_visible()

        # What a chart shows stands in a table, too; both come from the same look at the database.
        requested = stage.rows("select count(*) from journeys")[0][0]
        await expect(page.get_by_role("listitem").filter(has_text="requested")).to_contain_text(str(requested))
        await expect(page.get_by_role("row", name="K-2026-01 low")).to_contain_text("38")
        addresses = [await image.get_attribute("src") for image in await page.locator("img.chart").all()]
        assert [re.findall(r"charts/(\w+)\.svg", address or "")[0] for address in addresses] == [
            *("requests", "times", "promises", "open", "stock")
        ]
        for address in addresses:
            for theme in ("light", "dark"):
                drawn = await page.request.get(f"{url}{(address or '').replace('light', theme)}")
                assert drawn.headers["content-type"] == "image/svg+xml"
                assert ElementTree.fromstring(await drawn.body()).tag.endswith("svg")
        links = await page.get_by_role("link", name="What needs a person?").get_attribute("href")
        assert "/namespaces/default/workflows?query=NeedsAttention" in (links or "")

        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            for name, width in (("", 1000), ("-phone", 375)):
                await page.set_viewport_size({"width": width, "height": 800})
                for image in await page.locator("img.chart").all():
                    await expect(image).to_have_js_property("complete", True)
                    await image.evaluate("image => image.decode()")  # throws where it is none
                    assert f"theme={scheme}" in await image.evaluate("image => image.currentSrc")
                found = await Axe().run(page)
                assert not found.response["violations"], f"{scheme}{name}: {found.generate_report()}"
                assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth"), f"too wide{name}"
                suffix = "" if scheme == "light" else "-dark"
                if folder is tmp_path or not name:
                    await page.screenshot(path=folder / f"ops{suffix}{name}.png", full_page=True)

        # Another period, one without anything, and one that is none.
        with stage.sessions.begin() as session:
            for table in (
                "promises",
                "journeys",
                "tokens",
                "returns",
                "incidents",
                "prescribing_devices",
                "prescribers",
                "practices",
            ):
                session.connection().exec_driver_sql(f"delete from {table}")
            the_week(session)
        await page.goto(f"{url}/ops?from=2026-03-02&to=2026-03-08")
        await expect(page.get_by_role("row", name="Hard: request to active")).to_contain_text("2 d")
        await expect(page.get_by_role("row", name="Processed in time")).to_contain_text("40 %")
        await page.get_by_label("From", exact=True).fill("2026-01-05")
        await page.get_by_label("To", exact=True).fill("2026-01-06")
        await press(page, "Show")
        await expect(page.get_by_text("No token became active in this time.")).to_be_visible()
        await page.goto(f"{url}/ops?from=2026-03-08&to=yesterday")
        await expect(page.get_by_role("alert")).to_have_text("The day `to` can't be read; write it as 2026-11-24.")
        assert (await page.request.get(f"{url}/ops/charts/salaries.svg")).status == 404
