"""`make stack`: the production-shaped stack, up until Ctrl-C. `python -m tools.production [--json] [--state FOLDER] [--workers N]`."""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from starter.stack import until_stopped
from starter.supervision import StackError
from tools.production.stack import ProductionStack


async def main(state: Path, workers: int, as_json: bool) -> None:
    """Raises StackError."""

    def tell(said: str) -> None:
        print(said, file=sys.stderr if as_json else sys.stdout, flush=True)

    variables = {name: value for name, value in os.environ.items() if name.startswith(("TOKENS_", "TEMPORAL_"))}
    tell("Starting PostgreSQL, Temporal with its UI, the parties, the gateway and the workers.")
    async with ProductionStack(state, tell, variables, workers) as stack:
        if as_json:
            print(json.dumps(stack.info), flush=True)
        else:
            for name, where in stack.info.items():
                print(f"  {name:<14}{where}", flush=True)
            print("Ready. Ctrl-C ends it; the next start goes on from there.", flush=True)
        await until_stopped()
        tell("Ending.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--json", action="store_true", help="one line with every address and process id when it is ready"
    )
    parser.add_argument("--state", type=Path, default=Path(".local/production"))
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    try:
        asyncio.run(main(given.state, given.workers, given.json))
    except (StackError, OSError, ValueError) as refusal:
        sys.exit(str(refusal))
