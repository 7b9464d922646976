"""How a process that runs for weeks looks for garbage, so that nobody's answer waits for it."""

import gc

_THRESHOLDS = (5_000, 10, 10)
"""Objects made before the youngest are looked through, and how often each of the two elder generations is spared. Seven times
Python's own first figure: a journey makes five thousand, most of which live as long as it does."""


def settle() -> None:
    """To be called once all is imported and set up: what is there stays to the end, and is not looked through again. That takes
    a fifth of a second each time otherwise, in which the process does nothing else."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
