"""In a process of its own, as what is frozen stays so."""

import subprocess
import sys


def test_what_is_there_when_a_process_has_settled_is_not_looked_through_again() -> None:
    script = """
import gc, worker
from telemetry import garbage
loaded = len(gc.get_objects())
garbage.settle()
print(loaded > 100_000, len(gc.get_objects()) < 1_000, gc.isenabled())
ring = []
ring.append(ring)
del ring
print(gc.collect() > 0)
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["True"] * 4
