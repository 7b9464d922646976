"""`python -m benchmarks.load [COUNT]`: open journeys to measure at, kept in the user's cache folder until they are loaded anew."""

import asyncio
import sys

from benchmarks import standing

if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print(f"Loading {count:,} open journeys into {standing.KEPT}; this takes minutes and some gigabytes.", flush=True)
    asyncio.run(standing.load(standing.KEPT, count, keep=True))
