"""How a one-shot job of the production stack is run, such as `python -m starter.search_attributes`."""

import asyncio
import os
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn


def run(work: Coroutine[Any, Any, None], refusals: tuple[type[Exception], ...], about: str) -> NoReturn:
    """Ends this process: with 0, or with 1 and a sentence that begins with `about` where one of `refusals` was raised."""
    code = 0
    try:
        asyncio.run(work)
    except refusals as fault:
        print(f"{about}: {fault}", file=sys.stderr)
        code = 1
    # A client's background thread now and then crashes Python at exit; everything is said by here.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
