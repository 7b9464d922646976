"""Becomes a command that ends with its parent: `python -m starter.tether PARENT_PID -- COMMAND…`.

On Linux the kernel sends the command SIGTERM when the parent ends, even by `kill -9`. It watches the parent's *thread*, so
start this from one that lives as long as the command should. Elsewhere nothing of the kind exists, and what is left running is
ended at the stack's next start. Only the standard library is imported: it is run before every child.
"""

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Becomes `command`; ends with 127 where it can't be run."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel was asked
        sys.exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606  # the stack's own commands
    except OSError as fault:
        print(f"{command[0]}: {fault.strerror}", file=sys.stderr, flush=True)
        os._exit(127)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[3:])
