"""What comes in over HTTP, without a journey that waits for it: forged, stale, too large, unreadable, unknown. Temporal is away
in all of these tests; nothing here may need it."""

import json
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import select

from database.engine import Sessions, engine_of, sessions_of
from database.tables import WebhookEvent
from settings import Settings
from simulators import webhooks as simulated
from simulators.webhooks import Hook
from starter.gateway.parts import Gateway
from starter.gateway.webhooks import kept
from starter.gateway.webhooks.event import Event, Stale, Unreadable
from starter.gateway.webhooks.router import LARGEST_BODY, Forged, read
from starter.gateway.webhooks.senders import SENDERS, Sender
from starter.gateway.webhooks.signatures import Call
from tests.gateway.webhooks import bodies
from tests.gateway.webhooks.conftest import PATHS, SECRETS, Sending, gateway
from tests.stage import Theatre

NAMES = list(PATHS)
Count = Callable[[str, str], float]
GOOD: dict[str, dict[str, Any]] = {
    "plain": bodies.plain("TKN1", "delivered") | {"detail": "Left with Ann, 555-0100"},
    "easypost": bodies.easypost("TKN1", "delivered"),
    "shippo": bodies.shippo("TKN1", "DELIVERED", "delivered"),
    "vendor": {"event": "revoked", "reference": "token-1", "occurred_at": bodies.AT, "who": "Ann"},
    "surescripts": {"event": "synced", "reference": "token-1", "occurred_at": bodies.AT},
}


@pytest.fixture
def alone(settings: Settings, theatre: Theatre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings with a database of their own, and no Temporal."""
    shutil.copy(theatre.database, tmp_path / "tokens.db")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{taken.getsockname()[1]}")
    return settings.model_copy(update={"database_url": f"sqlite:///{tmp_path / 'tokens.db'}"})


@pytest.fixture
def send(alone: Settings) -> Iterator[Sending]:
    with gateway(alone) as send:
        yield send


@pytest.fixture
def sessions(alone: Settings) -> Iterator[Sessions]:
    engine = engine_of(alone.url_of_database)
    yield sessions_of(engine)
    engine.dispose()


def rows(sessions: Sessions) -> list[WebhookEvent]:
    with sessions() as session:
        return list(session.scalars(select(WebhookEvent).order_by(WebhookEvent.received_at)))


@pytest.mark.parametrize("sender", NAMES)
def test_a_forged_one_leaves_nothing_but_a_count(
    send: Sending, sessions: Sessions, counted: Count, sender: str
) -> None:
    before = counted(sender, "unsigned")
    others = {name: secret for name, secret in SECRETS.items() if name != sender}
    for secret in ("guessed", *others.values()):
        answer = send(sender, GOOD[sender], secret)
        assert answer.status_code == 401
        assert answer.json()["detail"].startswith("The signature does not fit")
    assert send.http.post(PATHS[sender], json=GOOD[sender]).status_code == 401
    assert send.http.post(PATHS[sender], content=b"{").status_code == 401
    assert counted(sender, "unsigned") == before + len(others) + 3
    assert rows(sessions) == []


def test_a_sender_without_a_secret_is_never_believed(alone: Settings) -> None:
    for sender in SENDERS:
        for secrets in ({}, {sender.name: SecretStr("")}):
            gateway = Gateway(alone.model_copy(update={"webhook_secrets": secrets}))
            with pytest.raises(Forged):
                read(gateway, sender, Call(b"{}", "/", {}, {}))
            gateway.close()


def test_stale_ones(send: Sending, sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    # The senders' clock is ten minutes behind; the gateway's own runs in the same process, so theirs alone is moved.
    monkeypatch.setattr(simulated, "time", Behind(600))
    monkeypatch.setattr(simulated, "formatdate", lambda: "Tue, 24 Nov 2020 15:00:00 -0000")
    for sender in NAMES:
        assert send(sender, GOOD[sender]).status_code == 401
    assert rows(sessions) == []


class Behind:
    """A clock that is late by so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def time(self) -> float:
        return time.time() - self._seconds


def test_easypost_s_older_signature_is_not_believed_beyond_what_is_remembered(
    send: Sending, sessions: Sessions
) -> None:
    def older(made_at: datetime) -> int:
        body = bodies.encoded(bodies.easypost("TKN1", "delivered") | {"created_at": made_at.isoformat()})
        signed = simulated.easypost(Hook("", SECRETS["easypost"]), body)
        headers = {"X-Hmac-Signature": signed["X-Hmac-Signature"]}
        return send.http.post(PATHS["easypost"], content=body, headers=headers).status_code

    assert older(datetime.now(UTC) - timedelta(days=31)) == 401
    assert rows(sessions) == []
    assert older(datetime.now(UTC) - timedelta(days=29)) == 202
    assert len(rows(sessions)) == 1


@pytest.mark.parametrize("sender", NAMES)
def test_too_large_a_body(send: Sending, sessions: Sessions, counted: Count, sender: str) -> None:
    before = counted(sender, "too_large")
    content = b" " * LARGEST_BODY + bodies.encoded(GOOD[sender])
    answer = send(sender, content)
    assert answer.status_code == 413
    assert "512 kB" in answer.json()["detail"]
    # One that does not say beforehand how long it is.
    assert send.http.post(PATHS[sender], content=iter([b"x" * 65536] * 9)).status_code == 413
    assert counted(sender, "too_large") == before + 2
    assert rows(sessions) == []
    room = LARGEST_BODY - len(bodies.encoded(GOOD[sender]))
    assert send(sender, b" " * room + bodies.encoded(GOOD[sender])).status_code == 202


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"7", b'"text"', b"\xff\xfe", b"[" * 100_000, b'{"a":1}x']
)
@pytest.mark.parametrize("sender", NAMES)
def test_what_is_not_a_json_object(send: Sending, sender: str, content: bytes) -> None:
    answer = send(sender, content)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].startswith("The body is not")


@pytest.mark.parametrize("sender", NAMES)
def test_what_nobody_waits_for_is_kept_once_and_without_words(
    send: Sending, sessions: Sessions, counted: Count, sender: str
) -> None:
    before = counted(sender, "kept")
    for _ in range(3):
        answer = send(sender, GOOD[sender])
        assert (answer.status_code, answer.json()["taken"]) == (202, False)
    assert counted(sender, "kept") == before + 3
    [row] = rows(sessions)
    assert (row.sender, row.passed_on_at) == (sender, None)
    assert (row.tracking_number or row.journey_id) in ("TKN1", "token-1")
    assert row.occurred_at == datetime(2037, 3, 4, 15, 20, tzinfo=UTC)
    with sessions() as session:
        stored = session.connection().exec_driver_sql("select * from webhook_events").fetchall()
    assert [word for word in ("Ann", "555-0100", "JOHN", "In words") if word in str(stored)] == []


def test_a_transition_that_is_none_is_not_even_kept(send: Sending, sessions: Sessions) -> None:
    answer = send("easypost", bodies.easypost("TKN1", "delivered", previous="delivered"))
    assert answer.status_code == 202
    assert "No journey needs to know" in answer.json()["detail"]
    assert rows(sessions) == []


def test_what_is_old_is_forgotten(send: Sending, sessions: Sessions) -> None:
    for sender in NAMES:
        send(sender, GOOD[sender])
    with sessions.begin() as session:
        for sender, age in (("plain", 31), ("vendor", 29)):
            row = session.scalars(select(WebhookEvent).where(WebhookEvent.sender == sender)).one()
            row.received_at = datetime.now(UTC) - timedelta(days=age)
    assert kept.forget(sessions, timedelta(days=30)) == 1
    assert {row.sender for row in rows(sessions)} == set(NAMES) - {"plain"}


def test_of_two_who_look_at_once_one_tells(sessions: Sessions) -> None:
    event = Event("plain", "carrier_event", "delivered", datetime.now(UTC), tracking_number="TKN1")
    kept.remember(sessions, event, told=False)
    assert [kept.take_up(sessions, event) for _ in range(2)] == [True, False]
    assert not kept.take_up(sessions, Event("plain", "carrier_event", "failure", datetime.now(UTC), "TKN1"))
    kept.remember(sessions, event, told=True)
    with sessions.begin() as session:
        session.get_one(WebhookEvent, event.key).next_try_at = datetime.now(UTC) - timedelta(hours=1)
    assert not kept.take_up(sessions, event)


def test_a_database_that_does_not_answer(send: Sending, sessions: Sessions) -> None:
    with sessions.begin() as session:
        session.connection().exec_driver_sql("drop table webhook_events")
    for sender in NAMES:
        answer = send(sender, GOOD[sender])
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert "send the event again later" in answer.json()["detail"]


# Whatever is signed: read, or refused with a sentence

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=10,
)


@given(content=st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()))
@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)
def test_no_body_does_harm(settings: Settings, sender: Sender, content: bytes) -> None:
    secrets = {name: SecretStr(secret) for name, secret in SECRETS.items()}
    gateway = Gateway(settings.model_copy(update={"webhook_secrets": secrets}))
    hook = Hook(f"http://127.0.0.1:1{PATHS[sender.name]}", SECRETS[sender.name])
    sign = {"easypost": simulated.easypost, "shippo": simulated.shippo}.get(sender.name, simulated.plain)
    headers = {name.lower(): value for name, value in sign(hook, content).items()}
    try:
        read(gateway, sender, Call(content, PATHS[sender.name], _AnyCase(headers), {}))
    except (Unreadable, Stale) as refused:
        assert str(refused).endswith(".") or isinstance(refused, Stale)
    finally:
        gateway.close()


class _AnyCase(dict[str, str]):
    """Header names in any case, as a server hands them on."""

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key.lower(), default)
