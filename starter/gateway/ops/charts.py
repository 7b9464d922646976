"""Charts of a report, by matplotlib, as SVG. Each shows what a table beside it says in figures."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from domain.report import Report
from domain.status import Kind, Status
from domain.token_state import TokenState

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "tokens"  # the same figures make the same file
_WIDTH = 7.6
"""Inches; the page scales it."""


@dataclass(frozen=True)
class Theme:
    """The pages' own colours (`static/pages.css`)."""

    ink: str
    quiet: str
    line: str
    first: str
    second: str
    third: str
    fourth: str
    bad: str


THEMES = {
    "light": Theme("#1f2a30", "#53626b", "#dde3e6", "#0b5a6b", "#d08a1d", "#7b6fb0", "#9aa7ae", "#a3241b"),
    "dark": Theme("#e8ecef", "#a9b5bc", "#343e45", "#7fcbd8", "#f0c674", "#b9aeea", "#6d7a82", "#ff9d94"),
}
_SECONDS = {
    30: "30 s",
    60: "1 min",
    600: "10 min",
    3600: "1 h",
    21600: "6 h",
    86400: "1 d",
    259200: "3 d",
    864000: "10 d",
}


def draw(name: str, report: Report, theme: str) -> bytes:
    """The chart `name` of `CHARTS` in the colours of `theme` of `THEMES`. Raises KeyError."""
    make, colours = CHARTS[name], THEMES[theme]
    figure = make(report, colours)
    written = io.BytesIO()
    figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Title": name})
    return written.getvalue()


def _figure(height: float, theme: Theme) -> tuple[Figure, Any]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes: Any = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(theme.line)
    axes.tick_params(colors=theme.quiet, labelcolor=theme.ink, length=0, labelsize=11, pad=6)
    axes.set_axisbelow(True)
    return figure, axes


def _legend(axes: Any, theme: Theme, columns: int) -> None:
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=columns,
        frameon=False,
        labelcolor=theme.ink,
        fontsize=11,
        handlelength=1.2,
        columnspacing=1.2,
        borderaxespad=0.3,
    )


def _requests(report: Report, theme: Theme) -> Figure:
    figure, axes = _figure(3.1, theme)
    days = report.days
    places = range(len(days))
    axes.bar(places, [day.hard for day in days], color=theme.first, width=0.75, label="hard")
    axes.bar(
        places,
        [day.soft for day in days],
        bottom=[day.hard for day in days],
        color=theme.second,
        width=0.75,
        label="soft",
    )
    axes.plot(
        places,
        [day.activated for day in days],
        color=theme.ink,
        marker="o",
        markersize=3.5,
        linewidth=1.4,
        label="became active",
    )
    step = max(1, -(-len(days) // 8))
    shown = list(places)[::step]
    axes.set_xticks(shown, [f"{days[place].day:%-d %b}" for place in shown])
    axes.set_xlim(-0.6, len(days) - 0.4)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=2))
    axes.set_ylim(bottom=0, top=max([1, *(max(day.hard + day.soft, day.activated) for day in days)]) * 1.08)
    axes.grid(axis="y", color=theme.line)
    _legend(axes, theme, 3)
    return figure


def _paces(report: Report, theme: Theme) -> Figure:
    rows = report.paces
    figure, axes = _figure(1.1 + 0.4 * max(1, len(rows)), theme)
    for place, pace in enumerate(rows):
        colour = theme.first if pace.kind is Kind.HARD else theme.second
        low, high = max(pace.median, 1), max(pace.p90, 1)
        axes.plot([low, high], [place, place], color=colour, linewidth=3, alpha=0.55, solid_capstyle="round")
        axes.plot(low, place, "o", color=colour, markersize=9)
        axes.plot(high, place, "|", color=colour, markersize=14, markeredgewidth=3)
    axes.plot([], [], "o", color=theme.quiet, markersize=9, label="half within")
    axes.plot(
        [], [], "|", color=theme.quiet, markersize=14, markeredgewidth=3, linestyle="none", label="nine of ten within"
    )
    axes.set_yticks(range(len(rows)), [f"{pace.kind}: {pace.stage}" for pace in rows])
    axes.invert_yaxis()
    axes.set_xscale("log")
    spans = [span for pace in rows for span in (pace.median, pace.p90)] or [60.0, 86400.0]
    axes.set_xlim(max(1, min(spans)) / 2, max(spans) * 2)
    ticks = [second for second in _SECONDS if max(1, min(spans)) / 2 <= second <= max(spans) * 2]
    axes.set_xticks(ticks, [_SECONDS[second] for second in ticks])
    axes.minorticks_off()
    axes.grid(axis="x", color=theme.line)
    _legend(axes, theme, 2)
    return figure


def _across(axes: Any, names: list[str], parts: list[tuple[str, str, list[int]]], theme: Theme) -> None:
    """Lying bars, each of several parts: its label, colour and numbers."""
    done = [0] * len(names)
    for label, colour, numbers in parts:
        axes.barh(range(len(names)), numbers, left=done, color=colour, height=0.62, label=label)
        done = [before + number for before, number in zip(done, numbers, strict=True)]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, max([1, *done]) * 1.1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=2))
    axes.grid(axis="x", color=theme.line)


def _promises(report: Report, theme: Theme) -> Figure:
    rows = report.promises
    figure, axes = _figure(1.1 + 0.45 * max(1, len(rows)), theme)
    parts = [
        ("kept", theme.first, [row.kept for row in rows]),
        ("broken", theme.bad, [row.broken for row in rows]),
        ("not due yet", theme.fourth, [row.open for row in rows]),
    ]
    _across(axes, [row.what for row in rows], parts, theme)
    for place, row in enumerate(rows):
        if row.share is not None:
            total = row.kept + row.broken + row.open
            axes.annotate(
                f" {row.share:.0%}", (total, place), va="center", color=theme.ink, fontsize=11, annotation_clip=False
            )
    _legend(axes, theme, 3)
    return figure


def _stock(report: Report, theme: Theme) -> Figure:
    rows = report.stock
    figure, axes = _figure(1.1 + 0.45 * max(1, len(rows)), theme)
    groups = (
        ("in stock", theme.first, (TokenState.IN_STOCK,)),
        ("on the way out", theme.third, (TokenState.ASSIGNED, TokenState.SHIPPED)),
        ("active", theme.second, (TokenState.ACTIVE,)),
        ("coming back", theme.bad, (TokenState.COMING_BACK,)),
        ("gone", theme.fourth, (TokenState.RETURNED, TokenState.WRITTEN_OFF, TokenState.DESTROYED)),
    )
    parts = [
        (label, colour, [sum(row.states.get(state, 0) for state in states) for row in rows])
        for label, colour, states in groups
    ]
    _across(axes, [f"{row.batch} (low)" if row.low else row.batch for row in rows], parts, theme)
    _legend(axes, theme, 5)
    return figure


def _standing(report: Report, theme: Theme) -> Figure:
    waiting = [status for status in Status if any(row.status is status for row in report.standing)]
    waiting = [status for status in waiting if status is not Status.ACTIVE]
    figure, axes = _figure(1.1 + 0.45 * max(1, len(waiting)), theme)

    def of(kind: Kind) -> list[int]:
        return [
            sum(row.journeys for row in report.standing if (row.status, row.kind) == (status, kind))
            for status in waiting
        ]

    parts = [("hard", theme.first, of(Kind.HARD)), ("soft", theme.second, of(Kind.SOFT))]
    _across(axes, [str(status) for status in waiting], parts, theme)
    _legend(axes, theme, 2)
    return figure


CHARTS: dict[str, Callable[[Report, Theme], Figure]] = {
    "requests": _requests,
    "times": _paces,
    "promises": _promises,
    "stock": _stock,
    "open": _standing,
}
