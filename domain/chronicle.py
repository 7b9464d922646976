"""What every journey keeps of itself, whatever it is about: what happened, what was refused, what is still to be written
into the records and what is still to be sent. Pure and serializable."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

LATEST = 50
"""How many rows of the timeline and of the refusals a journey carries; the database has all."""


class Promise(BaseModel):
    """Something the system owes: `due` and `met_at` are UTC; `broken` says why it could not be kept."""

    what: str
    due: datetime
    met_at: datetime | None = None
    broken: str | None = None


class Happening(BaseModel):
    """One line of the timeline."""

    at: datetime
    what: str
    by: str | None = None


class Refusal(BaseModel):
    """A message that changed nothing, kept with its reason."""

    at: datetime
    message: str
    reason: str
    by: str | None = None


class Entry(BaseModel):
    """One row for the audit trail. `number` counts within the journey, from 1."""

    number: int
    at: datetime
    what: str
    by: str | None = None
    status: str
    message: str | None = None
    refused: str | None = None


class Letter(BaseModel):
    """An email that is to go out: `step` makes its Message-ID, so each step sends one, whatever is retried."""

    letter: str
    step: str
    at: datetime
    facts: dict[str, Any] = {}
    link: bool = False
    """A fresh activation link is made for it."""
    link_valid_until: datetime | None = None
    """None: open until the parcel is delivered."""
    older_links: Literal["keep", "extend", "end"] = "keep"
    """`keep`: they stay as they are; `extend`: valid as long as this one; `end`: superseded by it."""
    unlocks: bool = False
    """It lifts the lock that ten wrong passcodes have set."""


class Chronicle(BaseModel):
    """The part of a journey's state that is the same for all of them. Times are UTC."""

    journey_id: str
    """The token's journey: the one whose records, chain of the audit trail and emails this belongs to."""
    practice_id: str | None = None
    """The prescriber's practice, as far as it is known: whose turn it takes."""
    prescriber_id: str
    status: Any
    """Each kind of journey has statuses of its own."""
    needs_attention: str | None = None
    """Why a person has to look at it; None where nobody has to."""
    matters: dict[str, str] = {}
    """The same one by one, by what each is about, so that one which comes right does not hide another."""

    promises: list[Promise] = []
    timeline: list[Happening] = []
    refused: list[Refusal] = []
    entries: int = 0
    unwritten: list[Entry] = []
    latest: list[Entry] = []
    """The latest entries, written or not: a database that was restored to an earlier state gets them again."""
    letters: list[Letter] = []
    steps: int = 0

    @property
    def ended(self) -> bool:
        """Nothing more is accepted, and nothing more is owed."""
        raise NotImplementedError

    @property
    def written(self) -> int:
        """The number of the latest entry that is written."""
        return self.entries - len(self.unwritten)

    @property
    def action_due_by(self) -> datetime | None:
        """When the next promise that is not met yet falls due; one that is overdue stays until it is met."""
        open_ = [promise.due for promise in self.promises if not promise.met_at]
        return min(open_) if open_ and not self.ended else None

    def note(self, at: datetime, what: str, by: str | None = None, message: str | None = None) -> None:
        """Writes one line into the timeline and the audit trail."""
        self.timeline = [*self.timeline[-LATEST + 1 :], Happening(at=at, what=what, by=by)]
        self._audit(at, what, by, message=message)

    def refuse(self, at: datetime, message: str, reason: str, by: str | None = None) -> None:
        """Keeps a message that changed nothing."""
        self.refused = [*self.refused[-LATEST + 1 :], Refusal(at=at, message=message, reason=reason, by=by)]
        self._audit(at, f"refused: {message}", by, message=message, refused=reason)

    def _audit(
        self, at: datetime, what: str, by: str | None, message: str | None = None, refused: str | None = None
    ) -> None:
        self.entries += 1
        entry = Entry(
            number=self.entries, at=at, what=what, by=by, status=self.status, message=message, refused=refused
        )
        self.unwritten.append(entry)
        self.latest = [*self.latest[-LATEST + 1 :], entry]

    def attend(self, at: datetime, reason: str, about: str = "") -> None:
        """A person has to look at this journey, over the matter `about`."""
        self.matters = {**self.matters, about or reason: reason}
        self.needs_attention = "; ".join(self.matters.values())
        self.note(at, f"needs attention: {reason}")

    def settle(self, at: datetime, what: str, *about: str) -> None:
        """What needed a person has come right: the matters `about`, or all where none is named."""
        before, self.matters = (
            self.needs_attention,
            {name: reason for name, reason in self.matters.items() if about and name not in about},
        )
        self.needs_attention = "; ".join(self.matters.values()) or None
        if self.needs_attention != before:
            self.note(at, what)

    def forget_matters(self) -> None:
        """Nothing needs a person any more: it has ended, or somebody has seen to it."""
        self.matters, self.needs_attention = {}, None

    def promise(self, what: str, due: datetime) -> None:
        """Something is owed by `due`. What was promised before stands: a journey that is taken up again promises nothing twice."""
        if not any(promise.what == what for promise in self.promises):
            self.promises.append(Promise(what=what, due=due))

    def keep(self, what: str, at: datetime, broken: str | None = None) -> None:
        """The open promise `what` is met at `at`, or could not be kept because of `broken`. Where it is heard of late that it was met
        in time, it was not broken."""
        for promise in self.promises:
            if promise.what == what and promise.met_at is None:
                promise.met_at = at
                promise.broken = broken or (promise.broken if at > promise.due else None)

    def breach(self, what: str, reason: str) -> None:
        """The promise can't be kept any more; it may still be met late."""
        for promise in self.promises:
            if promise.what == what and promise.met_at is None:
                promise.broken = reason

    def broken(self, what: str) -> str | None:
        """Why the promise `what` could not be kept; None where it was, or may still be."""
        return next((promise.broken for promise in self.promises if promise.what == what), None)

    def post(self, letter: str, at: datetime, step: str | None = None, **order: Any) -> None:
        """Puts an email into the outbox; a step that comes again by its nature is numbered by `step` being left out."""
        if step is None:
            self.steps += 1
            step = f"{letter}-{self.steps}"
        self.letters.append(Letter(letter=letter, step=step, at=at, **order))
