"""The carrier's labels, and its signed webhooks as a receiver sees them."""

import hashlib
import hmac
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators import carrier
from simulators.serving import Serving
from tests.simulators.conftest import ADDRESS, serving

pytestmark = pytest.mark.slow  # every fault at every party; `test_parties` is the short of it

SECRET = "not a secret: ünï"
LABEL = {"to": ADDRESS, "from": ADDRESS, "reference": "token-1"}
EVENT = {"tracking_number": "TKN000000000000", "status": "delivered", "occurred_at": "2026-11-23T10:00:00-05:00"}


class Receiver:
    """Takes webhooks, and answers `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.app = Starlette(routes=[Route("/hook", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        self.taken.append((dict(request.headers), await request.body()))
        return Response(status_code=self.status)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def http(receiver: Receiver, tmp_path: Path) -> Iterator[httpx.Client]:
    with Serving(receiver.app) as hook, serving(carrier.app(tmp_path, f"{hook.url}/hook", SECRET)) as client:
        yield client


def test_tracking_numbers(http: httpx.Client) -> None:
    numbers = [http.put(f"/v1/shipments/{key}", json=LABEL).json()["tracking_number"] for key in range(20)]
    assert len(set(numbers)) == 20
    for number in numbers:
        assert number[:3] == "TKN"
        assert len(number) == 15
        assert number[3:].isdecimal()
        assert number[-1] == carrier.check_digit(number[3:-1])


def test_the_check_digit_is_that_of_bar_codes() -> None:
    assert carrier.check_digit("03600029145") == "2"  # the worked example of a UPC-A code


def test_a_number_is_never_given_out_twice(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter([7, 7, 7, 8])
    monkeypatch.setattr(carrier.secrets, "randbelow", lambda _: next(draws))
    numbers = [http.put(f"/v1/shipments/{key}", json=LABEL).json()["tracking_number"] for key in "ab"]
    assert [number[3:-1] for number in numbers] == ["00000000007", "00000000008"]


def test_a_service_may_be_named(http: httpx.Client) -> None:
    assert http.put("/v1/shipments/k", json={**LABEL, "service": "ground"}).status_code == 201


def test_a_label_can_be_printed(http: httpx.Client) -> None:
    sender = {**ADDRESS, "name": "Dr. Núñez", "street2": "Suite 4"}
    bought = http.put("/v1/shipments/k", json={**LABEL, "from": sender}).json()
    assert bought["label_url"] == str(http.base_url.join(f"/labels/{bought['tracking_number']}"))
    answer = http.get(bought["label_url"])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert f'<div class="number">{bought["tracking_number"]}</div>' in answer.text
    assert "Dr. Núñez<br>12 State Circle<br>Suite 4<br>Annapolis MD 21401" in answer.text
    assert "Front desk<br>12 State Circle<br>Annapolis MD 21401" in answer.text
    assert "size: 4in 6in" in answer.text


@pytest.mark.parametrize(
    ("more", "printed"),
    [({}, "GROUND"), ({"service": "express"}, "EXPRESS"), ({"service": "return"}, "PREPAID RETURN")],
)
def test_the_service_on_the_label(http: httpx.Client, more: dict[str, str], printed: str) -> None:
    page = http.get(http.put("/v1/shipments/k", json={**LABEL, **more}).json()["label_url"]).text
    assert f'<div class="service">{printed}</div>' in page
    assert ("PREPAID RETURN" in page) == ("Nothing is to be paid" in page) == (printed == "PREPAID RETURN")


def test_the_bars_are_those_of_the_number(http: httpx.Client) -> None:
    pages = [http.get(http.put(f"/v1/shipments/{key}", json=LABEL).json()["label_url"]).text for key in "ab"]
    bars = [re.findall("<rect [^>]*>", page) for page in pages]
    assert all(bars)
    assert bars[0] != bars[1]


@pytest.mark.parametrize("part", ["name", "street1", "street2", "city", "state", "postal_code"])
@pytest.mark.parametrize("end", ["to", "from"])
def test_what_is_on_a_label_is_escaped(http: httpx.Client, end: str, part: str) -> None:
    hostile = {**ADDRESS, part: "<script>alert('1')</script> & \"Sons\" {{ 7 * 7 }}"}
    page = http.get(http.put("/v1/shipments/k", json={**LABEL, end: hostile}).json()["label_url"]).text
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &#34;Sons&#34; {{ 7 * 7 }}" in page


def test_the_service_is_escaped(http: httpx.Client) -> None:
    page = http.get(http.put("/v1/shipments/k", json={**LABEL, "service": "<b>x"}).json()["label_url"]).text
    assert '<div class="service">&lt;B&gt;X</div>' in page


def test_no_label_of_that_number(http: httpx.Client) -> None:
    http.put("/v1/shipments/k", json=LABEL)
    answer = http.get("/labels/TKN000000000000")
    assert answer.status_code == 404
    assert list(answer.json()) == ["detail"]
    assert answer.json()["detail"].count(".") == 1


def test_the_same_key_answers_the_same_label(http: httpx.Client) -> None:
    order = {**LABEL, "service": "return"}
    first = http.put("/v1/shipments/k", json=order)
    page = http.get(first.json()["label_url"]).text
    again = http.put("/v1/shipments/k", json=order, headers={"Host": "carrier.example"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert http.put("/v1/shipments/k", json={**order, "service": "ground"}).status_code == 409
    assert http.get(first.json()["label_url"]).text == page
    assert [row["label_url"] for row in http.get("/v1/shipments").json()] == [first.json()["label_url"]]


def test_a_label_outlives_a_restart(tmp_path: Path) -> None:
    with serving(carrier.app(tmp_path)) as http:
        bought = http.put("/v1/shipments/k", json=LABEL).json()
        page = http.get(bought["label_url"]).text
    with serving(carrier.app(tmp_path)) as http:
        assert http.get(f"/labels/{bought['tracking_number']}").text == page
        assert http.put("/v1/shipments/k", json=LABEL).json() == bought


def test_voiding(http: httpx.Client) -> None:
    label = http.put("/v1/shipments/k", json=LABEL).json()
    for _ in range(2):
        answer = http.put("/v1/shipments/k/void", json={})
        assert (answer.status_code, answer.json()) == (200, {"state": "voided"})
    assert http.put("/v1/shipments/never-bought/void", json={}).status_code == 200
    assert http.put("/v1/shipments/k/void", content=b"{").status_code == 422
    assert [row["key"] for row in http.get("/v1/voids", params={"reference": "token-1"}).json()] == ["k"]
    assert http.put("/v1/shipments/k", json=LABEL).json() == label


@pytest.mark.parametrize("more", [{}, {"detail": "left with the neighbour, Señora Núñez"}])
def test_an_event_arrives_as_it_is_and_signed(http: httpx.Client, receiver: Receiver, more: dict[str, str]) -> None:
    answer = http.post("/simulate/events", json={**EVENT, **more})
    assert (answer.status_code, answer.json()) == (202, {"webhook": 200})
    [(headers, body)] = receiver.taken
    assert json.loads(body) == {**EVENT, **more}
    assert headers["content-type"] == "application/json"
    assert headers["x-tokens-timestamp"].isdecimal()
    signed = headers["x-tokens-timestamp"].encode() + b"." + body
    expected = "sha256=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(headers["x-tokens-signature"], expected)
    other = hmac.new(b"another secret", signed, hashlib.sha256).hexdigest()
    assert headers["x-tokens-signature"] != "sha256=" + other


@pytest.mark.parametrize(
    "status", ["pre_transit", "in_transit", "out_for_delivery", "delivered", "failure", "returned"]
)
def test_every_status(http: httpx.Client, receiver: Receiver, status: str) -> None:
    assert http.post("/simulate/events", json={**EVENT, "status": status}).status_code == 202
    assert json.loads(receiver.taken[0][1])["status"] == status


def test_an_event_that_is_not_taken_is_not_sent_again(http: httpx.Client, receiver: Receiver) -> None:
    receiver.status = 503
    answer = http.post("/simulate/events", json=EVENT)
    assert (answer.status_code, answer.json()) == (502, {"webhook": 503})
    assert len(receiver.taken) == 1


def test_events_pass_while_the_carrier_is_down(http: httpx.Client, receiver: Receiver) -> None:
    http.put("/faults", json={"kind": "error"})
    assert http.post("/simulate/events", json=EVENT).status_code == 202


def test_a_webhook_that_can_not_be_reached(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/hook"
    with serving(carrier.app(tmp_path, url, SECRET)) as http:
        answer = http.post("/simulate/events", json=EVENT)
        assert answer.status_code == 502
        assert answer.json()["webhook"] is None


def test_without_a_webhook(tmp_path: Path) -> None:
    with serving(carrier.app(tmp_path)) as http:
        answer = http.post("/simulate/events", json=EVENT)
        assert answer.status_code == 409
        assert "--webhook-url" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("status", "teleported"), ("status", None), ("tracking_number", None), ("occurred_at", None), ("detail", 7)],
)
def test_what_is_no_event(http: httpx.Client, receiver: Receiver, field: str, value: Any) -> None:
    body = {name: content for name, content in {**EVENT, field: value}.items() if content is not None}
    answer = http.post("/simulate/events", json=body)
    assert answer.status_code == 422
    assert field in answer.json()["detail"]
    assert receiver.taken == []
