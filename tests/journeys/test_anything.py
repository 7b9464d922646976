"""Random messages, times and faults, against what must always hold.

A plan is played on a stage of its own: real server, database, mail and parties. After every step the invariants are asked of
the database and of the token in hand, and each message is checked against the contract's table of what is accepted when.
`EXAMPLES=2000` plays as many plans; by default it is a handful.
"""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from activities.verification import NotVerified
from database import audit
from domain.peers import return_id
from starter.soft_enrollment import NotStored
from tests.stage import Play, Stage, Theatre

pytestmark = pytest.mark.slow

PRESCRIBER = "P-1001"
BEFORE_ACTIVE = {"Requested", "Processed", "Shipped", "Delivered", "Syncing"}
# The contract's table, written down a second time on purpose: the product must not be its own judge.
ACCEPTED = {
    "edit": {"Requested"},
    "process": {"Requested"},
    "cancel": BEFORE_ACTIVE,
    "deactivate": {"Active"},
    "carrier_event": {"Shipped"},
    "enroll_hard": {"Shipped", "Delivered"},
    "enroll_soft": {"Processed"},
    "resend_activation": {"Processed", "Shipped", "Delivered"},
}
PIN = "2580"
NEXT = {
    "Requested": {"Processed", "Cancelled"},
    "Processed": {"Shipped", "Cancelled"},
    "Shipped": {"Delivered", "Syncing", "Cancelled"},
    "Delivered": {"Syncing", "Cancelled"},
    "Syncing": {"Active", "Cancelled"},
    "Active": {"Deactivated"},
    "Deactivated": set[str](),
    "Cancelled": set[str](),
}
HAS_UPDATE = set(ACCEPTED) - {"carrier_event"}
HAS_SIGNAL = set(ACCEPTED) - {"enroll_hard"}

garbage = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.lists(st.integers(), max_size=2))
bodies = {
    "edit": st.sampled_from([{}, {"email": "b@clinic.example"}, {"email": "nonsense"}, {"surprise": 1}]),
    "process": st.sampled_from([{"operator": "Dana"}, {}, {"operator": "Dana", "serial_number": "HT-0"}]),
    "cancel": st.sampled_from([{}, {"reason": "no"}, {"by": 7}]),
    "deactivate": st.fixed_dictionaries(
        {"confirmed": st.booleans()},
        optional={
            "reason": st.sampled_from(["lost", "stolen", "faulty", "no_longer_needed", "uninstalled", "bored"]),
            "in_possession": st.booleans(),
        },
    ),
    "resend_activation": st.just({}),
}
messages = st.one_of(
    *(st.tuples(st.just("send"), st.sampled_from(["signal", "update"]), st.just(n), b) for n, b in bodies.items()),
    st.tuples(st.just("send"), st.sampled_from(["signal", "update"]), st.sampled_from(sorted(bodies)), garbage),
    st.tuples(st.just("carrier"), st.sampled_from(["in_transit", "delivered", "failure", "returned"])),
    st.tuples(st.just("enroll"), st.booleans()),
    st.tuples(st.just("twice"), st.sampled_from(sorted(bodies))),
    st.just(("cancel_in_temporal",)),
)
onwards = st.sampled_from(
    [("send", "update", "process", {"operator": "Dana"}), ("carrier", "delivered"), ("enroll", True)]
)
endings = st.one_of(
    st.tuples(st.just("replace"), st.sampled_from(["lost", "faulty", "stolen"]), st.booleans(), st.booleans()),
    st.tuples(st.just("receive"), st.booleans()),
    st.just(("request",)),
    st.just(("leave",)),
)
conditions = st.one_of(
    st.tuples(
        st.just("wait"),
        st.sampled_from([{"minutes": 3}, {"hours": 2}, {"days": 1}, {"days": 4}, {"days": 16}, {"days": 31}]),
    ),
    st.tuples(
        st.just("fault"),
        st.sampled_from(["vendor", "carrier", "directory"]),
        st.sampled_from(["error", "lose_reply", "refuse"]),
    ),
    st.tuples(st.just("mail_fault"), st.sampled_from(["tempfail", "down"])),
    st.just(("new_worker",)),
    st.just(("mend",)),
)
ordinary = [
    ("send", "update", "process", {"operator": "Dana"}),
    ("wait", {"minutes": 3}),
    ("carrier", "delivered"),
    ("enroll", True),
    ("wait", {"hours": 2}),
]
# Most random walks would never reach an active token; half of the plans begin with one.
plans = st.tuples(
    st.sampled_from([[], ordinary]), st.lists(st.one_of(onwards, messages, endings, conditions), max_size=12)
).map(lambda parts: parts[0] + parts[1])


class Plan:
    """One plan as it is played: the journeys so far, and what has to hold of them."""

    def __init__(self, stage: Stage, kind: str) -> None:
        self.stage = stage
        self.kind = kind
        self.journeys: list[Play] = []
        self.begun: dict[str, Play] = {}
        self.faulty = False
        self.asked_to_cancel: set[str] = set()
        self.sent: dict[str, int] = {}
        self.last: dict[str, str] = {}

    @property
    def current(self) -> Play:
        return self.journeys[-1]

    async def status(self, journey: Play) -> str:
        status = (await journey.status())["status"]
        before = self.last.get(journey.id, "Requested")
        assert status == before or status in _reachable(before), f"{before} -> {status}"
        self.last[journey.id] = status
        return status

    # The steps

    async def send(self, way: str, name: str, body: Any) -> None:
        journey, before = self.current, await self.status(self.current)
        args = [] if body is None else [body]
        if way == "update":
            try:
                answer = await journey.update(name, *args)
            except WorkflowUpdateFailedError as fault:
                assert str(fault.cause).rstrip().endswith("."), fault.cause
            except RPCError as fault:
                assert fault.status is RPCStatusCode.NOT_FOUND
                assert before in ("Deactivated", "Cancelled")
            else:
                assert answer["status"] in NEXT
                assert before in ACCEPTED[name] or await self.status(journey) != before
            return
        recorded = self.records(journey)
        try:
            await journey.signal(name, *args)
        except RPCError as fault:
            assert fault.status is RPCStatusCode.NOT_FOUND
            assert before in ("Deactivated", "Cancelled")
            return
        await self.until(lambda: self.records(journey) > recorded, f"signal {name} {body!r} left no trace")

    async def twice(self, name: str) -> None:
        """Two payloads where one is taken."""
        journey, recorded = self.current, self.records(self.current)
        try:
            await journey.signal(name, {}, {})
        except RPCError as fault:
            assert fault.status is RPCStatusCode.NOT_FOUND
            return
        await self.until(lambda: self.records(journey) > recorded, "two payloads left no trace")

    async def cancel_in_temporal(self) -> None:
        """The UI's own Request Cancellation: `cancel` where that is legal, and else refused and kept."""
        journey, before = self.current, await self.status(self.current)
        recorded = self.records(journey)
        try:
            await journey.handle.cancel()
        except RPCError as fault:
            assert fault.status is RPCStatusCode.NOT_FOUND
            return
        # The server drops any further request to the same run: no journey hears of it.
        if before not in ("Cancelled", "Deactivated") and journey.id not in self.asked_to_cancel:
            await self.until(lambda: self.records(journey) > recorded, "a cancellation request left no trace")
        self.asked_to_cancel.add(journey.id)

    async def new_worker(self) -> None:
        """The worker ends, and another one takes up what it had in its memory."""
        await self.stage.restart_worker()

    def records(self, journey: Play) -> int:
        return self.stage.rows(f"select count(*) from audit where journey_id = '{journey.id}'")[0][0]

    async def until(self, condition: Any, what: str) -> None:
        for _ in range(3000):
            if condition():
                return
            await asyncio.sleep(0.02)
        raise AssertionError(what)

    async def carrier(self, status: str) -> None:
        snapshot = await self.current.status()
        await self.send(
            "signal",
            "carrier_event",
            {
                "tracking_number": snapshot["tracking_number"] or "TKN0",
                "status": status,
                "occurred_at": (await self.now(self.current)).isoformat(),
            },
        )

    async def now(self, journey: Play) -> datetime:
        return await journey.now() if journey is not None else datetime.now(UTC)

    async def enroll(self, right: bool) -> None:
        journey = self.current
        if self.kind == "soft":
            # Kept under its reference before Temporal hears of it; a wrong one names nothing.
            try:
                reference = await journey.soft_ref(PIN) if right else "no-such-reference"
            except NotStored:
                reference = "not-stored"
            await self.send("update", "enroll_soft", {"token_name": "My phone", "enrollment_ref": reference})
            return
        serial = (await journey.status())["serial_number"] or "HT-0"
        passcode = "000000"
        if right and serial != "HT-0":
            passcode = journey.device(serial).press(at=await self.now(journey))
        await self.send("update", "enroll_hard", {"serial_number": serial, "passcode": passcode})

    async def replace(self, reason: str, in_possession: bool, confirmed: bool) -> None:
        old = self.current
        order = {"journey_id": old.id, "reason": reason, "in_possession": in_possession, "confirmed": confirmed}
        before = await self.status(old)
        replacement = await self.stage.open("ReplaceToken", order)
        self.begun[replacement.id] = replacement
        try:
            result = await replacement.result()
        except WorkflowFailureError as fault:
            assert str(fault.cause).endswith("."), fault.cause
            contradictory = self.kind == "hard" and reason == "lost" and in_possession
            assert before != "Active" or not confirmed or reason == "stolen" or contradictory
            if before == "Active":
                assert await self.status(old) == "Active", "a refused replacement has touched the token"
            return
        assert before == "Active"
        assert confirmed
        # Never neither: the new one is there, and it is the one.
        assert self.stage.rows("select journey_id, status from journeys where live") == [
            (result["journey_id"], "Requested")
        ]
        self.journeys.append(await self.stage.peer(result["journey_id"]))

    async def receive(self, right: bool) -> None:
        journey = self.current
        serial = (await journey.status())["serial_number"] or "HT-0"
        body = {"serial_number": serial if right else "HT-0", "received_by": "Mo"}
        awaited = self.stage.rows(f"select return_id from returns where journey_id = '{journey.id}' and open")
        if awaited:
            back = Play(self.stage, self.stage.client.get_workflow_handle(awaited[0][0]), datetime.now(UTC))
            try:
                await back.update("received", body)
            except WorkflowUpdateFailedError:
                assert not right
            else:
                assert right
                assert self.stage.token_state(serial) == "returned"
            return
        back = await self.stage.open("ReturnByMail", {"journey_id": journey.id, **body})
        self.begun[back.id] = back
        before = self.stage.rows(f"select state from tokens where serial_number = '{serial}'")
        try:
            await back.result()
        except WorkflowFailureError as fault:
            assert str(fault.cause).endswith(".")
            assert not right or before not in ([("written_off",)],)
        else:
            assert right
            assert self.stage.token_state(serial) == "returned"

    async def request(self) -> None:
        live = self.stage.rows("select count(*) from journeys where live")[0][0]
        # The old one's records may be an instant behind its answer.
        journey = await self.stage.start({"prescriber_id": PRESCRIBER, "kind": self.kind})
        self.begun[journey.id] = journey
        await self.until(
            lambda: self.stage.rows(f"select count(*) from audit where journey_id = '{journey.id}'")[0][0],
            "a request left no trace",
        )
        if self.stage.rows(f"select count(*) from journeys where journey_id = '{journey.id}'") == [(1,)]:
            assert live == 0
            self.journeys.append(journey)
        else:
            assert f"already has a {self.kind} token" in await journey.failed()

    async def leave(self) -> None:
        order = {"prescriber_id": PRESCRIBER, "confirmed": True, "by": "Ann"}
        leaving = await self.stage.open("DeactivateAll", order)
        self.begun[leaving.id] = leaving
        result = await leaving.result()
        assert all(ended["outcome"] != "refused" for ended in result["outcomes"])
        assert self.stage.rows("select count(*) from journeys where live") == [(0,)]

    async def wait(self, ahead: dict[str, float]) -> None:
        if "days" in ahead:
            self.mend()  # a party that is down for weeks is asked every few minutes; that is played elsewhere
        for journey in [*self.journeys, *await self.returns()]:
            await journey.wait(**ahead)

    async def returns(self) -> list[Play]:
        found = self.stage.rows("select return_id from returns where open")
        return [
            Play(self.stage, self.stage.client.get_workflow_handle(workflow_id), datetime.now(UTC))
            for (workflow_id,) in found
        ]

    async def fault(self, party: str, kind: str) -> None:
        self.stage.fault(party, kind=kind)
        self.faulty = True

    async def mail_fault(self, kind: str) -> None:
        self.stage.mailbox.fault(kind)
        self.faulty = True

    def mend(self) -> None:
        if self.faulty:
            self.stage.clear_faults()
            self.stage.mailbox.clear_faults()
            self.faulty = False

    # What must always hold

    async def invariants(self) -> None:
        stage = self.stage
        assert stage.rows("select count(*) from journeys where live")[0][0] <= 1
        held = stage.rows("select serial_number, count(*) from journeys where live group by 1 having count(*) > 1")
        assert held == [], "a serial in two hands"
        assert stage.rows("select 1 from tokens where (state = 'in_stock') <> (journey_id is null)") == []
        assert stage.rows("select 1 from emails group by message_id having count(*) > 1") == []
        for journey in self.journeys:
            token, row = journey.token(), stage.rows(f"select status from journeys where journey_id = '{journey.id}'")
            if token is None:
                continue
            ended = row[0][0] in ("Deactivated", "Cancelled")
            if ended and token.kind == "soft":
                assert token.state == "revoked"
            elif ended:
                assert token.state in ("coming_back", "returned", "written_off", "destroyed", "assigned")
                at = datetime(2037, 6, 1, tzinfo=UTC)
                passcode = journey.device(token.serial_number).press(at=at)
                with pytest.raises(NotVerified):
                    stage.verification().verify(journey.id, passcode, None, at)

    async def end(self) -> None:
        """Everything comes to its end, and the records are whole."""
        self.mend()
        for journey in self.journeys:
            status = await self.status(journey)
            if status in BEFORE_ACTIVE:
                await journey.update("cancel", {})
            elif status == "Active":
                reason = {"reason": "faulty"} if self.kind == "hard" else {}
                await journey.update("deactivate", {"confirmed": True, **reason})
            for _ in range(5):
                await journey.wait(hours=2)
            await journey.result()
        await self.invariants()
        assert self.stage.rows("select 1 from tokens where state in ('assigned', 'shipped', 'active')") == []
        await self.until(
            lambda: (
                self.stage.rows(
                    "select 1 from tokens where state = 'coming_back' and serial_number not in"
                    " (select serial_number from returns where open)"
                )
                == []
            ),
            "a token is coming back, and nobody awaits it",
        )
        for back in await self.returns():
            await back.wait(days=32)
            assert (await back.result())["status"] == "Written off"
        assert self.stage.rows("select 1 from tokens where state = 'coming_back'") == []
        with self.stage.sessions() as session:
            assert audit.verify(session)[1] == []
        letters = [message["Message-ID"] for message in self.stage.mailbox.messages()]
        assert len(letters) == len(set(letters))


def _reachable(status: str) -> set[str]:
    found: set[str] = set()
    new = NEXT[status]
    while new:
        found |= new
        new = set().union(*(NEXT[each] for each in new)) - found
    return found


@settings(
    max_examples=int(os.environ.get("EXAMPLES", "12")),
    derandomize="EXAMPLES" not in os.environ,  # others are sought by whoever asks for many
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    print_blob=True,
)
@given(kind=st.sampled_from(["hard", "hard", "soft"]), plan=plans)
async def test_whatever_happens(
    temporal: Client, theatre: Theatre, tmp_path_factory: pytest.TempPathFactory, kind: str, plan: list[tuple[Any, ...]]
) -> None:
    folder: Path = tmp_path_factory.mktemp("plan")
    async with Stage(temporal, theatre, folder) as stage:
        played = Plan(stage, kind)
        try:
            played.journeys.append(await stage.request(kind, PRESCRIBER))
            for step in plan:
                note(str(step))
                outcome = getattr(played, step[0])(*step[1:])
                if asyncio.iscoroutine(outcome):
                    await outcome
                await played.invariants()
            await played.end()
        finally:
            # The server is shared: what this plan has begun must not stay open on it.
            for (incident,) in stage.rows("select incident_id from incidents"):
                await _terminate(stage, incident)
            for workflow_id in [journey.id for journey in played.journeys] + list(played.begun):
                await _terminate(stage, workflow_id)
                await _terminate(stage, return_id(workflow_id))


async def _terminate(stage: Stage, workflow_id: str) -> None:
    try:
        await stage.client.get_workflow_handle(workflow_id).terminate()
    except RPCError as fault:
        assert fault.status is RPCStatusCode.NOT_FOUND
