"""The authenticator app on a phone."""

import stat
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from simulators.soft_app import SoftApp

NOON = datetime(2037, 3, 3, 12, 0, tzinfo=UTC)
RFC = "otpauth://totp/RXNT%20EPCS:a%40b.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=RXNT%20EPCS"
"""The seed of RFC 6238, appendix B."""
ANOTHER = RFC.replace("GEZDGNBV", "MEZDGNBV")


def test_it_shows_what_rfc_6238_says(tmp_path: Path) -> None:
    app = SoftApp("token-soft-1", tmp_path)
    app.scan(RFC)
    for seconds, passcode in ((59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (2000000000, "279037")):
        assert app.passcode(datetime.fromtimestamp(seconds, UTC)) == passcode
    east = timezone(timedelta(hours=9))
    assert app.passcode(datetime.fromtimestamp(59, east)) == "287082"


def test_what_it_scanned_is_remembered_for_the_owner_only(tmp_path: Path) -> None:
    SoftApp("token-soft-1", tmp_path).scan(RFC)
    shown = SoftApp("token-soft-1", tmp_path).passcode(NOON)
    [file] = (tmp_path / "devices").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    SoftApp("../odd id/ü", tmp_path).scan(ANOTHER)
    assert SoftApp("token-soft-1", tmp_path).passcode(NOON) == shown
    assert {path.parent for path in tmp_path.rglob("app-*")} == {tmp_path / "devices"}


def test_scanned_again_it_forgets_the_code_before(tmp_path: Path) -> None:
    app = SoftApp("token-soft-1", tmp_path)
    app.scan(RFC)
    before = app.passcode(NOON)
    app.scan(ANOTHER)
    assert app.passcode(NOON) != before
    assert len(list((tmp_path / "devices").iterdir())) == 1


def test_before_anything_was_scanned(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="scanned no code yet"):
        SoftApp("token-soft-1", tmp_path).passcode(NOON)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "https://clinic.example/?secret=GEZDGNBVGY3TQOJQ",
        RFC.replace("totp", "hotp"),
        RFC.replace("secret=", "seed="),
        RFC + "&algorithm=GEZDGNBVGY3TQOJQ",
        RFC + "&digits=many-GEZDGNBVGY3TQOJQ",
    ],
)
def test_another_code_is_refused_without_repeating_it(tmp_path: Path, code: str) -> None:
    app = SoftApp("token-soft-1", tmp_path)
    app.scan(RFC)
    with pytest.raises(ValueError, match="not the code of a token") as fault:
        app.scan(code)
    assert "GEZD" not in str(fault.value)
    assert fault.value.__cause__ is None
    assert app.passcode(datetime.fromtimestamp(59, UTC)) == "287082"
