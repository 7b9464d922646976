"""What vendor, carrier and directory have in common: done once per key, kept, refused in one sentence."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from tests.simulators.conftest import PARTIES, PATIENCE, Party, serving


def refused(answer: httpx.Response, *words: str, status: int = 422) -> None:
    """Refused with one sentence in which the words stand."""
    assert answer.status_code == status
    assert list(answer.json()) == ["detail"]
    detail = answer.json()["detail"]
    assert re.fullmatch(r"[^\n.]\S*( [^\n]+)\.", detail)
    for word in words:
        assert word in detail


def test_done_once_per_key(party: Party, http: httpx.Client) -> None:
    first = http.put(party.path("k"), json=party.body)
    again = http.put(party.path("k"), json=dict(reversed(party.body.items())))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    other = http.put(party.path("other"), json=party.body)
    assert other.status_code == 201


def test_another_body_under_the_same_key(party: Party, http: httpx.Client) -> None:
    first = http.put(party.path("k"), json=party.body)
    refused(http.put(party.path("k"), json={**party.body, "reference": "token-2"}), "key k", status=409)
    assert http.put(party.path("k"), json=party.body).json() == first.json()
    assert len(http.get(party.path()).json()) == 1


def test_the_same_request_at_the_same_instant(party: Party, http: httpx.Client) -> None:
    url = f"{http.base_url}{party.path('k')}"
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: httpx.put(url, json=party.body, timeout=PATIENCE), range(16)))
    assert sorted(answer.status_code for answer in answers) == [200] * 15 + [201]
    assert len({answer.text for answer in answers}) == 1
    assert len(http.get(party.path()).json()) == 1


def test_lists_by_reference_oldest_first(party: Party, http: httpx.Client) -> None:
    for key, reference in (("b", "token-1"), ("a", "token-2"), ("c", "token-1")):
        http.put(party.path(key), json={**party.body, "reference": reference}).raise_for_status()
    listed = http.get(party.path(), params={"reference": "token-1"}).json()
    assert [row["key"] for row in listed] == ["b", "c"]
    assert listed[0]["request"] == party.body
    assert [row["key"] for row in http.get(party.path()).json()] == ["b", "a", "c"]
    assert http.get(party.path(), params={"reference": "nobody"}).json() == []


def test_kept_over_a_restart(party: Party, tmp_path: Path) -> None:
    with serving(party.app(tmp_path)) as http:
        first = http.put(party.path("k"), json=party.body).json()
    with serving(party.app(tmp_path)) as http:
        again = http.put(party.path("k"), json=party.body)
        assert (again.status_code, again.json()) == (200, first)
        refused(http.put(party.path("k"), json={**party.body, "reference": "token-2"}), status=409)
        assert len(http.get(party.path()).json()) == 1


def test_a_key_may_be_any_text(party: Party, http: httpx.Client) -> None:
    keys = ["a/b", "with blank", "100%", "what?", "#1", "ünï"]
    for key in keys:
        path = party.path(quote(key, safe=""))
        assert [http.put(path, json=party.body).status_code for _ in range(2)] == [201, 200], key
    assert [row["key"] for row in http.get(party.path()).json()] == keys


def test_no_key(party: Party, http: httpx.Client) -> None:
    refused(http.put(party.path() + "/", json=party.body), "key", status=404)


def test_malformed_bodies(party: Party, http: httpx.Client) -> None:
    for body in (b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"[" * 100_000):
        refused(http.put(party.path("k"), content=body), "JSON")
    assert http.get(party.path()).json() == []


def test_missing_and_wrong_fields(party: Party, http: httpx.Client) -> None:
    wrong: tuple[Any, ...] = ("", 7, [], {}, True)
    for field in party.body:
        refused(http.put(party.path("k"), json={k: v for k, v in party.body.items() if k != field}), field)
        for value in wrong:
            if value == {} and isinstance(party.body[field], dict):
                continue
            refused(http.put(party.path("k"), json={**party.body, field: value}), field)
    assert http.get(party.path()).json() == []


def test_a_refusal_does_not_repeat_what_was_sent(tmp_path: Path) -> None:
    """It would stand in somebody's log."""
    carrier = next(party for party in PARTIES if party.name == "carrier")
    with serving(carrier.app(tmp_path)) as http:
        answer = http.put(carrier.path("k"), json={**carrier.body, "to": "9 Secret Lane"})
        refused(answer, "to")
        assert "Secret" not in answer.text
