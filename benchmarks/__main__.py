"""`python -m benchmarks [--only PART,…] [--quick] [--out FOLDER]`: what `make bench` runs."""

import asyncio
import json
import platform
import shutil
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console

from benchmarks import chart, table
from benchmarks.figures import Figure
from benchmarks.parts import PARTS, Size

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
_QUICK = Size(pairs=1, journeys=8, samples=8, rows=500, standing=400, timers=20)


@app.command()
def main(
    only: Annotated[str, typer.Option(help=f"These parts alone: {', '.join(PARTS)}.")] = "",
    quick: Annotated[bool, typer.Option(help="Tiny numbers, to see that it works; they say nothing.")] = False,
    size: Annotated[str, typer.Option(help="Other sizes than usual, such as pairs=2,journeys=40.")] = "",
    out: Annotated[Path, typer.Option(help="Where JSON, Markdown and SVG are written.")] = Path(".local/bench"),
) -> None:
    """Measures, prints the tables, and writes them."""
    wanted = [name.strip() for name in only.split(",") if name.strip()] or list(PARTS)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        raise typer.BadParameter(f"there is no part {unknown[0]}; these there are: {', '.join(PARTS)}")
    try:
        sizes = replace(_QUICK if quick else Size(), **_sizes(size))
    except (TypeError, ValueError):
        raise typer.BadParameter(f"{size!r} is not of the form pairs=2,journeys=40") from None
    out.mkdir(parents=True, exist_ok=True)
    began, figures, failed = time.monotonic(), list[Figure](), list[str]()
    for name in wanted:
        folder = Path(tempfile.mkdtemp(prefix="bench-"))
        print(f"{_clock(began)} {name}", file=sys.stderr, flush=True)
        try:
            figures += asyncio.run(PARTS[name](folder, sizes))
        except Exception:  # the other parts are measured all the same
            traceback.print_exc()
            failed.append(name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        _write(out, figures, wanted)
    print(f"{_clock(began)} done", file=sys.stderr, flush=True)
    console = Console(width=160)
    table.show(figures, console)
    if any(judgement.reached is False for judgement in table.judgements(figures)):
        print("Why lines are not reached, and what was tried, stands in docs/performance.md.")
    print(f"{out / 'bench.json'}, {out / 'bench.md'}, {out / 'bench.svg'}")
    if failed:
        sys.exit(f"Not measured, for the errors above: {', '.join(failed)}.")


def _sizes(text: str) -> dict[str, int]:
    pairs = (part.partition("=") for part in text.split(",") if part)
    return {name.strip(): int(value) for name, _, value in pairs}


def _write(out: Path, figures: list[Figure], parts: list[str]) -> None:
    machine = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": psutil.cpu_count(),
        "load": psutil.getloadavg(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "parts": parts,
    }
    found = {"machine": machine, "figures": [figure.as_json() for figure in figures]}
    found["reach"] = [
        {"what": j.line.what, "asked": j.line.asked, "found": j.found and j.found.middle, "said": j.word}
        for j in table.judgements(figures)
    ]
    (out / "bench.json").write_text(json.dumps(found, indent=1))
    (out / "bench.md").write_text(table.markdown(figures))
    if figures:
        chart.draw(figures, out / "bench.svg")


def _clock(began: float) -> str:
    minutes, seconds = divmod(int(time.monotonic() - began), 60)
    return f"[{minutes}:{seconds:02d}]"


if __name__ == "__main__":
    app()
