"""`ProcessQueue`: who is next, what became of each, and that nothing stops it."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from activities import peers
from domain.peers import incident_id
from tests.stage import TUESDAY, Play, Stage, eventually
from worker import worker_for

pytestmark = pytest.mark.slow


async def processed(stage: Stage, **body: Any) -> dict[str, Any]:
    """The report of a run, once what it has processed is written: the next run goes by the records."""
    report: dict[str, Any] = await (await stage.open("ProcessQueue", {"operator": "Dana", **body})).result()
    done = {each["journey_id"] for each in report["outcomes"] if each["outcome"] == "processed"}

    async def waiting() -> set[str]:
        return done & {row[0] for row in stage.rows("select journey_id from journeys where status = 'Requested'")}

    await eventually(waiting, lambda those: not those)
    return report


def became(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["journey_id"], each["outcome"]) for each in report["outcomes"]]


def without_stock(stage: Stage, state: str = "destroyed") -> None:
    with stage.sessions.begin() as session:
        session.execute(text("update tokens set state = :state where journey_id is null"), {"state": state})


async def in_line(stage: Stage, *prescribers: str) -> list[Play]:
    """Requests for hard tokens, each a minute after the one before."""
    return [
        await stage.request("hard", prescriber, at=TUESDAY + timedelta(minutes=number))
        for number, prescriber in enumerate(prescribers)
    ]


def told_of(stage: Stage, letter: str) -> int:
    return [message["X-Token-Letter"] for message in stage.mailbox.messages()].count(letter)


async def details(queue: Play) -> str:
    return str(await queue.query("__temporal_workflow_metadata")).replace("\\n", "\n")


async def test_nothing_is_waiting(stage: Stage) -> None:
    report = await processed(stage, kind="hard")
    assert report == {
        "operator": "Dana",
        "kind": "hard",
        "to_do": 0,
        "left": 0,
        "processed": 0,
        "refused": 0,
        "unanswered": 0,
        "outcomes": [],
    }


async def test_urgent_ones_ahead_then_the_oldest(stage: Stage) -> None:
    lost, stolen = await stage.request("hard", "P-1001"), await stage.request("soft", "P-1002")
    for journey in (lost, stolen):
        await journey.reach("Active")
    replacement = await stage.open("ReplaceToken", {"journey_id": lost.id, "reason": "lost", "confirmed": True})
    instead_of_lost = await stage.peer((await replacement.result())["journey_id"])
    await stolen.update("deactivate", {"confirmed": True, "reason": "stolen"})
    await stolen.result()
    await stage.peer(incident_id(stolen.id))
    oldest = await stage.request("hard", "P-1003")
    newest = await stage.request("hard", "P-1004", at=TUESDAY + timedelta(days=2))
    between = await stage.request("soft", "P-1003", at=TUESDAY + timedelta(days=1))
    # The urgent ones came last.
    instead_of_stolen = await stage.request("soft", "P-1002", at=TUESDAY + timedelta(days=3), replaces=stolen.id)
    with stage.sessions.begin() as session:
        at = {"at": "2037-03-07 15:00:00.000000", "id": instead_of_lost.id}
        session.execute(text("update journeys set requested_at = :at where journey_id = :id"), at)

    first = await processed(stage, limit=1)
    assert (first["to_do"], first["left"], became(first)) == (1, 4, [(instead_of_stolen.id, "processed")])
    hard = await processed(stage, kind="hard", limit=2)
    assert (hard["left"], became(hard)) == (1, [(instead_of_lost.id, "processed"), (oldest.id, "processed")])
    assert [each["urgent"] for each in hard["outcomes"]] == [True, False]
    rest = await processed(stage)
    assert became(rest) == [(between.id, "processed"), (newest.id, "processed")]

    assert [each["serial_number"] for each in hard["outcomes"]] == [
        (await journey.status())["serial_number"] for journey in (instead_of_lost, oldest)
    ]
    assert rest["outcomes"][0]["serial_number"] is None
    [line] = [line for line in (await newest.status())["timeline"] if line["what"].startswith("processed")]
    assert line["by"] == "Dana"
    assert (await processed(stage))["to_do"] == 0


async def test_out_of_stock_stops_no_soft_one_and_the_team_is_told_once(stage: Stage) -> None:
    hards = await in_line(stage, "P-1001", "P-1002", "P-1003")
    soft = await stage.request("soft", "P-1001", at=TUESDAY + timedelta(days=1))
    without_stock(stage)
    queue = await stage.open("ProcessQueue", {"operator": "Dana"})
    report = await queue.result()
    assert (report["processed"], report["refused"]) == (1, 3)
    assert became(report)[-1] == (soft.id, "processed")
    assert {each["reason"] for each in report["outcomes"][:3]} == {
        "The request can't be processed: no hard token is in stock; it stays queued, so take tokens in and process it again."
    }
    told = await details(queue)
    for said in ("Processed the queue", "1 processed, 3 refused", soft.id, hards[2].id, "no hard token is in stock"):
        assert said in told
    for _ in range(100):
        if told_of(stage, "team_out_of_stock"):
            break
        await asyncio.sleep(0.05)
    assert told_of(stage, "team_out_of_stock") == 1
    without_stock(stage, "in_stock")
    assert became(await processed(stage)) == [(hard.id, "processed") for hard in hards]


async def test_cancelled_meanwhile(stage: Stage) -> None:
    cancelled, other = await in_line(stage, "P-1001", "P-1002")
    await cancelled.update("cancel", {})
    await cancelled.result()
    with stage.sessions.begin() as session:  # as it stood when the run began
        session.execute(text("update journeys set status = 'Requested'"))
    report = await processed(stage)
    assert became(report) == [(cancelled.id, "refused"), (other.id, "processed")]
    assert "it has been cancelled (status Cancelled)" in report["outcomes"][0]["reason"]


async def test_a_journey_that_hangs_holds_up_no_other(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_ANSWER_WITHIN", 0.3)
    own, elsewhere = stage.task_queue, f"{stage.task_queue}-elsewhere"
    async with worker_for(stage.client, stage.dependencies, stage.theatre.threads, task_queue=elsewhere):
        stage.task_queue = elsewhere
        [hanging] = await in_line(stage, "P-1001")
    stage.task_queue = own
    other = await stage.request("hard", "P-1002", at=TUESDAY + timedelta(hours=1))
    report = await processed(stage)
    assert became(report) == [(hanging.id, "unanswered"), (other.id, "processed")]
    assert "does not answer" in report["outcomes"][0]["reason"]
    # It comes back, and whatever is asked of it by then is done once.
    async with worker_for(stage.client, stage.dependencies, stage.theatre.threads, task_queue=elsewhere):
        await processed(stage)
        assert (await hanging.status())["status"] in ("Processed", "Shipped")
        assert stage.rows("select count(*) from tokens where journey_id is not null") == [(2,)]


async def test_two_at_once_and_an_operator_do_no_harm(stage: Stage) -> None:
    journeys = [await stage.request("hard", f"P-10{number:02}") for number in range(1, 7)]
    by_hand = asyncio.ensure_future(journeys[-1].update("process", {"operator": "Kim"}))
    reports = await asyncio.gather(processed(stage), processed(stage))
    await asyncio.wait([by_hand])
    outcomes = [each for report in reports for each in report["outcomes"]]
    done = [each["journey_id"] for each in outcomes if each["outcome"] == "processed"]
    done += [journeys[-1].id] if by_hand.exception() is None else []
    assert sorted(done) == sorted(journey.id for journey in journeys)
    assert all(
        "already been processed" in each["reason"] or "has been shipped" in each["reason"]
        for each in outcomes
        if each["outcome"] == "refused"
    )
    assert stage.rows("select count(*), count(distinct journey_id) from tokens where journey_id is not null") == [
        (6, 6)
    ]


@pytest.mark.parametrize(
    ("bodies", "said"),
    [
        ((), "`operator` is missing"),
        ((None,), "`operator` is missing"),
        (({},), "`operator` is missing"),
        (({"operator": " "},), "`operator`"),
        (({"operator": "Dana", "limit": 0},), "`limit`: input should be greater than or equal to 1"),
        (({"operator": "Dana", "limit": "many"},), "`limit`"),
        (({"operator": "Dana", "limit": 1_000_000},), "`limit`"),
        (({"operator": "Dana", "kind": "wooden"},), "`kind` must be 'hard' or 'soft'"),
        (({"operator": "Dana", "colour": "red"},), "`colour` is not known (known are operator, kind, limit)"),
        (({"operator": "Da\x00na"},), "`operator`: must not contain control characters"),
        (
            ({"operator": "Dana", "carried": {"report": {"operator": "Mo"}, "reached": {}}},),
            "`carried` is not yours to set; leave it out",
        ),
        (("Dana",), "takes a JSON object, and a text came"),
        ((["Dana"],), "takes a JSON object, and a list came"),
        (({"operator": "Dana"}, {}), "2 payloads came"),
        ((b"\xff\xfe",), "bytes that are not JSON"),
    ],
)
async def test_bad_input_ends_in_one_sentence(stage: Stage, bodies: tuple[object, ...], said: str) -> None:
    waiting = await stage.request("soft")
    sentence = await (await stage.open("ProcessQueue", *bodies)).failed()
    assert said in sentence
    assert sentence.count("\n") == 0
    assert sentence.endswith(".")
    assert (await waiting.status())["status"] == "Requested"
