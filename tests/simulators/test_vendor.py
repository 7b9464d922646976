"""The vendor's own answers."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from simulators import vendor
from tests.simulators.conftest import serving


@pytest.fixture
def http(tmp_path: Path) -> Iterator[httpx.Client]:
    with serving(vendor.app(tmp_path)) as client:
        yield client


def test_a_hard_token_is_provisioned_by_its_serial(http: httpx.Client) -> None:
    answer = http.put("/v1/provisionings/k", json={"kind": "hard", "serial_number": "HT-1", "reference": "r"}).json()
    assert answer.pop("provisioning_id")
    assert answer == {"state": "provisioned", "serial_number": "HT-1"}


def test_a_soft_token_has_no_serial(http: httpx.Client) -> None:
    for body in ({"kind": "soft", "reference": "r"}, {"kind": "soft", "reference": "r", "serial_number": None}):
        answer = http.put(f"/v1/provisionings/{len(body)}", json=body)
        assert answer.status_code == 201
        assert set(answer.json()) == {"provisioning_id", "state"}


def test_revocations_are_done_once_and_listed(http: httpx.Client) -> None:
    body = {"reference": "r", "serial_number": "HT-1"}
    answers = [http.put("/v1/revocations/k", json=body) for _ in range(2)]
    assert [(answer.status_code, answer.json()) for answer in answers] == [
        (201, {"state": "revoked"}),
        (200, {"state": "revoked"}),
    ]
    assert http.put("/v1/revocations/k", json={"reference": "other"}).status_code == 409
    assert http.put("/v1/revocations/l", json={}).status_code == 422
    [row] = http.get("/v1/revocations", params={"reference": "r"}).json()
    assert row == {"key": "k", "request": body, "state": "revoked"}
    assert http.get("/v1/provisionings", params={"reference": "r"}).json() == []
