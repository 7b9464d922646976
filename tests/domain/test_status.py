"""What is legal when, and how a refusal is put."""

import pytest

from domain.status import ACCEPTED_WHILE, ENDED, TRANSITIONS, Kind, Status, accepted, refusal

EVERY = [(name, kind, status) for name in ACCEPTED_WHILE for kind in Kind for status in TRANSITIONS[kind]]


@pytest.mark.parametrize(("name", "kind", "status"), EVERY)
def test_accepted_or_refused_with_one_sentence_that_offers_something(name: str, kind: Kind, status: Status) -> None:
    sentence = refusal(name, kind, status)
    assert (sentence is None) == (name in accepted(kind, status))
    if sentence is not None:
        assert sentence.endswith("instead.")
        assert sentence.count(".") == 1
        assert ":" in sentence


@pytest.mark.parametrize("kind", list(Kind))
def test_the_statuses_run_in_the_contract_s_order(kind: Kind) -> None:
    way = [Status.REQUESTED, Status.PROCESSED, Status.SHIPPED, Status.DELIVERED, Status.SYNCING, Status.ACTIVE]
    if kind is Kind.SOFT:
        way = [status for status in way if status not in (Status.SHIPPED, Status.DELIVERED)]
        assert Status.SHIPPED not in TRANSITIONS[kind]
    for before, after in zip(way, [*way[1:], Status.DEACTIVATED], strict=True):
        assert after in TRANSITIONS[kind][before]
    for before in way[:-1]:
        assert Status.CANCELLED in TRANSITIONS[kind][before]
    assert TRANSITIONS[kind][Status.ACTIVE] == {Status.DEACTIVATED}


@pytest.mark.parametrize("kind", list(Kind))
def test_nothing_follows_an_end(kind: Kind) -> None:
    for status in ENDED:
        assert TRANSITIONS[kind][status] == frozenset()
        assert accepted(kind, status) == []


def test_the_offer_fits_the_status() -> None:
    assert refusal("edit", Kind.SOFT, Status.PROCESSED) == (
        "The request can't be edited: it has already been processed (status Processed); "
        "you can cancel it, send a new activation link or enrol it with a name and PIN instead."
    )
    assert refusal("cancel", Kind.HARD, Status.ACTIVE) == (
        "The request can't be cancelled: it is already active (status Active); you can deactivate it instead."
    )
