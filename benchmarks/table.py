"""What was measured, as a table on the screen and in Markdown."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.figures import REACH, Figure, Judgement, Spread


def number(value: float) -> str:
    """Three digits that count."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def spread(of: Spread) -> str:
    """`0.91 (0.88 to 0.95)`."""
    middle, low, high = number(of.middle), number(of.low), number(of.high)
    return middle if low == high else f"{middle} ({low} to {high})"


def judgements(figures: Sequence[Figure]) -> list[Judgement]:
    return [line.judge(figures) for line in REACH]


def show(figures: Sequence[Figure], console: Console) -> None:
    table = Table(title="Measured alternately; median and quartiles of the pairs")
    for column in ("what", "unit", "ours", "against", "its own", "ratio"):
        table.add_column(column)
    for figure in figures:
        table.add_row(*_row(figure))
    console.print(table)
    reach = Table(title="What is asked")
    for column in ("what", "asked", "found", ""):
        reach.add_column(column)
    for judgement in judgements(figures):
        colour = {True: "green", False: "red", None: "dim"}[judgement.reached]
        found = spread(judgement.found) if judgement.found else ""
        reach.add_row(judgement.line.what, judgement.line.asked, found, f"[{colour}]{judgement.word}[/]")
    console.print(reach)


def markdown(figures: Sequence[Figure]) -> str:
    """Both tables, to be put into docs/performance.md."""
    lines = ["| what | asked | found | |", "|---|---|---|---|"]
    for judgement in judgements(figures):
        found = spread(judgement.found) if judgement.found else ""
        lines.append(f"| {judgement.line.what} | {judgement.line.asked} | {found} | {judgement.word} |")
    lines += ["", "| what | unit | ours | against | its own | ratio |", "|---|---|---|---|---|---|"]
    lines += [f"| {' | '.join(_row(figure))} |" for figure in figures]
    return "\n".join(lines) + "\n\n" + split(figures)


def split(figures: Sequence[Figure]) -> str:
    """Where the processor's time goes, as a Markdown table."""
    lines = [
        "| milliseconds of CPU a journey | worker | server | database | parties | driver |",
        "|---|---|---|---|---|---|",
    ]
    for figure in figures:
        for name, found in figure.details.items():
            if figure.part == "journeys":
                lines.append(f"| {figure.what}: {name} | {' | '.join(number(value) for value in found.values())} |")
    return "\n".join(lines) + "\n" if len(lines) > 2 else ""


def _row(figure: Figure) -> list[str]:
    return [
        figure.what + (f" ({figure.note})" if figure.note else ""),
        figure.unit,
        spread(figure.ours),
        figure.against,
        spread(figure.other),
        spread(figure.ratio),
    ]
