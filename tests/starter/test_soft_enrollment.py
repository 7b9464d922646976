"""Setting up a soft token: what is kept, what the app is given, and who may not."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from urllib.parse import parse_qs, unquote, urlsplit

import pyotp
import pytest
from sqlalchemy import insert, select, text, update
from temporalio.exceptions import ApplicationError

from activities import pins
from activities.enrollment import Enrollment, SoftAttempt
from database import migrate
from database.engine import Sessions, engine_of, sessions_of
from database.sealing import Seal
from database.tables import JourneyRow, SoftEnrollment, TokenRow
from domain.passcodes import Device, current, step
from domain.samples import PRESCRIBERS
from domain.status import Status
from starter import sample_data, soft_enrollment
from starter.soft_enrollment import NotStored, Stored, store
from tests import postgresql

NOON = datetime(2037, 3, 3, 12, 0, tzinfo=UTC)
SEAL = Seal({"k1": "11" * 32})
PEPPER = "pepper"
ONE, OTHER = "token-soft-one", "token-soft-other"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "tokens.db"
    filled(f"sqlite:///{path}")
    return path


def filled(url: str) -> None:
    """The sample data, and a processed soft token's journey for each of two prescribers; `OTHER`'s has no devices."""
    migrate.upgrade(url)
    engine = engine_of(url)
    sessions = sessions_of(engine)
    sample_data.load(sessions, SEAL)
    with sessions.begin() as session:
        for journey_id, prescriber in ((ONE, "P-1002"), (OTHER, "P-1003")):
            journey = {
                "journey_id": journey_id,
                "first_run_id": "run",
                "prescriber_id": prescriber,
                "kind": "soft",
                "status": "Processed",
                "live": True,
                "email": f"{prescriber.lower()}@clinic.example",
                "requested_at": NOON,
                "promises": [],
            }
            session.execute(insert(JourneyRow), [journey])
    engine.dispose()


@pytest.fixture
def sessions(template: Path, tmp_path: Path) -> Iterator[Sessions]:
    path = tmp_path / "tokens.db"
    path.write_bytes(template.read_bytes())
    engine = engine_of(f"sqlite:///{path}")
    yield sessions_of(engine)
    engine.dispose()


def begun(
    sessions: Sessions, journey_id: str = ONE, pin: str = "2580", device: str | None = None, at: datetime = NOON
) -> Stored:
    return store(sessions, SEAL, PEPPER, journey_id=journey_id, pin=pin, device=device, at=at)


def link(sessions: Sessions, reference: str, journey_id: str = ONE) -> str | None:
    """The serial of the token that comes of it."""
    attempt = SoftAttempt(journey_id=journey_id, token_name="My phone", enrollment_ref=reference, at=NOON)
    return Enrollment(sessions, SEAL).link_soft(attempt).serial_number


def kept(sessions: Sessions) -> list[SoftEnrollment]:
    with sessions.begin() as session:
        return list(session.scalars(select(SoftEnrollment)))


def test_the_uri_is_what_authenticator_apps_read(sessions: Sessions) -> None:
    uri = urlsplit(begun(sessions).provisioning_uri)
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    issuer, account = unquote(uri.path).removeprefix("/").split(":")
    assert (issuer, account) == ("RXNT EPCS", "p-1002@clinic.example")
    parameters = parse_qs(uri.query, strict_parsing=True)
    # What is left out is the format's default: SHA1, 6 digits, 30 seconds. Some apps take nothing else anyway.
    assert parameters.keys() == {"secret", "issuer"}
    assert parameters["issuer"] == [issuer]
    assert "+" not in uri.query  # apps that don't read it as a blank show it
    [secret] = parameters["secret"]
    assert len(base64.b32decode(secret)) == 20
    assert "=" not in secret


def test_the_app_shows_what_the_system_expects(sessions: Sessions) -> None:
    stored = begun(sessions)
    app = pyotp.parse_uri(stored.provisioning_uri)
    serial = link(sessions, stored.enrollment_ref)
    with sessions.begin() as session:
        row = session.get_one(TokenRow, serial)
        assert (row.algorithm, row.digits, row.digest, row.period) == ("TOTP", 6, "SHA1", 30)
        device = Device("TOTP", SEAL.open(row.seed, row.serial_number), row.digits, "SHA1", row.period)
    for at in (NOON, NOON + timedelta(seconds=29), NOON + timedelta(days=400)):
        assert app.at(at) == current(device, step(device, at))  # type: ignore[attr-defined]


def test_the_token_keeps_its_name_and_its_seed_lies_in_one_place(sessions: Sessions) -> None:
    stored = begun(sessions)
    serial = link(sessions, stored.enrollment_ref)
    with sessions.begin() as session:
        assert session.get_one(TokenRow, serial).name == "My phone"
    [enrolment] = kept(sessions)
    assert enrolment.seed is None
    assert enrolment.used_at == NOON
    assert link(sessions, stored.enrollment_ref) == serial  # a retried activity


def test_the_pin_is_kept_as_a_peppered_argon2id_hash_only(sessions: Sessions) -> None:
    begun(sessions, pin="7093")
    [enrolment] = kept(sessions)
    assert enrolment.pin_hash.startswith("$argon2id$")
    assert pins.matches(enrolment.pin_hash, "7093", PEPPER)
    assert not pins.matches(enrolment.pin_hash, "7094", PEPPER)
    assert not pins.matches(enrolment.pin_hash, "7093", "another pepper")


@pytest.mark.parametrize("pin", ["0000", "1234", "9876", "8901", "123", "12345", "12a4", "", "١٢٣٤"])
def test_a_weak_pin_is_refused_before_anything_is_kept(sessions: Sessions, pin: str) -> None:
    with pytest.raises(NotStored) as fault:
        begun(sessions, pin=pin)
    assert str(fault.value).endswith(".")
    assert not pin or pin not in str(fault.value)
    assert kept(sessions) == []


def test_begun_again_it_has_another_seed_and_the_older_reference_ends(sessions: Sessions) -> None:
    first = begun(sessions)
    another_persons = begun(sessions, OTHER)
    second = begun(sessions)
    assert first.provisioning_uri != second.provisioning_uri
    with pytest.raises(ApplicationError, match="not known for this journey") as fault:
        link(sessions, first.enrollment_ref)
    assert fault.value.type == "Refused"
    assert {row.enrollment_ref for row in kept(sessions)} == {second.enrollment_ref, another_persons.enrollment_ref}
    serial = link(sessions, second.enrollment_ref)
    with sessions.begin() as session:
        seed = SEAL.open(session.get_one(TokenRow, serial).seed, str(serial))
    assert base64.b32encode(seed).decode() in second.provisioning_uri
    assert link(sessions, another_persons.enrollment_ref, OTHER)


def test_an_enrolled_token_keeps_its_seed(sessions: Sessions) -> None:
    serial = link(sessions, begun(sessions).enrollment_ref)
    with sessions.begin() as session:
        before = session.get_one(TokenRow, serial).seed
    with pytest.raises(NotStored, match="enrolled and syncing"):  # the journey's row lags behind
        begun(sessions)
    for status in (Status.SYNCING, Status.ACTIVE, Status.DEACTIVATED, Status.CANCELLED):
        with sessions.begin() as session:
            session.execute(update(JourneyRow).where(JourneyRow.journey_id == ONE).values(status=status))
        with pytest.raises(NotStored, match=f"status {status}"):
            begun(sessions)
    with sessions.begin() as session:
        assert session.get_one(TokenRow, serial).seed == before
    assert len(kept(sessions)) == 1


def test_a_row_that_lags_behind_its_journey_holds_nobody_up(sessions: Sessions) -> None:
    with sessions.begin() as session:
        session.execute(update(JourneyRow).values(status=Status.REQUESTED))
    assert begun(sessions).enrollment_ref


def test_it_needs_a_soft_token_s_journey(sessions: Sessions) -> None:
    with sessions.begin() as session:
        session.execute(text("update journeys set kind = 'hard' where journey_id = :id"), {"id": OTHER})
    for journey_id in (OTHER, "made-up", ""):
        with pytest.raises(NotStored, match="no soft token request"):
            begun(sessions, journey_id)


def test_not_on_a_device_that_sends_prescriptions(sessions: Sessions) -> None:
    fingerprint = next(device.fingerprint for person in PRESCRIBERS for device in person.devices)
    for journey_id in (ONE, OTHER):  # it sends prescriptions, whoever's they are
        for shown in (fingerprint, fingerprint.upper(), f" {fingerprint}\n"):
            with pytest.raises(NotStored, match="used to send prescriptions"):
                begun(sessions, journey_id, device=shown)
    assert kept(sessions) == []
    begun(sessions, device="0" * 64)
    begun(sessions, device=None)
    assert len(kept(sessions)) == 1


def test_a_refused_one_leaves_the_one_before_as_it_was(sessions: Sessions) -> None:
    stored = begun(sessions)
    fingerprint = next(device.fingerprint for person in PRESCRIBERS for device in person.devices)
    for pin, device in (("2580", fingerprint), ("1111", None)):
        with pytest.raises(NotStored):
            begun(sessions, pin=pin, device=device)
    assert link(sessions, stored.enrollment_ref)


def test_abandoned_ones_are_dropped_after_a_day_and_used_ones_stay(sessions: Sessions) -> None:
    used = begun(sessions)
    link(sessions, used.enrollment_ref)
    with sessions.begin() as session:
        session.add(
            SoftEnrollment(
                enrollment_ref="abandoned", journey_id="token-soft-3", pin_hash="x", seed=b"x", stored_at=NOON
            )
        )
    begun(sessions, OTHER, at=NOON + timedelta(hours=23))
    assert len(kept(sessions)) == 3
    begun(sessions, OTHER, at=NOON + timedelta(hours=24, seconds=1))
    assert {row.enrollment_ref for row in kept(sessions)} >= {used.enrollment_ref}
    assert "abandoned" not in {row.enrollment_ref for row in kept(sessions)}


@pytest.mark.slow
@pytest.mark.skipif(postgresql.programs() is None, reason="no PostgreSQL server is installed")
def test_on_postgresql_of_many_begun_at_once_one_stands_and_links_one_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = Barrier(4)

    def hashed_together(_pin: str, _pepper: str) -> str:
        """A real hash takes some longer than others, and would keep them apart."""
        together.wait(30)
        return "hash"

    monkeypatch.setattr(soft_enrollment, "hashed", hashed_together)
    with postgresql.server() as url:
        filled(url)
        engine = engine_of(url)
        sessions = sessions_of(engine)
        with ThreadPoolExecutor(4) as threads:
            stored = list(threads.map(lambda _: begun(sessions), range(4)))
            [standing] = kept(sessions)
            # The retried activity and the page that was loaded again, at once.
            outcomes = list(threads.map(lambda one: _tried(sessions, one.enrollment_ref), stored * 2))
        assert standing.enrollment_ref in {one.enrollment_ref for one in stored}
        assert outcomes.count(None) == 6
        assert len({outcome for outcome in outcomes if outcome}) == 1
        with pytest.raises(NotStored, match="enrolled"):
            begun(sessions)
        with sessions.begin() as session:
            assert session.scalars(select(TokenRow.journey_id).where(TokenRow.kind == "soft")).all() == [ONE]
        engine.dispose()


def _tried(sessions: Sessions, reference: str) -> str | None:
    try:
        return link(sessions, reference)
    except ApplicationError:
        return None
