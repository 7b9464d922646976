"""`make faults`: journeys under real faults on the production-shaped stack, and the counts after it. `python -m tools.faults`."""

import argparse
import asyncio
import os
import secrets
import shutil
import sys
from pathlib import Path

from starter.supervision import StackError
from tools.faults.report import write
from tools.faults.run import Orders, run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(".local/faults"), help="emptied before, kept after")
    parser.add_argument("--seed", type=int, help="of an earlier run, to have its faults in the same order")
    parser.add_argument("--journeys", type=int, default=Orders.journeys)
    parser.add_argument("--times", type=int, default=Orders.times, help="how often each fault")
    parser.add_argument("--think", type=float, default=Orders.think, help="seconds between two steps at most")
    parser.add_argument("--report", type=Path, help="where the report is written, too")
    given = parser.parse_args()
    orders = Orders(
        journeys=given.journeys,
        times=given.times,
        seed=secrets.randbelow(1_000_000) if given.seed is None else given.seed,
        think=given.think,
    )
    print(f"Seed {orders.seed}: SEED={orders.seed} repeats the order of the faults.", flush=True)
    shutil.rmtree(given.state, ignore_errors=True)
    given.state.mkdir(parents=True)
    try:
        report, _ = asyncio.run(run(given.state.resolve(), orders, lambda said: print(said, flush=True)))
    except StackError as refusal:
        print(refusal, file=sys.stderr)
        return 2
    write(report, [given.state / "report.json", *([given.report] if given.report else [])])
    return 0 if report.clean else 1


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a Temporal client may bring Python down at its end
