"""The directory syncs by being asked, never by a clock."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulators import directory
from tests.simulators.conftest import serving

ENTRY = {"prescriber_id": "P-1001", "kind": "hard", "reference": "token-1"}
KEY = "/v1/enrollments/k"


@pytest.fixture
def http(tmp_path: Path) -> Iterator[httpx.Client]:
    with serving(directory.app(tmp_path)) as client:
        yield client


def states(http: httpx.Client, times: int) -> list[str]:
    return [http.get(KEY).raise_for_status().json()["state"] for _ in range(times)]


def test_synced_at_the_third_question(http: httpx.Client) -> None:
    assert http.put(KEY, json=ENTRY).json() == {"state": "pending"}
    assert states(http, 4) == ["pending", "pending", "synced", "synced"]


@pytest.mark.parametrize(
    ("polls", "expected"), [(1, ["synced"] * 2), (2, ["pending", "synced"]), (None, ["pending"] * 2)]
)
def test_how_many_questions_it_takes(http: httpx.Client, polls: int | None, expected: list[str]) -> None:
    settings = {"polls_until_synced": polls}
    assert http.put("/simulate/settings", json=settings).json() == settings
    http.put(KEY, json=ENTRY)
    assert states(http, 2) == expected


def test_synced_by_hand(http: httpx.Client) -> None:
    http.put("/simulate/settings", json={"polls_until_synced": None})
    http.put(KEY, json=ENTRY)
    assert states(http, 1) == ["pending"]
    assert http.put("/simulate/synced/k").json() == {"state": "synced"}
    assert states(http, 2) == ["synced", "synced"]


def test_synced_stays_synced_when_settings_change(http: httpx.Client) -> None:
    http.put("/simulate/settings", json={"polls_until_synced": 1})
    http.put(KEY, json=ENTRY)
    assert states(http, 1) == ["synced"]
    http.put("/simulate/settings", json={"polls_until_synced": None})
    assert states(http, 1) == ["synced"]


@pytest.mark.parametrize(
    "body", [{}, {"polls_until_synced": 0}, {"polls_until_synced": "3"}, {"polls_until_synced": True}]
)
def test_what_is_no_setting(http: httpx.Client, body: dict[str, Any]) -> None:
    answer = http.put("/simulate/settings", json=body)
    assert answer.status_code == 422
    assert "polls_until_synced" in answer.json()["detail"]


def test_unknown_enrolments(http: httpx.Client) -> None:
    assert http.get(KEY).status_code == 404
    assert http.put("/simulate/synced/k").status_code == 404
    assert http.get("/v1/enrollments").json() == []


def test_revoking(http: httpx.Client) -> None:
    http.put(KEY, json=ENTRY)
    for _ in range(2):
        answer = http.delete(KEY)
        assert (answer.status_code, answer.json()) == (200, {"state": "revoked"})
    assert http.get(KEY).status_code == 404
    assert [row["key"] for row in http.get("/v1/revocations", params={"reference": "token-1"}).json()] == ["k"]


def test_revoked_before_its_enrolment_arrives(http: httpx.Client) -> None:
    assert http.delete(KEY).json() == {"state": "revoked"}
    assert http.put(KEY, json=ENTRY).status_code == 201
    assert http.get(KEY).status_code == 404


def test_questions_and_settings_outlive_a_restart(tmp_path: Path) -> None:
    with serving(directory.app(tmp_path)) as http:
        http.put("/simulate/settings", json={"polls_until_synced": 2})
        http.put(KEY, json=ENTRY)
        assert states(http, 1) == ["pending"]
    with serving(directory.app(tmp_path)) as http:
        assert states(http, 1) == ["synced"]
        http.delete(KEY)
    with serving(directory.app(tmp_path)) as http:
        assert http.get(KEY).status_code == 404
