"""Every fault at every party, over real HTTP."""

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.simulators.conftest import PATIENCE, Party, until

pytestmark = pytest.mark.slow  # every fault at every party; `test_parties` is the short of it


def done(http: httpx.Client, party: Party) -> int:
    return len(http.get(party.path()).raise_for_status().json())


def switch_on(http: httpx.Client, **fault: Any) -> None:
    assert http.put("/faults", json=fault).status_code == 200


@contextmanager
def hanging(http: httpx.Client, party: Party) -> Iterator[Future[httpx.Response]]:
    """A request that hangs by now; the fault clears itself when it hits."""
    switch_on(http, kind="hang", times=1)
    with ThreadPoolExecutor(1) as threads:
        request = threads.submit(httpx.put, f"{http.base_url}{party.path('k')}", json=party.body, timeout=PATIENCE)
        until(lambda: not http.get("/faults").json())
        yield request


def test_latency_comes_before_the_work(party: Party, http: httpx.Client) -> None:
    switch_on(http, kind="latency", seconds=0.01, times=1)
    assert http.put(party.path("k"), json=party.body).status_code == 201
    assert http.get("/faults").json() == []
    switch_on(http, kind="latency", seconds=60, method="put")
    with pytest.raises(httpx.ReadTimeout):
        http.put(party.path("late"), json=party.body, timeout=0.1)
    assert done(http, party) == 1


@pytest.mark.parametrize(("given", "expected"), [({}, 503), ({"status": 500}, 500), ({"status": 429}, 429)])
def test_error_does_no_work(party: Party, http: httpx.Client, given: dict[str, int], expected: int) -> None:
    switch_on(http, kind="error", **given)
    assert [http.put(party.path("k"), json=party.body).status_code for _ in range(2)] == [expected, expected]
    assert http.delete("/faults").status_code == 204
    assert done(http, party) == 0
    assert http.put(party.path("k"), json=party.body).status_code == 201


def test_refuse_is_an_answer_and_no_work(party: Party, http: httpx.Client) -> None:
    switch_on(http, kind="refuse", times=1)
    answer = http.put(party.path("k"), json=party.body)
    assert answer.status_code == 422
    assert answer.json()["detail"]
    assert done(http, party) == 0


def test_hang_lasts_until_the_client_goes(party: Party, http: httpx.Client) -> None:
    switch_on(http, kind="hang", times=1)
    with pytest.raises(httpx.ReadTimeout):
        http.put(party.path("k"), json=party.body, timeout=0.1)
    assert done(http, party) == 0


def test_hang_lasts_until_faults_are_cleared(party: Party, http: httpx.Client) -> None:
    with hanging(http, party) as request:
        assert not request.done()
        http.delete("/faults")
        with pytest.raises(httpx.RemoteProtocolError):
            request.result(PATIENCE)
    assert done(http, party) == 0


def test_lost_reply_is_work_done_without_an_answer(party: Party, http: httpx.Client) -> None:
    switch_on(http, kind="lose_reply", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        http.put(party.path("k"), json=party.body)
    [kept] = http.get(party.path()).json()
    again = http.put(party.path("k"), json=party.body)
    assert again.status_code == 200
    assert again.json().items() <= kept.items()
    assert done(http, party) == 1


def test_lost_reply_of_a_revocation(party: Party, http: httpx.Client) -> None:
    """Not only what makes something is done, but also what undoes it."""
    method, path, listed = {
        "vendor": ("PUT", "/v1/revocations/k", "/v1/revocations"),
        "carrier": ("PUT", "/v1/shipments/k/void", "/v1/voids"),
        "directory": ("DELETE", "/v1/enrollments/k", "/v1/revocations"),
    }[party.name]
    body = {"reference": "k"} if party.name == "vendor" else {}
    switch_on(http, kind="lose_reply", times=2)
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            http.request(method, path, json=body)
    assert http.request(method, path, json=body).is_success
    assert len(http.get(listed, params={"reference": "k"}).json()) == 1


def test_times_count_only_what_matches(party: Party, http: httpx.Client) -> None:
    switch_on(http, kind="error", times=2, method="PUT", path=r"/(a|b)$")
    assert http.get(party.path()).status_code == 200
    assert http.put(party.path("c"), json=party.body).status_code == 201
    assert http.put(party.path("a"), json=party.body).status_code == 503
    assert [fault["times"] for fault in http.get("/faults").json()] == [1]
    assert http.put(party.path("b"), json=party.body).status_code == 503
    assert http.get("/faults").json() == []
    assert http.put(party.path("a"), json=party.body).status_code == 201


def test_the_first_of_several_hits(party: Party, http: httpx.Client) -> None:
    switch_on(http, kind="error", status=500, times=1)
    switch_on(http, kind="refuse", times=1)
    assert [http.put(party.path("k"), json=party.body).status_code for _ in range(3)] == [500, 422, 201]


def test_switches_and_simulations_are_spared(party: Party, http: httpx.Client) -> None:
    switch_on(http, kind="error")
    assert http.get("/healthz").status_code == 200
    assert [fault["kind"] for fault in http.get("/faults").json()] == ["error"]
    assert http.put("/simulate/settings", json={"polls_until_synced": 1}).status_code in (200, 404)
    assert http.delete("/faults").status_code == 204
    assert http.get("/faults").json() == []


def test_what_is_no_fault_is_refused(party: Party, http: httpx.Client) -> None:
    for body in (
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"{}",
        b'{"kind": "other"}',
        b'{"kind": "error", "status": 200}',
        b'{"kind": "error", "times": 0}',
        b'{"kind": "latency", "seconds": -1}',
        b'{"kind": "error", "path": "("}',
        b'{"kind": "error", "unknown": 1}',
    ):
        answer = http.put("/faults", content=body)
        assert answer.status_code == 422, body
        assert re.fullmatch(r"[A-Z][^\n]+\.", answer.json()["detail"])
        assert http.get("/faults").json() == []
