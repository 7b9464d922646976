"""The simulators as processes: ready, ended, killed, started again."""

import re
import signal
import smtplib
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.simulators.conftest import PARTIES, PATIENCE, Party, line_of, running, until

pytestmark = pytest.mark.slow  # processes are started and killed for real


def url_in(line: str, scheme: str = "http") -> str:
    """The address in the one line that says `ready`."""
    found = re.match(rf"ready ({scheme}://127\.0\.0\.1:\d+)(?: |$)", line)
    assert found is not None, line
    return found[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_ends_cleanly_while_a_request_hangs(party: Party, tmp_path: Path, number: signal.Signals) -> None:
    with running(party.name, "--state", str(tmp_path)) as process, ThreadPoolExecutor(1) as threads:
        url = url_in(line_of(process))
        httpx.put(f"{url}/faults", json={"kind": "hang", "times": 1})
        request = threads.submit(httpx.put, url + party.path("k"), json=party.body, timeout=PATIENCE)
        until(lambda: not httpx.get(f"{url}/faults").json())
        process.send_signal(number)
        assert process.communicate(timeout=PATIENCE) == ("", "")
        assert process.returncode == 0
        with pytest.raises(httpx.RemoteProtocolError):
            request.result(PATIENCE)


def test_what_was_answered_outlives_a_kill(party: Party, tmp_path: Path) -> None:
    """Killed in the midst of work: whatever it had answered for is there, and is not done twice."""
    with running(party.name, "--state", str(tmp_path)) as process, ThreadPoolExecutor(1) as threads:
        url = url_in(line_of(process))
        answered: dict[str, object] = {}

        def work() -> None:
            with httpx.Client(timeout=PATIENCE) as http:
                for number in range(100_000):
                    answered[str(number)] = http.put(url + party.path(str(number)), json=party.body).json()

        working = threads.submit(work)
        until(lambda: len(answered) >= 20 or working.done())
        process.kill()
        with pytest.raises(httpx.TransportError):
            working.result(PATIENCE)
    with running(party.name, "--state", str(tmp_path)) as process:
        url = url_in(line_of(process))
        with httpx.Client(base_url=url, timeout=PATIENCE) as http:
            for key, answer in answered.items():
                again = http.put(party.path(key), json=party.body)
                assert (again.status_code, again.json()) == (200, answer)
            # One more may have been done, whose answer was cut off.
            assert len(http.get(party.path()).json()) in (len(answered), len(answered) + 1)


@pytest.mark.parametrize("name", [*(party.name for party in PARTIES), "mail"])
def test_a_taken_port_is_one_sentence(name: str, tmp_path: Path) -> None:
    folder = "--maildir" if name == "mail" else "--state"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with running(name, folder, str(tmp_path / "m"), "--port", port) as process:
            out, complaint = process.communicate(timeout=PATIENCE)
    assert out == ""
    assert re.fullmatch(r"[^\n]+\.\n", complaint)
    assert "--port" in complaint or "ports" in complaint
    assert process.returncode == 1


def test_a_state_that_can_not_be_written_is_never_ready(tmp_path: Path) -> None:
    (tmp_path / "vendor.db").mkdir()
    with running("vendor", "--state", str(tmp_path)) as process:
        out, complaint = process.communicate(timeout=PATIENCE)
    assert out == ""
    assert "unable to open database file" in complaint
    assert process.returncode != 0


@pytest.mark.parametrize("how", ["--webhook-secret", "--webhook-secret-file"])
def test_the_carrier_takes_its_secret(tmp_path: Path, how: str) -> None:
    (tmp_path / "secret").write_text("shared\n")
    given = "shared" if how == "--webhook-secret" else str(tmp_path / "secret")
    with socket.create_server(("127.0.0.1", 0)) as hook, ThreadPoolExecutor(1) as threads:
        url = f"http://127.0.0.1:{hook.getsockname()[1]}/"
        with running("carrier", "--state", str(tmp_path), "--webhook-url", url, how, given) as process:
            event = {"tracking_number": "T", "status": "delivered", "occurred_at": "now"}
            carrier = url_in(line_of(process))
            post = threads.submit(httpx.post, f"{carrier}/simulate/events", json=event, timeout=PATIENCE)
            hook.settimeout(PATIENCE)
            connection, _ = hook.accept()
            with connection:
                assert re.search(rb"x-tokens-signature: sha256=[0-9a-f]{64}\r\n", connection.recv(65536).lower())
                connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            assert post.result(PATIENCE).json() == {"webhook": 204}


def deliver(address: str, number: int) -> None:
    host, port = address.removeprefix("smtp://").split(":")
    content = f"Message-ID: <{number}@rxnt.example>\r\nSubject: {number}\r\n\r\nhello\r\n"
    with smtplib.SMTP(host, int(port), timeout=PATIENCE) as server:
        server.sendmail("tokens@rxnt.example", ["dana@clinic.example"], content)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_the_sink_ends_cleanly_while_a_message_hangs(tmp_path: Path, number: signal.Signals) -> None:
    with running("mail", "--maildir", str(tmp_path / "mail")) as process, ThreadPoolExecutor(1) as threads:
        line = line_of(process)
        control = line.rpartition(" ")[2]
        httpx.put(f"{control}/faults", json={"kind": "hang", "times": 1})
        sending = threads.submit(deliver, url_in(line, "smtp"), 1)
        until(lambda: not httpx.get(f"{control}/faults").json())
        process.send_signal(number)
        assert process.communicate(timeout=PATIENCE) == ("", "")
        assert process.returncode == 0
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
            sending.result(PATIENCE)


def test_mail_that_was_taken_outlives_a_kill(tmp_path: Path) -> None:
    folder = tmp_path / "mail"
    with running("mail", "--maildir", str(folder)) as process:
        address = url_in(line_of(process), "smtp")
        for number in range(5):
            deliver(address, number)
        process.kill()
        process.wait(PATIENCE)
    with running("mail", "--maildir", str(folder)) as process:
        line = line_of(process)
        for number in range(6):
            deliver(url_in(line, "smtp"), number)
        assert httpx.get(f"{line.rpartition(' ')[2]}/healthz").json()["duplicates"] == 5
    assert len(list((folder / "new").iterdir())) == 6
