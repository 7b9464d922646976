"""Each sender's words in ours."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from starter.gateway.webhooks import easypost, shippo
from starter.gateway.webhooks.event import Event, Unreadable
from starter.gateway.webhooks.senders import SENDERS, Sender
from tests.gateway.webhooks import bodies
from workflows.messages import CarrierEvent, DirectoryEvent, VendorEvent
from workflows.reading import read as read_message

AT = datetime(2037, 3, 4, 15, 20, tzinfo=UTC)

# The documented statuses, written down a second time: a status that is dropped from the product's table must be missed.
EASYPOST = {
    "unknown": None,
    "pre_transit": "pre_transit",
    "in_transit": "in_transit",
    "out_for_delivery": "out_for_delivery",
    "delivered": "delivered",
    "available_for_pickup": "in_transit",
    "return_to_sender": "returned",
    "failure": "failure",
    "cancelled": "failure",
    "error": "failure",
}
SHIPPO = {
    "UNKNOWN": (None, ["other", None]),
    "PRE_TRANSIT": ("pre_transit", ["information_received", None]),
    "TRANSIT": (
        "in_transit",
        [
            None,
            *("address_issue", "contact_carrier", "delayed", "delivery_attempted", "delivery_rescheduled"),
            *("delivery_scheduled", "location_inaccessible", "notice_left", "package_accepted", "package_arrived"),
            *("package_damaged", "package_departed", "package_forwarded", "package_held", "package_processed"),
            *("package_processing", "pickup_available", "reschedule_delivery", "a_code_of_next_year"),
        ],
    ),
    "DELIVERED": ("delivered", ["delivered", None]),
    "RETURNED": ("returned", ["return_to_sender", "package_unclaimed", None]),
    "FAILURE": ("failure", ["package_undeliverable", "package_disposed", "package_lost", None]),
}


@pytest.mark.parametrize(("status", "ours"), EASYPOST.items())
@pytest.mark.parametrize("description", ["tracker.created", "tracker.updated"])
def test_every_status_of_easypost(status: str, ours: str | None, description: str) -> None:
    body = bodies.easypost("TKN1", status, previous=None) | {"description": description}
    event = easypost.read(body, test_events=False)
    assert (event.status if event else None) == ours
    if event:
        assert (event.message, event.tracking_number, event.occurred_at) == ("carrier_event", "TKN1", AT)


def test_no_status_of_easypost_is_left_out() -> None:
    assert set(easypost.STATUSES) == set(EASYPOST)


@pytest.mark.parametrize(
    ("status", "ours", "code"),
    [
        *((status, ours, code) for status, (ours, codes) in SHIPPO.items() for code in codes),
        ("TRANSIT", "out_for_delivery", "out_for_delivery"),
        ("TRANSIT", "failure", "package_lost"),
        ("TRANSIT", "returned", "return_to_sender"),
        ("TRANSIT", "in_transit", "delivered"),
    ],
)
def test_every_status_and_code_of_shippo(status: str, ours: str | None, code: str | None) -> None:
    event = shippo.read(bodies.shippo("TKN1", status, code), test_events=False)
    assert (event.status if event else None) == ours
    if event:
        assert (event.tracking_number, event.occurred_at, event.detail) == ("TKN1", AT, code)


def test_no_code_of_shippo_is_left_out() -> None:
    played = {code for _, codes in SHIPPO.values() for code in codes} - {None, "a_code_of_next_year"}
    assert set(shippo.SUBSTATUSES) == played | {"out_for_delivery"}
    assert set(shippo.STATUSES) == set(SHIPPO)


@pytest.mark.parametrize("status", [status for status in EASYPOST if status != "unknown"])
def test_a_previous_status_equal_to_the_new_one_is_no_transition(status: str) -> None:
    assert easypost.read(bodies.easypost("TKN1", status, previous=status), test_events=False) is None
    assert easypost.read(bodies.easypost("TKN1", status, previous="pre_transit_of_old"), test_events=False) is not None


def test_an_event_has_the_time_of_its_latest_scan_of_that_status() -> None:
    scans = [
        {"status": "in_transit", "datetime": "2037-03-04T09:00:00-05:00"},
        {"status": "in_transit", "datetime": "2037-03-04T12:00:00"},  # without an offset: UTC
        {"status": "delivered", "datetime": "2037-03-05T12:00:00Z"},
        {"status": "in_transit", "datetime": "soon"},
        "nonsense",
    ]
    event = easypost.read(bodies.easypost("TKN1", "in_transit", tracking_details=scans), test_events=False)
    assert event is not None
    assert event.occurred_at == datetime(2037, 3, 4, 14, tzinfo=UTC)
    without = bodies.easypost("TKN1", "in_transit", tracking_details=None)
    event = easypost.read(without, test_events=False)
    assert event is not None
    assert event.occurred_at == datetime(2037, 3, 4, 16, tzinfo=UTC)
    without["result"]["updated_at"] = None
    event = easypost.read(without | {"created_at": "2037-03-04T17:00:00Z"}, test_events=False)
    assert event is not None
    assert event.occurred_at == datetime(2037, 3, 4, 17, tzinfo=UTC)
    with pytest.raises(Unreadable, match="no time"):
        easypost.read(without, test_events=False)


def test_shippo_s_history_stands_in_for_a_missing_date() -> None:
    event = shippo.read(bodies.shippo("TKN1", "DELIVERED", status_date=None), test_events=False)
    assert event is not None
    assert event.occurred_at == AT
    body = bodies.shippo("TKN1", "DELIVERED", status_date=None)
    body["data"]["tracking_history"] = None
    with pytest.raises(Unreadable, match="status_date"):
        shippo.read(body, test_events=False)


def test_what_is_of_a_test_mode_moves_nothing_unless_it_is_wanted() -> None:
    tried = bodies.easypost("TKN1", "delivered") | {"mode": "test"}
    assert easypost.read(tried, test_events=False) is None
    assert easypost.read(tried, test_events=True) is not None
    tried = bodies.shippo("TKN1", "DELIVERED") | {"test": True}
    assert shippo.read(tried, test_events=False) is None
    assert shippo.read(tried, test_events=True) is not None


@pytest.mark.parametrize(
    ("sender", "body"),
    [
        (easypost, bodies.easypost("TKN1", "delivered") | {"description": "batch.updated"}),
        (easypost, {}),
        (shippo, bodies.shippo("TKN1", "DELIVERED") | {"event": "transaction_updated"}),
        (shippo, {}),
        (shippo, {"event": "track_updated", "data": {"tracking_number": "TKN1", "tracking_status": None}}),
    ],
)
def test_what_is_not_about_a_parcel_is_not_taken(sender: Any, body: dict[str, Any]) -> None:
    assert sender.read(body, test_events=False) is None


@pytest.mark.parametrize(
    ("sender", "body", "sentence"),
    [
        ("easypost", bodies.easypost("TKN1", "eaten by dog"), "status is none"),
        ("easypost", bodies.easypost("", "delivered"), "no tracking number"),
        ("easypost", bodies.easypost("'; drop table journeys", "delivered"), "no tracking number"),
        ("easypost", {"description": "tracker.updated"}, "no tracking number"),
        ("shippo", bodies.shippo("TKN1", "delivered"), "status is none"),
        ("shippo", bodies.shippo("TKN1", "DELIVERED", at="yesterday") | {"data": {}}, "no tracking number"),
        ("plain", {"tracking_number": "TKN1"}, "`status` is missing"),
        ("plain", bodies.plain("TKN1", "eaten by dog"), "`status` must be"),
        ("plain", bodies.plain("TKN1", "delivered", "0001-01-01T00:00:00+14:00"), "calendar"),
        ("vendor", {}, "`event` is none"),
        ("vendor", {"event": "revoked", "reference": 7, "occurred_at": bodies.AT}, "`reference`"),
        ("vendor", {"event": "revoked", "reference": "a\x00b", "occurred_at": bodies.AT}, "`reference`"),
        ("vendor", {"event": "revoked", "reference": "token-1", "occurred_at": "2037-03-04T15:20:00"}, "offset"),
        ("surescripts", {"event": "revoked", "reference": "token-1", "occurred_at": bodies.AT}, "`event` is none"),
        ("surescripts", {"event": "synced", "reference": "token-1"}, "offset"),
    ],
)
def test_what_can_t_be_read_is_refused_with_a_sentence(sender: str, body: dict[str, Any], sentence: str) -> None:
    [named] = [one for one in SENDERS if one.name == sender]
    with pytest.raises(Unreadable, match=sentence) as refused:
        named.read(body, test_events=False)
    assert str(refused.value).endswith(".")


def test_words_of_people_are_left_out() -> None:
    event = easypost.read(bodies.easypost("TKN1", "failure", status_detail="Left with Ann, 555-0100"), test_events=True)
    assert event is not None
    assert event.detail is None
    event = easypost.read(bodies.easypost("TKN1", "failure", status_detail="refused"), test_events=True)
    assert event is not None
    assert event.body()["detail"] == "refused"


def test_a_tracking_number_may_be_printed_in_groups() -> None:
    event = shippo.read(bodies.shippo(" 1Z 999 AA1 01 ", "DELIVERED"), test_events=False)
    assert event is not None
    assert event.tracking_number == "1Z999AA101"


def test_the_same_fact_has_the_same_key_whatever_it_comes_in() -> None:
    first = easypost.read(bodies.easypost("TKN1", "delivered"), test_events=False)
    again = easypost.read(
        bodies.easypost("TKN1", "delivered", "2037-03-04T10:20:00-05:00") | {"id": "evt_other"}, test_events=False
    )
    assert first is not None
    assert again is not None
    assert first.key == again.key
    for other in (
        bodies.easypost("TKN2", "delivered"),
        bodies.easypost("TKN1", "failure"),
        bodies.easypost("TKN1", "delivered", "2037-03-04T15:20:01Z"),
    ):
        event = easypost.read(other, test_events=False)
        assert event is not None
        assert event.key != first.key


# Whatever comes: an event that its journey can read, nothing, or a sentence

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.just(bodies.AT),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
SAMPLES: dict[str, list[dict[str, Any]]] = {
    "easypost": [bodies.easypost("TKN1", status) for status in EASYPOST],
    "shippo": [bodies.shippo("TKN1", status, "delayed") for status in SHIPPO],
    "plain": [bodies.plain("TKN1", "delivered") | {"detail": "x"}],
    "vendor": [{"event": "revoked", "reference": "token-1", "occurred_at": bodies.AT}],
    "surescripts": [{"event": "synced", "reference": "token-1", "occurred_at": bodies.AT}],
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a body."""
    found = [path]
    if isinstance(value, dict):
        found += [place for key, inner in value.items() for place in places(inner, (*path, key))]
    if isinstance(value, list):
        found += [place for key, inner in enumerate(value) for place in places(inner, (*path, key))]
    return found


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The body with something else there."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(copy[path[0]], path[1:], new)
    return copy


@given(st.data())
@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)
def test_no_body_does_harm(sender: Sender, data: st.DataObject) -> None:
    body: Any = data.draw(st.sampled_from(SAMPLES[sender.name]))
    for _ in range(data.draw(st.integers(1, 2))):
        body = put(body, data.draw(st.sampled_from(places(body))), data.draw(anything))
    if not isinstance(body, dict):
        return  # refused before any sender's module sees it
    sender.made_at(body)
    try:
        event = sender.read(body, test_events=True)
    except Unreadable as refused:
        assert str(refused).endswith(".")
        return
    if event is not None:
        _readable_by_a_journey(event)


def _readable_by_a_journey(event: Event) -> None:
    forms = {"carrier_event": CarrierEvent, "vendor_event": VendorEvent, "directory_event": DirectoryEvent}
    read_message(forms[event.message], (event.body(),), event.message)
    assert event.occurred_at.utcoffset() == timedelta(0)
    assert len(event.key) == 64
    assert (event.tracking_number is None) != (event.journey_id is None)
