"""Handing mail over to a real SMTP server within TLS, signed in."""

import smtplib
import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from activities.mail import Relay
from settings import Settings
from tests.stage import Stage
from worker import route


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail relay of a test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(made.public_bytes(Encoding.PEM))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(pem)
    return folder / "certificate.pem"


class Server(Controller):
    """Takes mail only from `tokens` with the password `s3cret`, and only within TLS."""

    def __init__(self, certificate: Path, implicit: bool) -> None:
        self.taken: list[bytes] = []
        self._within = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._within.load_cert_chain(certificate, certificate.with_name("key.pem"))
        options: dict[str, Any] = {"ssl_context": self._within} if implicit else {}
        self._implicit = implicit
        super().__init__(self, hostname="127.0.0.1", port=_free(), **options)

    def factory(self) -> SMTP:
        options: dict[str, Any] = {} if self._implicit else {"tls_context": self._within, "require_starttls": True}
        return SMTP(self, authenticator=self._judge, auth_required=True, auth_require_tls=not self._implicit, **options)

    def _judge(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        good = isinstance(given, LoginPassword) and (given.login, given.password) == (b"tokens", b"s3cret")
        return AuthResult(success=good, handled=good)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.taken.append(envelope.content)
        return "250 OK"


def _free() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@pytest.fixture(params=["starttls", "implicit"])
def server(request: pytest.FixtureRequest, certificate: Path) -> Iterator[tuple[Server, Relay]]:
    running = Server(certificate, implicit=request.param == "implicit")
    running.start()
    relay = Relay("127.0.0.1", running.port, request.param, certificate, "tokens", "s3cret")
    yield running, relay
    running.stop()


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # the server does not see TLS around it
def test_mail_goes_within_tls_signed_in_and_to_nobody_else(server: tuple[Server, Relay], certificate: Path) -> None:
    running, relay = server
    with relay.connect() as connection:
        connection.sendmail("a@x.example", ["b@x.example"], b"Subject: hello\r\n\r\nbody\r\n")
    assert b"Subject: hello" in running.taken[0]
    assert "s3cret" not in repr(relay)
    with pytest.raises(smtplib.SMTPAuthenticationError):
        replace(relay, password="wrong").connect()
    # A certificate of nobody we trust, or for somebody else: not a word is said.
    with pytest.raises(ssl.SSLCertVerificationError):
        replace(relay, ca_file=None).connect()
    with pytest.raises(ssl.SSLCertVerificationError):
        replace(relay, host="localhost").connect()
    assert len(running.taken) == 1


def test_the_password_is_never_sent_in_the_clear() -> None:
    with pytest.raises(ValidationError, match="TOKENS_SMTP_USER needs TOKENS_SMTP_TLS"):
        Settings(_env_file=None, smtp_user="tokens")  # type: ignore[call-arg]


async def test_a_letter_goes_out_through_it(stage: Stage, certificate: Path) -> None:
    running = Server(certificate, implicit=False)
    running.start()
    try:
        given = {
            "smtp_port": running.port,
            "smtp_tls": "starttls",
            "smtp_ca_file": certificate,
            "smtp_user": "tokens",
            "smtp_password": type(stage.settings.pin_pepper)("s3cret"),
        }
        relay = route(stage.settings.model_copy(update=given)).relay
        for owner in stage.dependencies._owners:
            if type(owner).__name__ == "Mail":
                owner._route = replace(owner._route, relay=relay)  # type: ignore[attr-defined]
        journey = await stage.request("soft")
        for _ in range(100):
            if running.taken:
                break
            await journey.wait(seconds=1)
        assert b"Message-ID: <" in running.taken[0]
        assert not stage.mailbox.messages()
    finally:
        running.stop()
