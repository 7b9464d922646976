"""What the mail room says of a device, and how it is read again from the return's timeline."""

from datetime import UTC, datetime

import pytest

from domain.returning import Return, ReturnStatus, receipt

NOON = datetime(2037, 3, 4, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    ("condition", "destroyed"),
    [
        (None, False),
        ("good", False),
        (" Destroyed ", True),
        ("destroyed by fire, in a bag", False),
        ("scratched, button works", False),
    ],
)
def test_a_receipt_is_read_as_it_was_told(condition: str | None, destroyed: bool) -> None:
    came = Return(journey_id="token-1", return_id="return-1", serial_number="HT-1", prescriber_id="P-1")
    came.note(NOON, "received nothing yet", by=None)
    assert receipt(timeline_of(came)) is None
    came.receive(NOON, "Mo", condition)
    assert (came.status, came.destroyed) == (ReturnStatus.RECEIVED, destroyed)
    told = receipt(timeline_of(came))
    assert told is not None
    assert (told.by, told.condition, told.destroyed) == ("Mo", condition, destroyed)


def timeline_of(came: Return) -> list[dict[str, str | None]]:
    return came.model_dump(mode="json")["timeline"]
