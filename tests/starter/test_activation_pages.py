"""What a browser adds nothing to: forged and oversized forms, unknown links, and who may see the mailbox."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import select

from activities.enrollment import Enrollment, SoftAttempt
from database.tables import SoftEnrollment
from simulators.serving import Serving, listen
from starter.gateway.app import app
from tests.stage import EVENING, Play, Stage

pytestmark = pytest.mark.slow
SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(autouse=True)
def address(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", stage.client.service_client.config.target_host)


@pytest.fixture
async def http(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    settings = stage.settings.model_copy(update={"state": stage.folder})
    async with (
        Serving(app(settings, task_queue=stage.task_queue)) as serving,
        httpx.AsyncClient(base_url=serving.url, timeout=20) as http,
    ):
        yield http


async def ready(stage: Stage, kind: str = "hard") -> tuple[Play, str]:
    """A token that can be enrolled, and the path of its newest link."""
    journey = await stage.request(kind)
    await journey.reach("Delivered" if kind == "hard" else "Processed")
    body = journey.emails()[-1].get_body(("plain",))
    assert body is not None
    found = re.search(r"/activate/[A-Za-z0-9_-]+", body.get_content())
    assert found
    return journey, found[0]


def token_in(page: httpx.Response) -> str:
    found = re.search(r'name="form" value="([^"]+)"', page.text)
    assert found
    return found[1]


async def test_opening_a_link_changes_nothing_and_leaves_nothing_behind(stage: Stage, http: httpx.AsyncClient) -> None:
    journey, path = await ready(stage)
    before = (await journey.status())["timeline"]
    page = await http.get(path)
    for _ in range(2):
        page = await http.get(path)
        assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert (await journey.status())["timeline"] == before


async def test_a_form_from_elsewhere_does_nothing(stage: Stage, http: httpx.AsyncClient) -> None:
    journey, path = await ready(stage)
    token = token_in(await http.get(path))
    form = {"form": token, "serial_number": (await journey.status())["serial_number"]}
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}, {}):
        assert (await http.post(f"{path}/serial", data=form, headers=headers)).status_code == 403
    assert (await http.post(f"{path}/serial", data=form | {"form": "guessed"}, headers=SAME)).status_code == 403
    async with httpx.AsyncClient(base_url=http.base_url) as without_cookie:
        assert (await without_cookie.post(f"{path}/serial", data=form, headers=SAME)).status_code == 403
    assert (await http.post(f"{path}/resend", data={"form": "guessed"}, headers=SAME)).status_code == 403
    assert (await http.post(f"{path}/serial", data=form, headers=SAME)).status_code == 303
    assert (
        await http.post(f"{path}/serial", data=form, headers={"Origin": str(http.base_url).rstrip("/")})
    ).status_code == 303


async def test_bodies_that_are_no_form_of_ours(stage: Stage, http: httpx.AsyncClient) -> None:
    _, path = await ready(stage)
    token = token_in(await http.get(path))
    large = await http.post(f"{path}/serial", data={"form": token, "serial_number": "x" * 100_000}, headers=SAME)
    assert (large.status_code, "too large" in large.text) == (413, True)
    assert (await http.post(f"{path}/serial", json={"form": token}, headers=SAME)).status_code == 415
    many = "&".join(f"f{number}=1" for number in range(50))
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await http.post(f"{path}/serial", content=many, headers=SAME | kind)).status_code == 400


async def test_a_step_of_the_other_kind_leads_back(stage: Stage, http: httpx.AsyncClient) -> None:
    _, path = await ready(stage)
    token = token_in(await http.get(path))
    for step in ("pin", "enroll", "device", "nonsense"):
        answer = await http.post(f"{path}/{step}", data={"form": token}, headers=SAME)
        assert (answer.status_code, answer.headers["location"]) == (303, path)
    assert (await http.get(f"{path}/passcode")).status_code == 303  # a page that is loaded anew after a refusal


async def test_unknown_links_are_slowed_down(http: httpx.AsyncClient) -> None:
    for number in range(20):
        answer = await http.get(f"/activate/{number:032}")
        assert answer.status_code == 404
        assert "not known" in answer.text
    slowed = await http.get(f"/activate/{99:032}")
    assert slowed.status_code == 429
    assert int(slowed.headers["retry-after"]) > 0


async def test_a_locked_token_is_not_unlocked_by_whoever_holds_the_link(stage: Stage, http: httpx.AsyncClient) -> None:
    journey, path = await ready(stage)
    token = token_in(await http.get(path))
    with stage.sessions.begin() as session:
        session.connection().exec_driver_sql("UPDATE tokens SET locked = 1 WHERE journey_id = ?", (journey.id,))
    before = journey.letters()
    answer = await http.post(f"{path}/resend", data={"form": token}, headers=SAME)
    assert (answer.status_code, "Activation is locked" in answer.text) == (422, True)
    await journey.wait(seconds=5)
    assert journey.letters() == before


@pytest.mark.slow
async def test_a_new_link_is_not_said_to_be_sent_before_it_is(stage: Stage, http: httpx.AsyncClient) -> None:
    _, path = await ready(stage)
    token = token_in(await http.get(path))
    await stage.stop_worker()
    answer = await http.post(f"{path}/resend", data={"form": token}, headers=SAME, timeout=60)
    assert (answer.status_code, "had no answer yet" in answer.text) == (202, True)


async def test_the_mailbox_is_for_the_embedded_stack_and_this_machine_only(
    stage: Stage, http: httpx.AsyncClient
) -> None:
    await stage.request("hard")
    assert (await http.get("/mailbox")).status_code == 404
    embedded = stage.settings.model_copy(update={"embedded": True, "state": stage.folder})
    async with Serving(app(embedded)) as serving, httpx.AsyncClient(base_url=serving.url) as own:
        assert "We have your hard token request" in (await own.get("/mailbox")).text
        assert (await own.get("/mailbox/1")).status_code == 200
        framed = (await own.get("/mailbox/1/html")).headers["content-security-policy"]
        assert "sandbox" in framed
        assert "script-src" not in framed
        for path in ("/mailbox", "/mailbox/list", "/mailbox/1", "/mailbox/1/html"):
            assert (await own.get(path, headers={"Host": "evil.example"})).status_code == 404
            assert (await own.get(path, headers={"X-Forwarded-For": "203.0.113.7"})).status_code == 404
        for number in ("999", "x", "..%2f..%2fkeys.json"):
            assert (await own.get(f"/mailbox/{number}")).status_code == 404


async def test_before_the_parcel_has_left_the_link_is_to_be_kept(stage: Stage, http: httpx.AsyncClient) -> None:
    journey = await stage.request("hard", at=EVENING)
    await journey.process()
    path = next(
        found[0]
        for message in journey.emails()
        if (body := message.get_body(("plain",))) and (found := re.search(r"/activate/[\w-]+", body.get_content()))
    )
    assert (await journey.status())["status"] == "Processed"
    page = await http.get(path)
    assert "Keep this link until your token arrives" in page.text
    assert "<form" not in page.text


async def test_a_setup_whose_end_got_lost_with_temporal_is_ended_by_the_next(
    stage: Stage, http: httpx.AsyncClient
) -> None:
    """An update is durable once its workflow task is done; what that task has written in our records stays."""
    journey, path = await ready(stage, "soft")
    reference = await journey.soft_ref()
    attempt = SoftAttempt(
        journey_id=journey.id, token_name="My phone", enrollment_ref=reference, at=await journey.now()
    )
    Enrollment(stage.sessions, stage.seal).link_soft(attempt)
    assert (await journey.status())["status"] == "Processed"
    token = token_in(await http.get(path))
    for step, sent in (
        ("device", {"device": "other"}),
        ("download", {}),
        ("name", {"token_name": "Another"}),
    ):
        assert (await http.post(f"{path}/{step}", data={"form": token, **sent}, headers=SAME)).status_code == 303
    answer = await http.post(f"{path}/pin", data={"form": token, "pin": "7093", "pin_again": "7093"}, headers=SAME)
    assert answer.status_code == 200
    assert "that setup stands" in answer.text
    assert (await journey.status())["status"] == "Syncing"
    with stage.sessions() as session:
        [kept] = session.scalars(select(SoftEnrollment))
        assert kept.enrollment_ref == reference
    # Pressed again, it changes nothing.
    again = await http.post(f"{path}/pin", data={"form": token, "pin": "7093", "pin_again": "7093"}, headers=SAME)
    assert again.status_code in (200, 303)
    assert (await journey.status())["status"] == "Syncing"


async def test_while_temporal_is_away_nothing_typed_is_lost(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    journey, path = await ready(stage)
    serial = (await journey.status())["serial_number"]
    with listen("127.0.0.1", 0) as free:
        nobody = free.getsockname()[1]
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{nobody}")
    async with Serving(app(stage.settings)) as serving, httpx.AsyncClient(base_url=serving.url, timeout=60) as http:
        token = token_in(await http.get(path))
        assert (
            await http.post(f"{path}/serial", data={"form": token, "serial_number": serial}, headers=SAME)
        ).status_code == 303
        answer = await http.post(f"{path}/passcode", data={"form": token, "passcode": "123456"}, headers=SAME)
    assert answer.status_code == 503
    assert "nothing was done" in answer.text
    assert serial in answer.text
    assert "123456" not in answer.text
