"""The report, for people and for programs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tools.faults.run import Report

_SHOWN = 20


def write(report: Report, files: Sequence[Path]) -> None:
    """Prints it, and writes it as JSON."""
    out = Console(soft_wrap=True)
    parts: tuple[tuple[str, Mapping[str, Any]], ...] = (
        ("What was done", report.faults),
        ("Started again by the supervisor", report.restarts),
        ("What the gateway answered", report.answers),
        ("Journeys: what was planned, and how they ended", report.ends),
        ("Seconds", {name: round(seconds, 1) for name, seconds in report.seconds.items()}),
    )
    for title, content in parts:
        table = Table(title=title, title_justify="left", show_header=False, box=None)
        for name, value in content.items():
            table.add_row(f"{value:>6}", name)
        out.print(table)
        out.print()
    table = Table(title="The counts: each must be zero", title_justify="left", show_header=False, box=None)
    for name, found in report.breaches.items():
        table.add_row(f"{len(found):>6}", name)
    out.print(table)
    for found in report.breaches.values():
        for sentence in found[:_SHOWN]:
            out.print(f"  - {sentence}", markup=False)
        if len(found) > _SHOWN:
            out.print(f"  … and {len(found) - _SHOWN} more")
    out.print(f"\nSeed {report.orders.seed}: {'every count is zero' if report.clean else 'NOT every count is zero'}.")
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(report.as_json() + "\n")
        out.print(f"Written to {file}", markup=False)
