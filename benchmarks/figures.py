"""Figures: pairs of measurements taken alternately, their ratio with its spread, and whether they reach what was asked."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median, quantiles
from typing import Any, Literal


@dataclass(frozen=True)
class Spread:
    """Median and quartiles; of fewer than four values the quartiles are the least and the greatest."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Raises ValueError without a value."""
        if not values:
            raise ValueError("a spread needs at least one value")
        if len(values) < 4:
            return cls(min(values), median(values), max(values))
        low, middle, high = quantiles(values, n=4, method="inclusive")
        return cls(low, middle, high)


@dataclass(frozen=True)
class Figure:
    """`pairs`: ours and the other's in `unit`, each pair measured one right after the other. `key` names it in REACH."""

    key: str
    what: str
    unit: str
    against: str
    pairs: tuple[tuple[float, float], ...]
    note: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def part(self) -> str:
        return self.key.partition("/")[0]

    @property
    def ours(self) -> Spread:
        return Spread.of([ours for ours, _ in self.pairs])

    @property
    def other(self) -> Spread:
        return Spread.of([other for _, other in self.pairs])

    @property
    def ratio(self) -> Spread:
        """Ours to the other's, pair by pair. Raises ZeroDivisionError where the other's is nothing."""
        return Spread.of([ours / other for ours, other in self.pairs])

    def as_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "ours": asdict(self.ours),
            "other": asdict(self.other),
            "ratio": asdict(self.ratio),
        }


@dataclass(frozen=True)
class Line:
    """One line of what is asked: the median of `of` must be at least or at most `bound` for each figure whose key is named."""

    what: str
    of: Literal["ratio", "ours"]
    sense: Literal["at least", "at most"]
    bound: float
    unit: str
    keys: tuple[str, ...]

    @property
    def asked(self) -> str:
        return f"{self.sense} {self.bound:g}{f' {self.unit}' if self.unit else ''}"

    def judge(self, figures: Sequence[Figure]) -> "Judgement":
        """By the worst of the figures. Where one of them was not measured, nothing is said of the line."""
        known = {figure.key: figure for figure in figures}
        if not all(key in known for key in self.keys):
            return Judgement(self, None, None)
        spreads = [getattr(known[key], self.of) for key in self.keys]
        worst = (min if self.sense == "at least" else max)(spreads, key=lambda spread: spread.middle)
        holds = worst.middle >= self.bound if self.sense == "at least" else worst.middle <= self.bound
        return Judgement(self, worst, holds)


@dataclass(frozen=True)
class Judgement:
    """`reached`: None where it was not measured."""

    line: Line
    found: Spread | None
    reached: bool | None

    @property
    def word(self) -> str:
        return {True: "reached", False: "not reached", None: "not measured"}[self.reached]


SIZES = (1, 4, 16)
"""At which growth is measured."""
GROWING = ("journeys-16", "import", "audit", "verification", "lists", "digest", "report")
"""The figures of it, each for the largest size against the smallest."""

REACH = (
    Line(
        "journeys/s against the bare ceiling, PostgreSQL",
        "ratio",
        "at least",
        0.85,
        "",
        ("journeys/postgresql/hard/bare", "journeys/postgresql/soft/bare"),
    ),
    Line(
        "journeys/s against DBOS with the same effects",
        "ratio",
        "at least",
        1.2,
        "",
        ("journeys/postgresql/hard/dbos",),
    ),
    Line("events of a hard journey to Active", "ours", "at most", 60, "", ("history/hard/events",)),
    Line("events of a soft journey to Active", "ours", "at most", 40, "", ("history/soft/events",)),
    Line("history with encryption, hard to Active", "ours", "at most", 20, "KB", ("history/hard/bytes",)),
    Line(
        "update with reply, quiet, p50 against a bare one",
        "ratio",
        "at most",
        1.3,
        "",
        ("answering/quiet/edit", "answering/quiet/process", "answering/quiet/enrol"),
    ),
    Line("first update after a worker was killed", "ours", "at most", 2, "s", ("answering/killed",)),
    Line("worker memory with 100,000 open journeys", "ours", "at most", 300, "MB", ("standing/worker-memory",)),
    Line(
        "lists people use, at 100,000 open: p99",
        "ours",
        "at most",
        50,
        "ms",
        ("standing/lists/p99", "standing/temporal-lists/p99"),
    ),
    Line(
        "lists people use: flat in total size",
        "ratio",
        "at most",
        1.15,
        "",
        ("growth/lists",),
    ),
    Line("import against a bare insert", "ratio", "at most", 3, "", ("imports/import",)),
    Line(
        "cost per unit at 16× against 1×",
        "ratio",
        "at most",
        1.15,
        "",
        tuple(f"growth/{what}" for what in GROWING),
    ),
)
"""The issue's "Reach" table."""
