"""The Manage Tokens pages over HTTP: what a browser would add nothing to."""

import re
from collections.abc import AsyncIterator
from html import unescape

import pytest
from sqlalchemy import update

from database.tables import TokenRow
from domain.address import Address
from domain.peers import return_id
from domain.samples import PRESCRIBERS
from starter.gateway.manage import contact
from tests.site import Site, Visit
from tests.stage import Stage

HOME = "/manage-tokens"
GOOD = {
    "email": "somebody@lakeside.example",
    "name": "Miriam Aldous",
    "street1": "118 Harbor Steps",
    "street2": "",
    "city": "Burlington",
    "state": "VT",
    "postal_code": "05401",
}
OTHERS = "P-1002"


@pytest.fixture(autouse=True)
def address(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", stage.client.service_client.config.target_host)


@pytest.fixture
async def site(stage: Stage) -> AsyncIterator[Site]:
    async with Site(stage) as site:
        yield site


def text(html: str) -> str:
    """What is read, without the markup."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


# Requesting


async def test_both_kinds_at_once_and_the_same_submission_twice(site: Site) -> None:
    visit = await site.visit()
    fields = {"hard": "yes", "soft": "yes", **GOOD}
    review = await visit.submit(f"{HOME}/request", go="review", **fields)
    request_id = re.search(r'name="request_id" value="([0-9a-f]+)"', review.text)
    assert request_id
    for _ in range(2):
        answer = await visit.submit(f"{HOME}/request", go="submit", request_id=request_id[1], **fields)
        assert (answer.status_code, answer.headers["location"]) == (303, f"{HOME}?done=requested")
    hard, soft = site.journeys() if "hard" in site.journeys()[0] else reversed(site.journeys())
    assert (hard.rsplit("-", 1)[0], soft.rsplit("-", 1)[0]) == ("token-hard", "token-soft")
    play = site.play(hard)
    assert (await play.status())["status"] == "Requested"
    assert site.stage.rows(f"select email, requested_by from journeys where journey_id = '{hard}'") == [
        ("somebody@lakeside.example", "P-1001")
    ]
    listed = text((await visit.get(f"{HOME}?done=requested")).text)
    assert "Your request is in our processing queue" in listed
    assert "You can request" not in listed


async def test_what_is_wrong_stands_at_its_field_and_nothing_typed_is_lost(site: Site) -> None:
    visit = await site.visit()
    typed = GOOD | {"email": "nobody", "street1": " ", "state": "Vermont", "postal_code": "00000", "name": '<b>"M" & A'}
    answer = await visit.submit(f"{HOME}/request", go="review", hard="yes", **typed)
    assert answer.status_code == 422
    for name, sentence in {
        "email": "The email address needs exactly one @",
        "street1": "Enter the street and number",
        "state": "The state has to be its two-letter code: write VT.",
        "postal_code": "The ZIP code does not exist",
    }.items():
        at_field = re.search(rf'id="{name}-wrong">([^<]+)', answer.text)
        assert at_field, name
        assert unescape(at_field[1]).startswith(sentence)
        assert f'aria-describedby="{name}-wrong' in answer.text
        assert f'<a href="#{name}">' in answer.text
    for value in ("nobody", "Vermont", "00000", "&lt;b&gt;&#34;M&#34; &amp; A", "Burlington"):
        assert f'value="{value}"' in answer.text
    assert site.journeys() == []


async def test_no_kind_chosen(site: Site) -> None:
    visit = await site.visit()
    answer = await visit.submit(f"{HOME}/request", go="contact", **GOOD)
    assert (answer.status_code, "Choose a hard token, a soft token, or both." in answer.text) == (422, True)


async def test_a_refused_request_says_why_in_the_workflow_s_words(site: Site) -> None:
    first = await site.stage.request("hard")
    visit = await site.visit()
    answer = await visit.submit(f"{HOME}/request", go="submit", request_id="a1", hard="yes", **GOOD)
    assert answer.status_code == 409
    sentence = f"already has a hard token: journey {first.id} is Requested; wait for that one, or cancel it first."
    assert sentence in unescape(answer.text)
    both = await visit.submit(f"{HOME}/request", go="submit", request_id="a1", hard="yes", soft="yes", **GOOD)
    assert both.status_code == 409
    assert sentence in unescape(both.text)
    assert "it is in our processing queue" in both.text
    assert len(site.journeys()) == 2


async def test_a_request_id_can_t_reach_another_s_journey(site: Site) -> None:
    other, mine = await site.visit(OTHERS), await site.visit()
    for visit in (other, mine):
        answer = await visit.submit(f"{HOME}/request", go="submit", request_id="the same", soft="yes", **GOOD)
        assert answer.status_code == 303
    assert len({*site.journeys(OTHERS), *site.journeys()}) == 2


async def test_the_email_s_link_asks_for_a_new_one_in_place_of_the_old(site: Site) -> None:
    old = await site.stage.request("soft")
    await old.reach("Cancelled")
    await old.result()
    visit = await site.visit()
    led = await visit.get(HOME, params={"request": "soft", "replaces": old.id})
    form = (await visit.get(led.headers["location"])).text
    assert f'name="replaces" value="{old.id}"' in form
    assert re.search(r'id="soft"[^>]+checked', form)
    answer = await visit.submit(f"{HOME}/request", go="submit", request_id="b2", soft="yes", replaces=old.id, **GOOD)
    assert answer.status_code == 303
    assert site.stage.rows(f"select replaces from journeys where replaces = '{old.id}'") == [(old.id,)]


# Nobody sees or touches another's


async def test_another_s_token_is_not_there(site: Site) -> None:
    theirs = await site.stage.request("hard", OTHERS)
    await theirs.reach("Active")
    ended = await site.stage.request("soft", OTHERS)
    await ended.reach("Cancelled")
    visit = await site.visit()
    for journey_id in (theirs.id, "token-hard-nothing", "../../demo", "a/b/edit"):
        path = f"{HOME}/token/{journey_id.replace('/', '%2F')}"
        for action in ("", "/edit", "/cancel", "/deactivate", "/replace", "/live"):
            assert (await visit.get(path + action)).status_code == 404
        for action in ("/edit", "/cancel", "/deactivate", "/replace", "/resend"):
            fields = {"go": "submit", "confirmed": "yes", "reason": "faulty", "in_possession": "no", **GOOD}
            assert (await visit.submit(path + action, **fields)).status_code == 404
    assert (await visit.get(f"{HOME}/request", params={"kind": "soft", "replaces": ended.id})).status_code == 404
    for go in ("review", "submit"):
        forged = await visit.submit(f"{HOME}/request", go=go, request_id="c3", soft="yes", replaces=ended.id, **GOOD)
        assert forged.status_code == 404
    assert (await theirs.status())["status"] == "Active"
    assert site.journeys() == []
    assert theirs.id not in (await visit.get(HOME)).text


# Ending


async def test_a_deactivation_needs_reason_possession_and_confirmation(site: Site) -> None:
    token = await site.stage.request("hard")
    await token.reach("Active")
    visit = await site.visit()
    path = f"{HOME}/token/{token.id}/deactivate"
    for fields, sentence in (
        ({"go": "confirm"}, "Choose why the token is to be deactivated."),
        ({"go": "deactivate"}, "Choose why the token is to be deactivated."),
        ({"go": "deactivate", "reason": "uninstalled"}, "Choose why the token is to be deactivated."),
        ({"go": "deactivate", "reason": "faulty", "confirmed": "yes"}, "Say whether you have this token"),
        ({"go": "deactivate", "reason": "faulty", "in_possession": "no"}, "to confirm it, since it can't be undone."),
    ):
        answer = await visit.submit(path, **fields)
        assert (answer.status_code, sentence in unescape(answer.text)) == (422, True), fields
    assert (await token.status())["status"] == "Active"
    lost = text((await visit.submit(path, go="confirm", reason="lost")).text)
    assert "Do you have this token" not in lost
    assert "1449 Whitehall Road Annapolis, MD 21409" in lost
    good = {"go": "deactivate", "reason": "no_longer_needed", "in_possession": "yes", "confirmed": "yes"}
    answer = await visit.submit(path, **good)
    assert answer.headers["location"] == f"{HOME}/token/{token.id}?done=deactivated"
    assert (await token.status())["status"] == "Deactivated"
    await token.result()
    await site.stage.peer(return_id(token.id))
    page = text((await visit.get(answer.headers["location"])).text)
    assert "no longer active" in page
    assert "you must mail it back by" in page
    again = await visit.submit(path, **good)
    assert again.status_code == 409
    assert "The token can't be deactivated: it has been deactivated (status Deactivated)" in unescape(again.text)
    assert (await visit.get(path)).status_code == 409


async def test_a_replacement_is_refused_before_the_old_token_is_touched(site: Site) -> None:
    token = await site.stage.request("soft")
    visit = await site.visit()
    path = f"{HOME}/token/{token.id}/replace"
    early = await visit.get(path)
    assert (early.status_code, "only an active token is, and it is Requested" in early.text) == (409, True)
    answer = await visit.submit(path, go="submit", confirmed="yes", **GOOD)
    assert answer.status_code == 409
    assert "can't be replaced: only an active token is, and it is Requested" in unescape(answer.text)
    assert (await token.status())["status"] == "Requested"


# What is shown


async def test_the_live_part_says_only_what_is_new(site: Site) -> None:
    token = await site.stage.request("hard")
    visit = await site.visit()
    for live in (f"{HOME}/live", f"{HOME}/token/{token.id}/live"):
        first = await visit.get(live)
        version = re.search(r'data-version="([0-9a-f]+)"', (await visit.get(live.removesuffix("/live"))).text)
        assert version
        assert first.headers["etag"] == f'"{version[1]}"'
        assert (await visit.get(live, headers={"If-None-Match": first.headers["etag"]})).status_code == 304
    await token.process()
    changed = await visit.get(live, headers={"If-None-Match": first.headers["etag"]})
    assert (changed.status_code, "Token: Shipped" in changed.text or "token: Shipped" in changed.text) == (200, True)


async def test_the_serial_number_is_not_given_away_before_it_is_enrolled(site: Site) -> None:
    token = await site.stage.request("hard")
    await token.reach("Delivered")
    serial = (await token.status())["serial_number"]
    visit = await site.visit()
    pages = (HOME, f"{HOME}/token/{token.id}", f"{HOME}/token/{token.id}/live", f"{HOME}/select")
    for path in pages:
        assert serial not in (await visit.get(path)).text
    await token.enroll()
    await token.wait(minutes=10)
    assert serial in (await visit.get(f"{HOME}/token/{token.id}")).text


async def test_times_are_the_practice_s(site: Site) -> None:
    token = await site.stage.request("hard", "P-1022")  # Honolulu
    visit = await site.visit("P-1022")
    page = text((await visit.get(f"{HOME}/token/{token.id}")).text)
    assert "Tuesday 3 March 2037, 5:00 AM HST" in page
    assert "EST" not in page


@pytest.mark.slow
async def test_what_was_lost_or_never_activated_offers_a_new_one(site: Site) -> None:
    lost, forgotten = await site.stage.request("hard"), await site.stage.request("soft")
    await lost.process()
    await lost.wait(days=16)
    await forgotten.process()
    await forgotten.wait(days=31)
    visit = await site.visit()
    for token in (lost, forgotten):
        await token.result()
        page = await visit.get(f"{HOME}/token/{token.id}")
        assert "The request is cancelled." in page.text
        again = re.search(r'id="again" href="([^"]+)"', page.text)
        assert again
        assert f'name="replaces" value="{token.id}"' in (await visit.get(unescape(again[1]))).text
        for action, sentence in (
            ("resend", "The activation link can't be sent again: it has been cancelled"),
            ("cancel", "The request can't be cancelled: it has been cancelled"),
        ):
            answer = await visit.submit(f"{HOME}/token/{token.id}/{action}")
            assert answer.status_code == 409
            assert sentence in unescape(answer.text)


async def test_a_holder_does_not_lift_the_lock(site: Site) -> None:
    token = await site.stage.request("hard")
    await token.reach("Delivered")
    with site.stage.sessions.begin() as session:
        session.execute(update(TokenRow).where(TokenRow.journey_id == token.id).values(locked=True, failures=10))
    answer = await (await site.visit()).submit(f"{HOME}/token/{token.id}/resend")
    assert (answer.status_code, "ask the token team" in answer.text) == (409, True)
    assert token.letters().count("vendor_activation_hard") == 1


async def test_select_needs_the_validated_pin(site: Site) -> None:
    token = await site.stage.request("soft")
    await token.process()
    visit = await site.visit(pin_validated=False)
    for answer in (await visit.get(f"{HOME}/select"), await visit.submit(f"{HOME}/select", soft="yes")):
        assert (answer.status_code, "validate the PIN there" in answer.text) == (403, True)
    assert (await visit.get(HOME)).status_code == 200
    validated = await site.visit()
    assert "Open there the email from Thales" in (await validated.submit(f"{HOME}/select", soft="yes")).text
    assert (await validated.submit(f"{HOME}/select")).status_code == 422


async def test_a_journey_started_in_the_ui_may_have_any_id(site: Site, stage: Stage) -> None:
    odd = "Dana's first/edit ü?#%"
    await stage.start({"prescriber_id": "P-1001", "kind": "soft"}, journey_id=odd)
    visit = await site.visit()
    link = re.search(r'id="details-soft" href="([^"]+)"', (await visit.get(HOME)).text)
    assert link
    path = unescape(link[1])
    assert (await visit.get(path)).status_code == 200
    assert (await visit.get(f"{path}/live")).status_code == 200
    assert (await visit.submit(f"{path}/cancel")).headers["location"] == f"{path}?done=cancelled"
    assert (await visit.get(path)).status_code == 200


async def test_without_temporal_the_list_is_there_and_orders_are_refused(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await stage.request("hard")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    async with Site(stage) as site:
        visit: Visit = await site.visit()
        assert "Requested" in (await visit.get(HOME)).text
        page = await visit.get(f"{HOME}/token/{token.id}")
        assert (page.status_code, "What has happened" in page.text) == (200, True)
        answer = await visit.submit(f"{HOME}/token/{token.id}/edit", **GOOD)
        assert answer.status_code == 503
        assert "nothing was done; send this again in a moment" in answer.text
        assert 'value="somebody@lakeside.example"' in answer.text  # nothing typed is lost
        asked = await visit.submit(f"{HOME}/request", go="submit", request_id="d4", soft="yes", **GOOD)
        assert (asked.status_code, 'name="request_id" value="d4"' in asked.text) == (503, True)


async def test_markup_in_names_and_addresses_stays_text(stage: Stage, site: Site) -> None:
    evil = '<img src=x onerror="document.title=1">'
    with stage.sessions.begin() as session:
        session.connection().exec_driver_sql("update prescribers set name = ? where prescriber_id = 'P-1001'", (evil,))
    body = GOOD | {"name": evil[:40], "street1": "<script>alert(1)</script>", "city": "'\"><svg/onload=alert(1)>"}
    visit = await site.visit()
    fields = {"hard": "yes", **body}
    pages = [await visit.submit(f"{HOME}/request", go=go, **fields) for go in ("kind", "contact", "review")]
    await visit.submit(f"{HOME}/request", go="submit", request_id="e5", **fields)
    [journey_id] = site.journeys()
    pages += [await visit.get(f"{HOME}/token/{journey_id}{action}") for action in ("", "/edit", "/cancel", "/live")]
    for page in pages:
        assert page.status_code == 200
        assert not re.search(r"<(img|svg|script(?! src=\"/static))", page.text)


def test_the_account_s_own_address_is_good() -> None:
    for person in PRESCRIBERS:
        given = contact.read(contact.typed(person.email, person.address), shipped=True)
        assert (given.wrong, given.address) == ({}, person.address)


def test_each_part_of_an_address_is_asked_for() -> None:
    wrong = contact.read({}, shipped=True).wrong
    assert wrong.keys() == {"email", "name", "street1", "city", "state", "postal_code"}
    assert "street2" not in wrong
    long = contact.read({**contact.typed("a@b.example", None), "city": "x" * 61}, shipped=True).wrong
    assert long["city"] == "City is too long for a label; write at most 60 characters."
    assert contact.read({"email": "a@b.example"}, shipped=False).wrong == {}


def test_control_characters_are_named() -> None:
    fields = GOOD | {"name": "Miriam\r\nBcc: all", "postal_code": "21409"}
    wrong = contact.read(fields, shipped=True).wrong
    assert wrong["name"] == "Name has a line break or an invisible character in it; type it again."
    assert "it belongs to Maryland, not to Vermont" in wrong["postal_code"]
    assert Address.model_validate({part: GOOD[part] for part in contact.PARTS}).state == "VT"
