"""Messages whose name nobody knows: misspelt, or sent as a signal where only an update of that name exists. The server takes
any signal and says "sent"; without a handler for the rest it would be heard of no more."""

import re
from collections.abc import Awaitable, Collection, Sequence
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RawValue

from activities.records import Aside, Records
from domain.chronicle import Entry
from workflows import calls
from workflows.reading import Refused, Unreadable

A = TypeVar("A")

LONGEST_ID = 200
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,60}")
_SHOWN = 5


class AnyMessage:
    """Refuses an unknown update, and has an unknown signal kept, with a sentence that names what may be sent instead."""

    def known(self) -> Collection[str]:
        """The names of all messages, whatever may be sent now."""
        return ()

    def welcome(self) -> list[str]:
        """Those that people may send now."""
        return []

    async def keep_unknown(self, name: str, sentence: str, bodies: tuple[Any, ...]) -> None:
        """Keeps an unknown signal, where people can see it."""
        raise NotImplementedError

    def unknown(self, name: str, sent_as: str) -> str:
        """Why that message changes nothing, and what to send instead."""
        if name in self.known():
            if sent_as == "signal":
                return f"`{name}` changes nothing as a signal, since it needs an answer; send it as an update instead."
            return f"`{name}` is not taken as an update; send it as a signal instead."
        called = f"the name `{name}`" if _NAME.fullmatch(name) else "such a name"
        instead = self.welcome()
        if not instead:
            return f"No message of {called} is known, so nothing was changed; nothing can be sent here now, wait for the result."
        return f"No message of {called} is known, so nothing was changed; send one of {', '.join(instead)}, spelt like this."

    @workflow.signal(dynamic=True, description="Any other name changes nothing, and is kept as refused")
    async def unknown_signal(self, name: str, args: Sequence[RawValue]) -> None:
        await self.keep_unknown(name if _NAME.fullmatch(name) else "unknown", self.unknown(name, "signal"), _read(args))

    @workflow.update(dynamic=True, description="Any other name is refused")
    async def unknown_update(self, name: str, args: Sequence[RawValue]) -> None:
        raise Refused(self.unknown(name, "update"))

    @unknown_update.validator
    def _no_such_update(self, name: str, args: Sequence[RawValue]) -> None:
        raise Refused(self.unknown(name, "update"))


class Displayed(AnyMessage):
    """A workflow that says all in its details, what was refused among it."""

    text = ""
    strays: tuple[str, ...] = ()

    def display(self, text: str) -> None:
        """What the UI says of it, in markdown."""
        self.text = text
        refused = "\n".join(f"- {stray}" for stray in self.strays[-_SHOWN:])
        workflow.set_current_details(f"{text}\n\n**Refused lately**\n\n{refused}" if refused else text)

    async def keep_unknown(self, name: str, sentence: str, bodies: tuple[Any, ...]) -> None:
        self.strays = (*self.strays[-_SHOWN:], f"{workflow.now():%a %-d %b %Y %H:%M} UTC `{name}`: {sentence}")
        self.display(self.text)


class Shown(Displayed):
    """One that people start: what it refuses them is in the audit trail, too."""

    def __init__(self) -> None:
        self.since_0_2 = workflow.patched("0.2")
        """False: a run that began under release 0.1, which goes on as it did then (docs/decisions/0006-patches.md)."""
        self.entries = 0

    async def audited(self, work: Awaitable[A], name: str, by: str | None, journey_id: str | None = None) -> A:
        """What `work` comes to. Its refusal is kept in the audit trail before it is raised: the token's own chain where
        there is such a journey, else one of this workflow's."""
        try:
            return await work
        except Refused as refusal:
            await self.record(f"refused: {name}", by, name, refused=refusal.message, journey_id=journey_id)
            raise

    async def record(
        self, what: str, by: str | None, message: str, *, refused: str | None = None, journey_id: str | None = None
    ) -> None:
        """A row of the audit trail."""
        workflow_id = workflow.info().workflow_id
        if not self.since_0_2 or len(workflow_id) > LONGEST_ID:
            return
        self.entries += 1
        number, now = self.entries, workflow.now()
        entry = Entry(number=number, at=now, what=what, by=by, status="", message=message, refused=refused)
        aside = Aside(
            workflow_id=workflow_id,
            run_id=workflow.info().run_id,
            journey_id=journey_id,
            entry=entry,
        )
        await calls.local(Records.keep, aside, summary="Record it")


def _read(args: Sequence[RawValue]) -> tuple[Any, ...]:
    """The bodies as far as anybody can read them."""
    converter = workflow.payload_converter()
    bodies = []
    for arg in args:
        try:
            bodies.append(converter.from_payload(arg.payload))
        except Exception:
            bodies.append(Unreadable(reason="it is not JSON"))
    return tuple(bodies)
