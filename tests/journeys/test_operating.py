"""docs/operating.md: each query finds what it says and nothing else, and an operator gets through a day with what stands there."""

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from domain.peers import incident_id, return_id
from settings import Settings
from starter.views import VIEWS, link
from tests.stage import EVENING, TUESDAY, Play, Stage
from workflows import messages
from workflows.reading import read

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "operating.md").read_text()
_BLOCK = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
MORNING = datetime(2026, 11, 24, 15, tzinfo=UTC)
"""The moment that the document's queries are written for."""

BODIES: dict[str, type[messages.Body]] = {
    **messages.BODIES,
    **messages.RETURN_BODIES,
    **messages.INCIDENT_BODIES,
    "TokenJourney": messages.TokenRequest,
    "ReplaceToken": messages.Replacement,
    "ReturnByMail": messages.ReturnRequest,
    "ProcessQueue": messages.QueueOrder,
    "ImportTokens": messages.ImportRequest,
    "DeactivateAll": messages.Leaving,
    "Reconcile": messages.ReconcileOrder,
    "acknowledge": messages.Acknowledge,
}


def blocks(language: str) -> list[str]:
    return [found[2].strip() for found in _BLOCK.finditer(DOCUMENT) if found[1] == language]


def to_paste() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each JSON of the document, with the message or workflow type that was named last before it."""
    for found in _BLOCK.finditer(DOCUMENT):
        if found[1] == "json":
            before = re.findall(r"`(\w+)`", _BLOCK.sub("", DOCUMENT[: found.start()]))
            yield (
                next(name for name in reversed(before) if name in BODIES),
                json.loads(found[2]),
            )


def pasted(name: str, **own: Any) -> dict[str, Any]:
    """The last JSON that the document gives for it, with the operator's own numbers put in."""
    return [body for each, body in to_paste() if each == name][-1] | own


def test_it_holds_every_list_and_no_other() -> None:
    assert sorted(blocks("sql")) == sorted(view.filled(MORNING) for view in VIEWS)
    assert len({view.name for view in VIEWS}) == len(VIEWS)


def test_what_is_pasted_is_what_is_taken() -> None:
    given = dict(to_paste())
    wanted = {"process", "edit", "cancel", "carrier_event", "resend_activation", "deactivate", "received", "close"}
    wanted |= {"acknowledge"}
    started = {
        "TokenJourney",
        "ReplaceToken",
        "ReturnByMail",
        "ProcessQueue",
        "ImportTokens",
        "DeactivateAll",
        "Reconcile",
    }
    assert given.keys() == wanted | started
    for name, body in to_paste():
        assert read(BODIES[name], (body,), name)


def test_links_lead_into_the_ui() -> None:
    settings = Settings(_env_file=None, ui_url="https://ui.example/", TEMPORAL_NAMESPACE="tokens")  # type: ignore[call-arg]
    [serial] = [view for view in VIEWS if view.name == "serial"]
    query = serial.filled(MORNING, 'HT-1" OR TokenKind = "hard')
    assert query.startswith(r'SerialNumber = "HT-1\" OR TokenKind = \"hard" AND')
    parts = urlsplit(link(settings, query))
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://ui.example/namespaces/tokens/workflows"
    assert parse_qs(parts.query) == {"query": [query]}


class Lists:
    """The lists of the day, as far as they show this test's workflows: others run on the same server."""

    def __init__(self, stage: Stage, now: datetime, **given: str) -> None:
        self._client, self._now, self._given = stage.client, now, given
        self.names: dict[str, str] = {}
        """Workflow id to the name that the test gives it."""

    def know(self, **plays: Play) -> None:
        self.names |= {play.id: name for name, play in plays.items()}

    async def show(self, name: str) -> set[str]:
        [view] = [view for view in VIEWS if view.name == name]
        found = self._client.list_workflows(view.filled(self._now, **self._given))
        return {self.names[each.id] async for each in found if each.id in self.names}

    async def are(self, **wanted: str) -> None:
        """Asks until they are as wanted (names, with blanks between): lists lag a little."""
        for name, expected in wanted.items():
            found: set[str] = set()
            for _ in range(300):
                found = await self.show(name.replace("_", "-"))
                if found == set(expected.split()):
                    break
                await asyncio.sleep(0.1)
            assert found == set(expected.split()), name


async def deactivated(stage: Stage, kind: str, prescriber: str, **body: Any) -> Play:
    journey = await stage.request(kind, prescriber)
    await journey.reach("Active")
    await journey.update("deactivate", {"confirmed": True, **body})
    await journey.result()
    return journey


async def arrived(parcel: Play) -> None:
    """The carrier has brought it back, and the mail room has not said so."""
    await parcel.wait(seconds=5)
    number = (await parcel.status())["tracking_number"]
    event = {"tracking_number": number, "status": "delivered", "occurred_at": (await parcel.now()).isoformat()}
    await parcel.signal("carrier_event", event)


@pytest.mark.slow
async def test_a_full_day(stage: Stage) -> None:
    late = await stage.request("hard", "P-1001")
    await late.wait(days=1, minutes=1)
    fresh = await stage.request("soft", "P-1001", at=TUESDAY + timedelta(days=3))
    packed = await stage.request("hard", "P-1002", at=EVENING)
    sent, lost = [await stage.request("hard", prescriber) for prescriber in ("P-1003", "P-1004")]
    for journey in (packed, sent, lost):
        await journey.process()
    await lost.carrier("failure", await lost.now())
    handed = await stage.request("hard", "P-1005")
    await handed.reach("Delivered")
    mailed = await stage.request("soft", "P-1002")
    await mailed.reach("Processed")
    back, here = [
        await deactivated(stage, "hard", prescriber, reason="faulty", in_possession=True)
        for prescriber in ("P-1006", "P-1007")
    ]
    stolen, unreported = [
        await deactivated(stage, "soft", prescriber, reason="stolen") for prescriber in ("P-1004", "P-1005")
    ]
    awaited, returned = [await stage.peer(return_id(journey.id)) for journey in (back, here)]
    await arrived(returned)
    incident, overdue = [await stage.peer(incident_id(journey.id)) for journey in (stolen, unreported)]
    await overdue.to(datetime.fromisoformat((await overdue.status())["due_at"]) + timedelta(minutes=1))
    waiting = await stage.request("soft", "P-1003")
    await waiting.reach("Syncing")
    await waiting.wait(minutes=61)
    second = await stage.start({"prescriber_id": "P-1001", "kind": "hard"})
    assert late.id in await second.failed()
    ended = await stage.request("soft", "P-1006")
    await ended.handle.terminate("a mistake")
    replacing = await stage.client.start_workflow(
        "ReplaceToken", pasted("ReplaceToken"), id=f"replace-{late.id}", task_queue="nobody-works-here"
    )
    stage.fault("vendor", kind="error", status=503)
    revoking = await stage.request("soft", "P-1007")
    await revoking.update("process", {"operator": "Dana"})
    await revoking.update("cancel", pasted("cancel"))

    serial = (await awaited.status())["serial_number"]
    lists = Lists(stage, TUESDAY + timedelta(days=2, hours=1), serial=serial, prescriber="P-1001")
    lists.know(late=late, fresh=fresh, packed=packed, sent=sent, lost=lost, handed=handed, mailed=mailed)
    lists.know(back=back, here=here, stolen=stolen, unreported=unreported, awaited=awaited, returned=returned)
    lists.know(incident=incident, overdue=overdue, waiting=waiting, second=second, ended=ended, revoking=revoking)
    lists.know(replacing=Play(stage, replacing, TUESDAY))
    await lists.are(
        queue="late fresh",
        queue_hard="late",
        queue_soft="fresh",
        queue_due="late",
        attention="late lost returned overdue waiting",
        # Returns and incidents began on the real clock, long before the others' days.
        overdue="late packed waiting awaited returned incident overdue",
        to_ship="packed",
        on_its_way="sent lost",
        parcel_trouble="lost",
        not_activated="handed mailed",
        sync_stuck="waiting",
        ending="revoking",
        returns="awaited returned",
        returns_here="returned",
        incidents="incident overdue",
        incidents_overdue="overdue",
        replacing="replacing",
        refused="second",
        terminated="ended",
        serial="back awaited",
        prescriber="late fresh",
    )
    stage.clear_faults()
    await replacing.terminate()

    # Fix an address, process ten requests.
    await late.update("edit", pasted("edit"))
    report = await (await stage.open("ProcessQueue", pasted("ProcessQueue"))).result()
    became = {each["journey_id"]: each["outcome"] for each in report["outcomes"]}
    assert became.pop(ended.id) != "processed", "it was terminated"
    assert became == {late.id: "processed", fresh.id: "processed"}
    # Answer carrier problems: one has come, one is given up; then the new request to the right address.
    number = (await sent.status())["tracking_number"]
    await sent.signal("carrier_event", pasted("carrier_event", tracking_number=number))
    assert (await sent.status())["status"] == "Delivered"
    assert (await lost.update("cancel", pasted("cancel")))["status"] == "Cancelled"
    again = await stage.start(pasted("TokenJourney", prescriber_id="P-1004"))
    assert (await again.status())["status"] == "Requested"
    await handed.update("resend_activation", pasted("resend_activation"))
    # Take returns: one that was awaited, one that nobody awaited any more.
    for parcel in (awaited, returned):
        serial = (await parcel.status())["serial_number"]
        await parcel.update("received", pasted("received", serial_number=serial))
        assert (await parcel.result())["status"] == "Received"
    # Close incidents, start a replacement, take back a token.
    for loss in (incident, overdue):
        await loss.update("close", pasted("close"))
        await loss.result()
    stage.polls_until_synced(1)
    await waiting.wait(minutes=40)
    order = await stage.open("ReplaceToken", pasted("ReplaceToken", journey_id=waiting.id))
    successor = await stage.peer((await order.result())["journey_id"])
    left = await stage.open("DeactivateAll", pasted("DeactivateAll", prescriber_id="P-1005"))
    assert {each["outcome"] for each in (await left.result())["outcomes"]} <= {"cancelled", "ended already"}

    lists.know(again=again, successor=successor)
    await lists.are(
        queue="again successor",
        attention="",
        parcel_trouble="",
        sync_stuck="",
        returns="",
        incidents="",
        incidents_overdue="",
        replacing="",
    )
