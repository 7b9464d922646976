"""The mail sink over real SMTP."""

import smtplib
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest

from simulators.mail import MailSink, control
from simulators.serving import Serving


def send(sink: MailSink, message_id: str = "<1@x.example>", to: str = "a@b.example") -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Message-ID"] = "c@d.example", to, message_id
    message.set_content("hello")
    with smtplib.SMTP("127.0.0.1", sink.port, timeout=2) as server:
        server.send_message(message)


def test_kept_in_order_and_once_per_message_id(tmp_path: Path) -> None:
    with MailSink(tmp_path / "mail") as sink:
        for number in (1, 2, 2, 3):
            send(sink, f"<{number}@x.example>")
        assert [message["Message-ID"] for message in sink.messages()] == [
            f"<{number}@x.example>" for number in (1, 2, 3)
        ]
        assert sink.duplicates == 1
    with MailSink(tmp_path / "mail") as restarted:
        send(restarted, "<3@x.example>")
        assert len(restarted.messages()) == 3


def test_faults(tmp_path: Path) -> None:
    with MailSink(tmp_path / "mail") as sink:
        sink.fault("tempfail", times=1)
        with pytest.raises(smtplib.SMTPDataError):
            send(sink)
        sink.fault("refuse", times=1, recipient="@gone")
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            send(sink, to="a@gone.example")
        sink.fault("down", times=1)
        with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
            send(sink)
        assert sink.messages() == []
        sink.fault("lose_reply", times=1)
        with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
            send(sink)
        assert len(sink.messages()) == 1
        send(sink)
        assert sink.duplicates == 1


def test_the_switches_over_http(tmp_path: Path) -> None:
    with MailSink(tmp_path / "mail") as sink, Serving(control(sink)) as serving:
        assert httpx.put(f"{serving.url}/faults", json={"kind": "tempfail"}).status_code == 200
        assert [fault.kind for fault in sink.faults] == ["tempfail"]
        assert httpx.put(f"{serving.url}/faults", json={"kind": "explode"}).status_code == 422
        httpx.delete(f"{serving.url}/faults")
        assert sink.faults == []
