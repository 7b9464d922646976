"""Processor time and memory of the processes of a running system, by what they are for."""

import os
from collections.abc import Mapping
from contextlib import suppress

import psutil

Roles = Mapping[str, int]
"""What a process is for, to its id; its children count as it does."""


def seconds(roles: Roles) -> dict[str, float]:
    """Processor seconds used so far. Children that have ended count with whoever has waited for them."""
    spent = {}
    for role, pid in roles.items():
        total = 0.0
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            for one in (process, *process.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    times = one.cpu_times()
                    total += times.user + times.system + times.children_user + times.children_system
        spent[role] = total
    own = os.times()
    spent["driver"] = own.user + own.system
    return spent


def between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Seconds used meanwhile."""
    return {role: after[role] - before.get(role, 0.0) for role in after}


def memory(pid: int) -> float:
    """Bytes that the process alone holds: its unique set where the kernel tells it, else its resident set."""
    info = psutil.Process(pid).memory_full_info()
    return float(getattr(info, "uss", info.rss))
