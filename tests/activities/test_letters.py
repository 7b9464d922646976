"""Every letter as its reader gets it: whole, safe, well-formed, and saying only what its kind of token may say."""

import email
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from email import policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from activities.letters.catalogue import LETTERS
from activities.letters.composing import TEMPLATES, LetterError, compose
from activities.letters.texts import reflow
from domain.address import Address
from starter.mail_preview import AT, ZONE, Example, compose_example, examples, facts_of, preview, sample_facts

ALL = list(examples())
VOID = {"meta", "br", "hr", "img", "link", "input"}


def named(example: Example) -> str:
    return example.name


def composed(letter: str = "request_received", kind: str = "hard", **other: Any) -> EmailMessage:
    facts: dict[str, object] = sample_facts(kind) | other.pop("facts", {})
    given: dict[str, Any] = {
        "to": "renee@lakeside.example",
        "sender": "EPCS Tokens <epcs-tokens@rxnt.example>",
        "message_id": "<step.1@rxnt.example>",
        "at": AT,
        "zone": ZONE,
    } | other
    return compose(letter, facts=facts, **given)


def text_of(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    assert part is not None
    return part.get_content()


def html_of(message: EmailMessage) -> str:
    part = message.get_body(("html",))
    assert part is not None
    return part.get_content()


class Page(HTMLParser):
    """Checks the nesting as it reads; keeps the links and the words that are seen."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"p", "table", "h1"}:
            assert "p" not in self.open, f"<{tag}> within a paragraph"
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> says an attribute twice: {names}"
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src", "background"}]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self.open):
            self.words.append(data)

    @property
    def seen(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_the_letters_are_those_of_the_agreement() -> None:
    assert set(LETTERS) == {
        *("team_request_waiting", "team_still_waiting", "team_out_of_stock", "team_needs_attention", "team_sync_late"),
        *("request_received", "request_changed", "request_cancelled", "cancelled_return"),
        *("vendor_activation_hard", "vendor_download_soft", "shipped", "has_it_arrived", "lost_in_transit"),
        *("delivered", "reminder", "never_activated", "sync_late", "active", "deactivated"),
        *("return_label", "return_reminder", "return_received", "return_written_off", "team_return_written_off"),
        *("team_incident", "team_low_stock", "team_digest"),
    }


def test_each_letter_has_its_pair_of_templates_and_no_template_is_without_a_letter() -> None:
    files = {path.name for path in TEMPLATES.iterdir() if not path.name.startswith("_")}
    assert files == {f"{key}{ending}" for key in LETTERS for ending in (".html", ".txt")}


@pytest.mark.parametrize("example", ALL, ids=named)
class TestEveryLetter:
    def test_headers(self, example: Example) -> None:
        message = compose_example(example)
        assert message.get_content_type() == "multipart/alternative"
        assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
        assert message["Date"].datetime == AT
        assert message["Message-ID"] == f"<preview.{example.name}@rxnt.example>"
        assert message["Auto-Submitted"] == "auto-generated"
        assert message["X-Auto-Response-Suppress"] == "All"
        assert message["X-Token-Letter"] == example.letter.key
        assert message["Content-Language"] == "en-US"
        assert 10 < len(message["Subject"]) < 120
        assert ("thales" in message["From"]) == (example.letter.audience == "vendor_to_prescriber")

    def test_nothing_is_left_unrendered(self, example: Example) -> None:
        message = compose_example(example)
        for part in (message["Subject"], text_of(message), Page(html_of(message)).seen):
            assert not re.search(r"[{}]|\bNone\b|\bundefined\b|Macro|<bound|_", part), part

    def test_the_text_has_no_html(self, example: Example) -> None:
        assert not re.search(r"<[a-z/!]|&(#\d+|[a-z]+);", text_of(compose_example(example)))

    def test_links_lead_only_where_they_were_told_to(self, example: Example) -> None:
        facts = facts_of(example)
        message = compose_example(example)
        mine = {facts[name] for name in example.letter.needed(example.kind) if name.endswith(("url", "link"))}
        mine |= {facts["link"]} if "link" in example.letter.may else set()
        page = Page(html_of(message))
        assert page.links
        assert set(page.links) <= mine
        in_text = set(re.findall(r"https?://\S+", text_of(message)))
        assert in_text == set(page.links)

    def test_lines_are_short_and_the_wire_is_7bit(self, example: Example) -> None:
        message = compose_example(example)
        for line in text_of(message).splitlines():
            assert len(line) <= 72 or line.strip().startswith("http")
            assert line == line.rstrip()
        wire = message.as_bytes(policy=message.policy.clone(linesep="\r\n"))
        assert b"Subject: " in wire
        assert wire.isascii()
        assert max(map(len, wire.split(b"\r\n"))) <= 998
        assert {part["Content-Transfer-Encoding"] for part in message.iter_parts()} <= {"7bit", "quoted-printable"}

    def test_html_is_well_formed_and_brings_nothing_from_elsewhere(self, example: Example) -> None:
        html = html_of(compose_example(example))
        page = Page(html)
        assert not re.search(r"<(img|script|iframe|object|form|link)\b|url\(|@import|@font-face|javascript:", html)
        assert [attributes.get("lang") for tag, attributes in page.attributes if tag == "html"] == ["en-US"]
        assert all(attributes["role"] == "presentation" for tag, attributes in page.attributes if tag == "table")
        assert len([tag for tag, _ in page.attributes if tag == "h1"]) == 1
        assert 'name="color-scheme" content="light dark"' in html
        assert len(html.encode()) < 60_000  # Gmail cuts a message off at 102 kB

    def test_it_survives_the_post(self, example: Example) -> None:
        message = compose_example(example)
        for how in (message.policy, message.policy.clone(linesep="\r\n")):
            parsed = email.message_from_bytes(message.as_bytes(policy=how), policy=policy.default)
            assert isinstance(parsed, EmailMessage)
            assert text_of(parsed).replace("\r\n", "\n") == text_of(message)
            assert html_of(parsed).replace("\r\n", "\n") == html_of(message)
            assert {name: str(value) for name, value in parsed.items()} == {
                name: str(value) for name, value in message.items()
            }
            assert not parsed.defects

    def test_a_retry_composes_the_same_bytes(self, example: Example) -> None:
        assert compose_example(example).as_bytes() == compose_example(example).as_bytes()

    def test_text_and_html_say_the_same(self, example: Example) -> None:
        message = compose_example(example)
        facts = facts_of(example)
        shown = Page(html_of(message)).seen
        text = " ".join(text_of(message).split())
        for name in ("serial_number", "tracking_number", "carrier_name", "who", "status", "journey_id"):
            assert (str(facts[name]) in shown) == (str(facts[name]) in text), name
        for found in set(re.findall(r"\d+ (?:November|December|October) 2026(?:, \d+:\d\d [AP]M E[SD]T)?", text)):
            assert found in shown

    def test_a_missing_fact_is_named(self, example: Example) -> None:
        for name in example.letter.needed(example.kind):
            for nothing in ({}, {name: None}, {name: "  "}):
                facts = {key: value for key, value in facts_of(example).items() if key != name} | nothing
                with pytest.raises(LetterError, match=f"`{name}`"):
                    composed(example.letter.key, example.kind, facts=dict.fromkeys(sample_facts("hard")) | facts)

    def test_the_needed_facts_alone_are_enough(self, example: Example) -> None:
        needed = example.letter.needed(example.kind)
        bare = {name: value for name, value in facts_of(example).items() if name in needed}
        message = compose(
            example.letter.key,
            to="a@b.example",
            sender="a@b.example",
            message_id="<1@b.example>",
            at=AT,
            zone=ZONE,
            facts=bare,
        )
        Page(html_of(message))
        assert "None" not in text_of(message) + html_of(message)

    def test_names_are_words_and_never_markup(self, example: Example) -> None:
        evil = "<script>alert('x')</script> & {{ 7*7 }} \"Co\""
        facts = facts_of(example)
        texts = {
            name: evil
            for name, value in facts.items()
            if isinstance(value, str) and not re.search(r"kind|url|link", name) and name != "journey_id"
        }
        sections = [{"title": evil, "number": 1, "lines": [evil], "more": 0}]
        message = composed(example.letter.key, example.kind, facts={**facts, **texts, "sections": sections})
        html = html_of(message)
        assert "<script" not in html
        assert evil in Page(html).seen
        assert "{{ 7*7 }}" in text_of(message)

    def test_a_line_break_in_a_fact_adds_no_header(self, example: Example) -> None:
        facts = facts_of(example)
        evil = "x\r\nBcc: everybody@example.com\r\n\r\nbody\u2028\x0b\x85\x00"
        texts = {
            name: evil
            for name, value in facts.items()
            if isinstance(value, str) and not re.search(r"kind|url|link", name)
        }
        message = composed(example.letter.key, example.kind, facts=facts | texts)
        parsed = email.message_from_bytes(message.as_bytes(), policy=policy.default)
        assert parsed["Bcc"] is None
        assert parsed.keys() == compose_example(example).keys()
        assert not re.search(r"[\r\n\x00]", parsed["Subject"])


def spoken(example: Example) -> Iterator[str]:
    message = compose_example(example)
    yield text_of(message)
    yield Page(html_of(message)).seen


@pytest.mark.parametrize("example", [each for each in ALL if each.kind == "hard"], ids=named)
def test_a_hard_token_never_leads_to_a_download(example: Example) -> None:
    for words in spoken(example):
        words = re.sub(r"Asked to download something\? Then .*?soft token\.", "", " ".join(words.split()))
        assert not re.search(r"download|install|MobilePass|\bapp\b|PIN\b(?! by email)", words, re.IGNORECASE)


@pytest.mark.parametrize("example", [each for each in ALL if each.kind == "soft"], ids=named)
def test_a_soft_token_never_asks_for_a_serial_number(example: Example) -> None:
    for words in spoken(example):
        words = re.sub(r"Asked for a serial number\? Then .*?hard token\.", "", " ".join(words.split()))
        assert not re.search(r"serial|bar code|parcel|shipp(?!ing address)|mail (it|the)", words, re.IGNORECASE)


@pytest.mark.parametrize("letter", ["vendor_activation_hard", "delivered", "reminder", "has_it_arrived"])
def test_the_serial_number_travels_by_another_channel_than_the_link(letter: str) -> None:
    message = composed(letter)
    assert str(sample_facts("hard")["serial_number"]) not in text_of(message) + html_of(message)
    assert str(sample_facts("hard")["link"]) in text_of(message)


def test_the_activation_email_says_what_the_rules_ask() -> None:
    words = " ".join(text_of(composed("vendor_activation_hard", facts={"valid_until": None})).split())
    for said in (
        "Keep this email until your token arrives",
        "on the back of the token, below the bar code",
        "Press the button on the front and type the six digits",
        "up to 60 minutes",
        "Asked to download something?",
    ):
        assert said in words


@pytest.mark.parametrize("letter", ["vendor_download_soft", "reminder"])
def test_the_soft_token_is_for_another_device_and_its_app_waits(letter: str) -> None:
    words = " ".join(text_of(composed(letter, "soft")).split())
    for said in ("different device", "RXNT mobile app", "don't open the app yet", "four-digit PIN", "name"):
        assert said in words


@pytest.mark.parametrize(
    ("in_possession", "said"),
    [
        (True, "Because you have the token, you must return it, so that it is here by"),
        (None, "If you still have"),
        (False, "If you still have"),
    ],
)
def test_a_deactivated_hard_token_comes_back(in_possession: bool | None, said: str) -> None:
    words = text_of(composed("deactivated", facts={"in_possession": in_possession}))
    assert said in " ".join(words.split())
    assert "  1449 Whitehall Road\n  Annapolis, MD 21409\n" in words


@pytest.mark.parametrize("letter", ["lost_in_transit", "never_activated"])
def test_who_lost_a_token_is_offered_a_new_one(letter: str) -> None:
    message = composed(letter)
    assert "Request a new token" in Page(html_of(message)).seen
    assert str(sample_facts("hard")["manage_url"]) in text_of(message).split("------")[0]


@pytest.mark.parametrize(("days_left", "said"), [(27, "within 27 days"), (1, "by tomorrow"), (0, "today")])
@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_a_reminder_says_how_long_is_left(days_left: int, said: str, kind: str) -> None:
    message = composed("reminder", kind, facts={"days_left": days_left})
    assert message["Subject"] == f"Reminder: please activate your {kind} token {said}"
    assert f"If it isn't activated {said}, we have to cancel it." in " ".join(text_of(message).split())


def test_only_a_link_that_was_renewed_on_request_is_said_to_end_the_one_before() -> None:
    for letter in ("delivered", "reminder", "has_it_arrived", "vendor_activation_hard"):
        assert "takes the place" not in " ".join(text_of(composed(letter)).split())
    renewed = text_of(composed("vendor_activation_hard", facts={"renewed": True}))
    assert "takes the place of the one we sent before" in " ".join(renewed.split())


def test_an_address_is_the_domain_s_or_its_json() -> None:
    address = Address(name="Ann Lee", street1="1 Oak St", city="Reno", state="NV", postal_code="89501")
    by_model = composed("request_received", facts={"address": address})
    by_json = composed("request_received", facts={"address": address.model_dump(mode="json")})
    assert by_model.as_bytes() == by_json.as_bytes()
    assert "    Ann Lee\n    1 Oak St\n    Reno, NV 89501\n" in text_of(by_model)


def test_times_are_written_in_the_readers_zone() -> None:
    moment = datetime(2026, 7, 4, 4, 30, tzinfo=UTC)
    for zone, said in {
        "America/New_York": "Saturday 4 July 2026, 12:30 AM EDT",
        "Pacific/Honolulu": "Friday 3 July 2026, 6:30 PM HST",
        "America/Sao_Paulo": "Saturday 4 July 2026, 1:30 AM UTC-03",
    }.items():
        message = composed("active", zone=zone, facts={"active_at": moment})
        assert f"Active since: {said}" in text_of(message)
        assert message["Date"].datetime == AT
    assert "Active since: Saturday 4 July 2026, 12:30 PM" in text_of(
        composed("active", facts={"active_at": "2026-07-04T12:30:00-04:00"})
    )


def test_a_deadline_at_midnight_is_the_end_of_the_day_before() -> None:
    midnight = datetime(2026, 11, 28, 5, 0, tzinfo=UTC)
    for due, zone, said in (
        (midnight, "America/New_York", "Friday 27 November 2026, end of the day"),
        (midnight, "America/Chicago", "Friday 27 November 2026, 11:00 PM CST"),
        (midnight + timedelta(seconds=30), "America/New_York", "Saturday 28 November 2026, 12:00 AM EST"),
        (midnight - timedelta(microseconds=1), "America/New_York", "Friday 27 November 2026, 11:59 PM EST"),
    ):
        message = composed("request_received", zone=zone, facts={"due_at": due})
        assert f"We process it by: {said}\n" in text_of(message)


def test_a_day_is_the_same_day_in_every_zone() -> None:
    for day in (date(2026, 11, 24), "2026-11-24"):
        message = composed("shipped", zone="Pacific/Honolulu", facts={"ships_on": day})
        assert "Ships on: Tuesday 24 November 2026\n" in text_of(message)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"zone": "Mars/Olympus"}, "time zone"),
        ({"zone": "../etc"}, "time zone"),
        ({"zone": ""}, "time zone"),
        ({"at": AT.replace(tzinfo=None)}, "UTC offset"),
        ({"message_id": "no-brackets@rxnt.example"}, "Message-ID"),
        ({"message_id": "<a@b>\r\nBcc: c@d.example"}, "Message-ID"),
        ({"message_id": "<a@b>\n"}, "Message-ID"),
        ({"to": "a@b.example, c@d.example"}, "recipient"),
        ({"to": "a@b.example\r\nBcc: c@d.example"}, "recipient"),
        ({"to": "nobody"}, "recipient"),
        ({"to": ""}, "recipient"),
        ({"to": "rené@b.example"}, "recipient"),
        ({"to": "Ann <a@b.example> <c@d.example>"}, "recipient"),
        ({"sender": "Tokens\n <a@b.example>"}, "sender"),
        ({"sender": "Tokens"}, "sender"),
        ({"facts": {"kind": "firm"}}, "hard or soft"),
        ({"facts": {"manage_url": "javascript:alert(1)"}}, "web address"),
        ({"facts": {"manage_url": "https://a.example/\n"}}, "web address"),
        ({"facts": {"manage_url": 'https://a.example/"><b>'}}, "web address"),
        ({"facts": {"manage_url": "https:///nowhere"}}, "web address"),
        ({"facts": {"manage_url": "https://[a.example/"}}, "manage_url"),
        ({"facts": {"manage_url": "https://a.example/" + "x" * 1000}}, "web address"),
        ({"facts": {"due_at": "soon"}}, "date or time"),
        ({"facts": {"due_at": 12}}, "date or time"),
        ({"facts": {"due_at": datetime(2026, 1, 1)}}, "UTC offset"),  # noqa: DTZ001
        ({"facts": {"address": {"name": "only"}}}, "whole address"),
        ({"facts": {"address": 12}}, "whole address"),
        ({"facts": {"prescriber_name": ["Ann"]}}, "text"),
    ],
)
def test_what_can_t_be_used_is_refused_with_a_sentence(change: dict[str, Any], said: str) -> None:
    with pytest.raises(LetterError, match=said) as refused:
        composed("request_received", **change)
    assert str(refused.value).endswith(".")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("letter", "change"),
    [
        ("request_changed", {"changed": []}),
        ("request_changed", {"changed": "email"}),
        ("request_changed", {"changed": 3}),
        ("reminder", {"days_left": "3"}),
        ("reminder", {"days_left": True}),
        ("deactivated", {"in_possession": "yes"}),
    ],
)
def test_facts_of_the_wrong_type_are_refused(letter: str, change: dict[str, object]) -> None:
    with pytest.raises(LetterError, match=next(iter(change))):
        composed(letter, facts=change)


def test_a_letter_that_does_not_exist_or_is_for_the_other_kind_is_refused() -> None:
    with pytest.raises(LetterError, match="no letter named 'welcome'"):
        composed("welcome")
    with pytest.raises(LetterError, match="not for a soft token"):
        composed("shipped", "soft")
    with pytest.raises(LetterError, match="not for a hard token"):
        composed("vendor_download_soft", "hard")


def test_addresses_of_every_legal_shape_are_taken() -> None:
    message = composed(to='"O\'Neil, Ann" <ann+token@b.example>', sender="Jetons é <a@bücher.example>")
    assert message["To"].addresses[0].addr_spec == "ann+token@b.example"
    assert message["To"].addresses[0].display_name == "O'Neil, Ann"
    assert message["From"].addresses[0].addr_spec == "a@xn--bcher-kva.example"
    assert message.as_bytes().isascii()


def test_endless_names_and_long_links_fit_their_lines() -> None:
    link = "https://tokens.example/activate/" + "a" * 860
    message = composed("delivered", facts={"link": link, "prescriber_name": "é" * 5000, "practice_name": "x" * 5000})
    assert link in Page(html_of(message)).links
    assert link in text_of(message)
    assert max(len(line.encode()) for line in text_of(message).splitlines()) <= 998
    parsed = email.message_from_bytes(message.as_bytes(policy=policy.SMTP), policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    assert link in text_of(parsed)


def test_a_long_message_id_stays_on_the_wire_as_it_is() -> None:
    given = "<" + "token-hard-0123456789abcdef." * 7 + "step.12@mail.rxnt.example>"
    parsed = email.message_from_bytes(composed(message_id=given).as_bytes(), policy=policy.default)
    assert str(parsed["Message-ID"]).strip() == given
    assert b"=?" not in composed(message_id=given).as_bytes().split(b"\n\n")[0]


def test_the_clock_of_the_machine_is_never_read() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=9)))
    assert composed(at=elsewhere).as_bytes() == composed(at=AT).as_bytes()


def test_reflow_hangs_lists_and_keeps_indented_lines() -> None:
    text = "1. " + "word " * 20 + "\n2. two\n\n\n  https://x.example/" + "y" * 90 + "\n  label: " + "z " * 60
    lines = reflow(text).splitlines()
    assert lines[1].startswith("   word")
    assert "2. two" in lines
    assert "  https://x.example/" + "y" * 90 in lines
    assert lines[-1].startswith("    z")


def test_contrast_is_readable_in_light_and_dark() -> None:
    def lightness(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    styles = (TEMPLATES / "_layout.html").read_text() + (TEMPLATES / "_parts.html").read_text()
    for ink, paper in (
        *(("#1f2a30", "#ffffff"), ("#53626b", "#ffffff"), ("#0b5a6b", "#ffffff"), ("#ffffff", "#0b5a6b")),
        *(("#1f2a30", "#eef4f5"), ("#0b5a6b", "#eef4f5")),
        *(("#e8ecef", "#1b2126"), ("#a9b5bc", "#1b2126"), ("#7fcbd8", "#1b2126"), ("#ffffff", "#17778c")),
        *(("#e8ecef", "#222c32"), ("#7fcbd8", "#222c32")),
    ):
        assert ink in styles
        assert paper in styles
        light, dark = sorted((lightness(ink), lightness(paper)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{ink} on {paper}"  # WCAG 2.2, AA


def test_preview_writes_every_letter_and_an_index(tmp_path: Path) -> None:
    written = preview(tmp_path / "mail")
    assert written[0].name == "index.html"
    assert all(path.is_file() for path in written)
    assert len(written) == 1 + 3 * len(ALL)
    page = Page(written[0].read_text())
    assert all((tmp_path / "mail" / link).is_file() for link in page.links)
    assert {Path(link).stem for link in page.links} == {example.name for example in ALL}
    assert preview(tmp_path / "mail") == written
