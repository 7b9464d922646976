"""What errors of the database say is logged: they must not repeat people's data."""

from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from database import migrate
from database.engine import engine_of, sessions_of
from database.tables import Practice


def test_an_error_does_not_repeat_values(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'tokens.db'}"
    migrate.upgrade(url)
    engine = engine_of(url)
    sessions = sessions_of(engine)
    with sessions.begin() as session:
        session.add(Practice(practice_id="p", name="Secret Practice", time_zone="UTC"))
    with pytest.raises(IntegrityError) as fault, sessions.begin() as session:
        session.add(Practice(practice_id="p", name="Secret Practice", time_zone="UTC"))
    assert "Secret" not in str(fault.value)
    engine.dispose()
