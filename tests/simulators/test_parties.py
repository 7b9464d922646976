"""The simulated parties over real HTTP: idempotent by key, faults at the switch, state that survives."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from simulators import carrier, directory, vendor
from simulators.serving import Serving

ASKED = {
    vendor: ("/v1/provisionings/k", {"kind": "hard", "reference": "j", "serial_number": "HT-1"}, "/v1/provisionings"),
    carrier: ("/v1/shipments/k", {"to": {"name": "x"}, "from": {}, "reference": "j"}, "/v1/shipments"),
    directory: ("/v1/enrollments/k", {"prescriber_id": "P-1", "kind": "hard", "reference": "j"}, "/v1/enrollments"),
}


@pytest.fixture(params=list(ASKED), ids=lambda party: party.__name__)
def party(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


@pytest.fixture
def http(party: ModuleType, tmp_path: Path) -> Iterator[httpx.Client]:
    with Serving(party.app(tmp_path)) as serving, httpx.Client(base_url=serving.url, timeout=2) as http:
        yield http


def test_done_once_per_key_and_kept(party: ModuleType, http: httpx.Client, tmp_path: Path) -> None:
    path, body, listed = ASKED[party]
    first, again = http.put(path, json=body), http.put(path, json=body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert http.put(path, json={**body, "kind": "soft", "to": {"name": "y"}}).status_code == 409
    with Serving(party.app(tmp_path)) as restarted:
        [kept] = httpx.get(f"{restarted.url}{listed}", params={"reference": "j"}).json()
    assert kept["key"] == "k"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"{", b"\xff"])
def test_a_bad_body_is_one_sentence(party: ModuleType, http: httpx.Client, content: bytes) -> None:
    answer = http.put(ASKED[party][0], content=content)
    assert answer.status_code == 422
    assert answer.json()["detail"].endswith(".")


def test_faults(party: ModuleType, http: httpx.Client) -> None:
    path, body, listed = ASKED[party]
    http.put("/faults", json={"kind": "error", "status": 500, "times": 1})
    assert http.put(path, json=body).status_code == 500
    assert http.get(listed).json() == []
    http.put("/faults", json={"kind": "refuse", "times": 1})
    assert http.put(path, json=body).status_code == 422
    http.put("/faults", json={"kind": "lose_reply", "times": 1, "method": "PUT"})
    with pytest.raises(httpx.RemoteProtocolError):
        http.put(path, json=body)
    assert len(http.get(listed).json()) == 1
    http.put("/faults", json={"kind": "hang", "times": 1})
    with pytest.raises(httpx.ReadTimeout):
        http.put(path, json=body, timeout=0.1)
    http.put("/faults", json={"kind": "error"})
    assert http.get("/healthz").status_code == 200
    assert http.delete("/faults").status_code == 204
    assert http.put(path, json=body).status_code == 200
    assert http.put("/faults", json={"kind": "explode"}).status_code == 422


def test_the_directory_goes_by_how_often_it_is_asked(tmp_path: Path) -> None:
    with Serving(directory.app(tmp_path)) as serving, httpx.Client(base_url=serving.url) as http:
        path, body, _ = ASKED[directory]
        assert http.get(path).status_code == 404
        http.put(path, json=body)
        http.put("/simulate/settings", json={"polls_until_synced": 2})
        assert [http.get(path).json()["state"] for _ in range(3)] == ["pending", "synced", "synced"]
        assert http.delete(path).json() == {"state": "revoked"}
        assert http.get(path).status_code == 404
