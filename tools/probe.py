"""Whether a URL answers 200: `python -m tools.probe URL` ends with 0 or 1. For health checks in images that have no wget."""

import sys
import urllib.error
import urllib.request

if __name__ == "__main__":
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=4) as answer:  # noqa: S310  # our own address
            sys.exit(answer.status != 200)
    except (OSError, urllib.error.URLError):
        sys.exit(1)
