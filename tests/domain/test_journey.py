"""The state that a journey carries: legal moves only, nothing lost, lists that don't grow for ever."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.chronicle import LATEST
from domain.journey import IllegalTransition, Journey
from domain.status import ENDED, TRANSITIONS, Kind, Status

START = datetime(2026, 3, 3, 15, 0, tzinfo=UTC)


def journey(kind: Kind = Kind.HARD) -> Journey:
    return Journey(journey_id="j", prescriber_id="P-1001", kind=kind)


@given(st.sampled_from(Kind), st.lists(st.sampled_from(Status), max_size=12))
def test_no_way_leads_past_the_table(kind: Kind, wanted: list[Status]) -> None:
    state = journey(kind)
    way = [state.status]
    for step, status in enumerate(wanted):
        legal = status in TRANSITIONS[kind][state.status]
        try:
            state.enter(status, START + timedelta(hours=step), "moved")
        except IllegalTransition:
            assert not legal
        else:
            assert legal
            way.append(status)
    assert len(set(way)) == len(way), "a status is never entered twice"
    assert state.entries == len(way) - 1
    assert state.ended == (way[-1] in ENDED)
    assert not state.ended or state.action_due_by is None


@given(st.lists(st.sampled_from(["note", "refuse", "attend", "settle"]), max_size=150))
def test_every_happening_is_an_entry_and_the_lists_stay_short(happenings: list[str]) -> None:
    state = journey()
    for number, what in enumerate(happenings):
        at = START + timedelta(minutes=number)
        match what:
            case "note":
                state.note(at, "something")
            case "refuse":
                state.refuse(at, "edit", "no")
            case "attend":
                state.attend(at, "look here")
            case "settle":
                state.settle(at, "all is well")
    assert len(state.timeline) <= LATEST
    assert len(state.refused) <= LATEST
    assert [entry.number for entry in state.unwritten] == list(range(1, state.entries + 1))
    assert Journey.model_validate_json(state.model_dump_json()) == state


def test_promises_are_kept_late_or_broken() -> None:
    state = journey()
    state.promise("ship it", START + timedelta(days=1))
    state.promise("deliver it", START + timedelta(days=5))
    assert state.action_due_by == START + timedelta(days=1)
    state.breach("ship it", "no parcel goes out today")
    assert state.action_due_by == START + timedelta(days=1), "what is overdue stays in sight"
    state.keep("ship it", START + timedelta(days=2))
    [shipped, delivered] = state.promises
    assert shipped.met_at == START + timedelta(days=2)
    assert shipped.broken == "no parcel goes out today"
    assert state.action_due_by == delivered.due
    state.keep("ship it", START + timedelta(days=3))
    assert state.promises[0].met_at == START + timedelta(days=2), "met once"


def test_a_promise_was_not_broken_where_it_is_heard_late_that_it_was_kept() -> None:
    state = journey()
    state.promise("deliver it", START + timedelta(days=5))
    state.breach("deliver it", "not delivered by then")
    state.keep("deliver it", START + timedelta(days=4))
    assert (state.promises[0].met_at, state.promises[0].broken) == (START + timedelta(days=4), None)


def test_steps_that_repeat_are_numbered_and_others_are_not() -> None:
    state = journey()
    for _ in range(2):
        state.post("request_changed", START)
    state.post("active", START, step="active")
    assert [letter.step for letter in state.letters] == ["request_changed-1", "request_changed-2", "active"]


def test_an_illegal_move_changes_nothing() -> None:
    state = journey(Kind.SOFT)
    before = state.model_copy(deep=True)
    with pytest.raises(IllegalTransition):
        state.enter(Status.SHIPPED, START, "shipped")
    assert state == before
