"""Sending mail through servers that behave worse than the simulator does: bare SMTP over a socket."""

import itertools
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.testing import ActivityEnvironment

from activities import mail_limits
from activities.mail import Mail, Mailing, MailReport
from database import migrate
from database.engine import Sessions, engine_of, sessions_of
from database.sealing import Seal
from domain.chronicle import Letter
from settings import Settings
from tests.holding import BUTTON, NOON, hold
from worker import route

_step = itertools.count()


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    folder: Path = tmp_path_factory.mktemp("mail")
    url = f"sqlite:///{folder / 'tokens.db'}"
    migrate.upgrade(url)
    engine = engine_of(url)
    yield sessions_of(engine)
    engine.dispose()


@contextmanager
def server(
    *,
    to_quit: bytes = b"221 bye",
    letters_before_silence: int = 1000,
    before_220: Callable[[], None] = lambda: None,
    before_250: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, list[bytes]]]:
    """Its port, and the letters that it has taken. After so many it answers no letter any more, until its client has gone."""
    taken: list[bytes] = []
    over = threading.Event()

    class Talk(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            before_220()
            with suppress(OSError):  # nobody has waited for it
                self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline():
                match line[:4].upper():
                    case b"DATA":
                        self.wfile.write(b"354 go on\r\n")
                        letter = b"".join(iter(self.rfile.readline, b".\r\n"))
                        if len(taken) >= letters_before_silence:
                            over.wait()
                            return
                        taken.append(letter)
                        before_250()
                        self.wfile.write(b"250 taken\r\n")
                    case b"QUIT":
                        self.wfile.write(to_quit + b"\r\n")
                        return
                    case _:
                        self.wfile.write(b"250 go on\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Talk) as listening:
        listening.daemon_threads = True
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield listening.server_address[1], taken
        finally:
            over.set()
            listening.shutdown()
            thread.join()


def send(sessions: Sessions, port: int, mailing: Mailing, *, here: bool = False) -> MailReport:
    """`here`: within a workflow task."""
    sender = Mail(sessions, Seal({"test": "00" * 32}), route(Settings(smtp_port=port)))
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, is_local=here)
    return environment.run(sender.send, mailing)


def mailing(sessions: Sessions, letters: int) -> Mailing:
    journey_id, _ = hold(sessions, Seal({"test": "00" * 32}), BUTTON, status="Delivered", state="shipped")
    steps = [f"cancelled-{next(_step)}" for _ in range(letters)]
    return Mailing(
        journey_id=journey_id, letters=[Letter(letter="request_cancelled", step=step, at=NOON) for step in steps]
    )


def test_an_odd_answer_to_quit_does_not_send_a_letter_again(sessions: Sessions) -> None:
    wanted = mailing(sessions, 1)
    with server(to_quit=b"421 too many connections") as (port, taken):
        first = send(sessions, port, wanted)
        again = send(sessions, port, wanted)
    assert first == again == MailReport(sent=[wanted.letters[0].step], refused=[])
    assert len(taken) == 1


def test_an_attempt_ends_in_its_time_whatever_the_server_does(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread, too: the next attempt, which Temporal begins when this one's time is over, is alone."""
    wanted = mailing(sessions, 3)
    monkeypatch.setattr(mail_limits, "_AT_MOST", 0.5)
    with server(letters_before_silence=1) as (port, taken), pytest.raises(ApplicationError, match="not take every"):
        send(sessions, port, wanted)
    with server() as (port, rest):
        assert send(sessions, port, wanted) == MailReport(sent=[letter.step for letter in wanted.letters], refused=[])
    assert (len(taken), len(rest)) == (1, 2)


def test_within_a_workflow_task_a_slow_server_gets_one_letter_and_it_once(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has read is waited for, however long it takes to say 250; nothing else is begun."""
    wanted = mailing(sessions, 3)
    monkeypatch.setattr(mail_limits, "_SHORTLY", 0.3)
    with server(before_250=lambda: time.sleep(0.5)) as (port, taken):
        with pytest.raises(ApplicationError, match="not take every"):
            send(sessions, port, wanted, here=True)
        assert len(taken) == 1
    with server() as (port, rest):
        assert send(sessions, port, wanted) == MailReport(sent=[letter.step for letter in wanted.letters], refused=[])
    assert len(rest) == 2


def test_within_a_workflow_task_a_server_that_is_slow_to_greet_is_left_alone(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = mailing(sessions, 1)
    monkeypatch.setattr(mail_limits, "_SHORTLY", 0.3)
    with server(before_220=lambda: time.sleep(1)) as (port, taken):
        with pytest.raises(ApplicationError, match="not take every"):
            send(sessions, port, wanted, here=True)
        assert not taken
        assert send(sessions, port, wanted).sent == [wanted.letters[0].step]
    assert len(taken) == 1


def test_a_cancellation_ends_with_the_letter_in_hand(sessions: Sessions) -> None:
    """As when a worker's time to drain is over. What the server has taken is on record, and not sent again."""
    wanted = mailing(sessions, 2)
    environment = ActivityEnvironment()
    with server(before_250=environment.cancel) as (port, taken):
        sender = Mail(sessions, Seal({"test": "00" * 32}), route(Settings(smtp_port=port)))
        with pytest.raises(CancelledError):
            environment.run(sender.send, wanted)
        assert len(taken) == 1
        assert send(sessions, port, wanted) == MailReport(sent=[letter.step for letter in wanted.letters], refused=[])
        assert len(taken) == 2
