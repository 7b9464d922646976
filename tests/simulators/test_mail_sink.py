"""The mail sink over real SMTP."""

import mailbox
import re
import smtplib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulators import mail
from simulators.mail import MailSink
from tests.simulators.conftest import PATIENCE, serving, until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mail"


@pytest.fixture
def sink(folder: Path) -> Iterator[MailSink]:
    with MailSink(folder) as sink:
        yield sink


def letter(number: int | str, recipient: str = "dana@clinic.example", *, with_id: bool = True) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "tokens@rxnt.example", recipient, f"Número {number}"
    if with_id:
        message["Message-ID"] = f"<{number}@rxnt.example>"
    message.set_content("Señora,\n.a line that begins with a dot\n")
    return message


def send(sink: MailSink, message: EmailMessage, timeout: float = PATIENCE) -> None:
    with smtplib.SMTP("127.0.0.1", sink.port, timeout=timeout) as server:
        server.send_message(message)


def subjects(sink: MailSink) -> list[str]:
    return [message["Subject"] for message in sink.messages()]


def test_a_message_is_kept_as_it_was_sent(sink: MailSink) -> None:
    send(sink, letter(1))
    [kept] = sink.messages()
    assert kept["To"] == "dana@clinic.example"
    assert kept["Message-ID"] == "<1@rxnt.example>"
    assert kept.get_content().replace("\r\n", "\n") == "Señora,\n.a line that begins with a dot\n"


def test_oldest_first(sink: MailSink) -> None:
    for number in range(12):
        send(sink, letter(number))
    assert subjects(sink) == [f"Número {number}" for number in range(12)]


def test_a_maildir_that_any_mail_reader_opens(sink: MailSink, folder: Path) -> None:
    send(sink, letter(1))
    assert sorted(path.name for path in folder.iterdir()) == ["cur", "new", "tmp"]
    assert len(list((folder / "new").iterdir())) == 1
    assert list((folder / "tmp").iterdir()) == []
    box = mailbox.Maildir(folder, create=False)
    [key] = box.keys()
    read = mailbox.MaildirMessage(box.get_message(key))
    read.set_subdir("cur")
    read.add_flag("S")
    box[key] = read
    assert len(sink.messages()) == 1


def test_the_same_message_id_is_taken_but_kept_once(sink: MailSink) -> None:
    for subject in (1, 1, 2, 1):
        send(sink, letter(subject))
    assert subjects(sink) == ["Número 1", "Número 2"]
    assert sink.duplicates == 2


def test_messages_without_an_id_are_all_kept(sink: MailSink) -> None:
    for number in (1, 2):
        send(sink, letter(number, with_id=False))
    assert subjects(sink) == ["Número 1", "Número 2"]
    assert sink.duplicates == 0


def test_known_over_a_restart(folder: Path) -> None:
    with MailSink(folder) as sink:
        send(sink, letter(1))
        send(sink, letter(2))
    box = mailbox.Maildir(folder, create=False)
    box.remove(next(key for key, message in box.items() if message["Message-ID"] == "<1@rxnt.example>"))
    with MailSink(folder) as sink:
        send(sink, letter(2))
        send(sink, letter(3))
        assert subjects(sink) == ["Número 2", "Número 3"]
        assert sink.duplicates == 1


def test_messages_that_somebody_else_put_there(folder: Path) -> None:
    box = mailbox.Maildir(folder, create=True)
    box.add(b"Subject: foreign\nMessage-ID: <1@rxnt.example>\n\nhello")
    box.add(b"Subject: forged\nX-Sink-Number: many\n\nhello")
    with MailSink(folder) as sink:
        send(sink, letter(1))
        send(sink, letter(2))
        assert sorted(subjects(sink)[:2]) == ["foreign", "forged"]
        assert subjects(sink)[2:] == ["Número 2"]


def test_many_senders_at_once(sink: MailSink) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: send(sink, letter(number % 10)), range(30)))
        assert len(list(threads.map(lambda _: len(sink.messages()), range(8)))) == 8
    assert sorted(subjects(sink)) == sorted(f"Número {number}" for number in range(10))
    assert sink.duplicates == 20


def test_tempfail(sink: MailSink) -> None:
    sink.fault("tempfail", times=2)
    for _ in range(2):
        with pytest.raises(smtplib.SMTPDataError) as failure:
            send(sink, letter(1))
        assert failure.value.smtp_code == 451
    send(sink, letter(1))
    assert subjects(sink) == ["Número 1"]
    assert sink.duplicates == 0


def test_refuse_by_regular_expression(sink: MailSink) -> None:
    sink.fault("refuse", recipient=r"^(dana|lee)@")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as failure:
        send(sink, letter(1))
    assert failure.value.recipients["dana@clinic.example"][0] == 550
    send(sink, letter(2, "not.dana@clinic.example"))
    assert subjects(sink) == ["Número 2"]
    sink.clear_faults()
    send(sink, letter(1))


def test_lost_reply(sink: MailSink) -> None:
    sink.fault("lose_reply", times=1)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(sink, letter(1))
    assert subjects(sink) == ["Número 1"]
    send(sink, letter(1))
    assert subjects(sink) == ["Número 1"]
    assert sink.duplicates == 1


def test_hang_until_the_client_goes(sink: MailSink) -> None:
    sink.fault("hang", times=1)
    with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
        send(sink, letter(1), timeout=0.1)
    assert sink.messages() == []
    send(sink, letter(1))


def test_hang_until_faults_are_cleared(sink: MailSink) -> None:
    sink.fault("hang", seconds=120, times=1)
    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(send, sink, letter(1))
        until(lambda: not sink.faults)
        sink.clear_faults()
        with pytest.raises(smtplib.SMTPDataError):
            sending.result(PATIENCE)
    assert sink.messages() == []


def test_down(sink: MailSink) -> None:
    sink.fault("down", times=2)
    for _ in range(2):
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
            send(sink, letter(1))
    send(sink, letter(1))
    assert subjects(sink) == ["Número 1"]


def test_a_full_disk_is_not_a_refusal(sink: MailSink, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(mailbox.Maildir, "add", full)
        with pytest.raises(smtplib.SMTPDataError) as failure:
            send(sink, letter(1))
    assert failure.value.smtp_code == 451
    send(sink, letter(1))
    assert subjects(sink) == ["Número 1"]


def test_ends_while_a_client_is_connected(folder: Path) -> None:
    with MailSink(folder) as sink:
        idle = smtplib.SMTP("127.0.0.1", sink.port, timeout=PATIENCE)
        idle.ehlo()
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        idle.noop()
    idle.close()


def test_ends_while_a_message_hangs(folder: Path) -> None:
    with ThreadPoolExecutor(1) as threads:
        with MailSink(folder) as sink:
            sink.fault("hang", seconds=120, times=1)
            sending = threads.submit(send, sink, letter(1))
            until(lambda: not sink.faults)
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
            sending.result(PATIENCE)


def test_a_taken_port(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        MailSink(folder, port=taken.getsockname()[1]).__enter__()


def test_what_is_no_fault(sink: MailSink) -> None:
    for options in ({"kind": "other"}, {"kind": "refuse", "recipient": "("}, {"kind": "hang", "times": 0}):
        with pytest.raises(ValueError, match="validation error"):
            sink.fault(**options)
    assert sink.faults == []


def test_the_switches_over_http(sink: MailSink) -> None:
    with serving(mail.control(sink)) as http:
        assert http.put("/faults", json={"kind": "tempfail", "times": 1}).status_code == 200
        assert [fault["kind"] for fault in http.get("/faults").json()] == ["tempfail"]
        with pytest.raises(smtplib.SMTPDataError):
            send(sink, letter(1))
        assert http.get("/faults").json() == []
        http.put("/faults", json={"kind": "down"})
        assert http.delete("/faults").status_code == 204
        send(sink, letter(1))
        send(sink, letter(1))
        assert http.get("/healthz").json() == {"status": "ok", "duplicates": 1}
        for body in (b"{", b"{}", b'{"kind": "refuse", "recipient": "("}'):
            answer: httpx.Response = http.put("/faults", content=body)
            assert answer.status_code == 422
            assert re.fullmatch(r"[A-Z][^\n]+\.", answer.json()["detail"])
