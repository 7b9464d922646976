"""Runs a command that must not outlive its parent: `python stack_launcher.py kernel|watchdog PARENT_PID COMMAND…`.

The process becomes the command, so its id is the command's. On Linux the kernel kills it the moment its parent ends, also by
`kill -9`. The kernel watches the parent's *thread*: start it from one that lives as long as the command should. Elsewhere
(macOS) a watchdog process does it: it reads standard input, a pipe whose other end only the parent holds, until that ends.

Only the standard library is imported, so that it starts in milliseconds.
"""

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _die_with_parent(parent: int) -> None:
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(1)


def _watch() -> None:
    command = os.getpid()
    if os.fork() == 0:
        while os.read(0, 1024):
            pass
        if os.getppid() == command:  # else the command has ended, and its number may be another's
            os.kill(command, signal.SIGKILL)
        os._exit(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def main(parent: int, command: list[str], watchdog: bool) -> None:
    """Becomes `command`; ends with 127 where it can't be run."""
    if watchdog:
        _watch()
    else:
        _die_with_parent(parent)
    try:
        os.execvp(command[0], command)  # noqa: S606  # the stack's own commands
    except OSError as fault:
        sys.stderr.write(f"{command[0]}: {fault.strerror}\n")
        sys.stderr.flush()
        os._exit(127)


def tied_to_this_process(command: list[str], watchdog: bool = sys.platform != "linux") -> list[str]:
    """`command`, through this launcher. With the watchdog, standard input must be a pipe."""
    return [
        sys.executable,
        "-I",
        "-S",
        os.path.abspath(__file__),  # noqa: PTH100  # pathlib would take longer to load than the rest
        "watchdog" if watchdog else "kernel",
        str(os.getpid()),
        *command,
    ]


if __name__ == "__main__":
    main(int(sys.argv[2]), sys.argv[3:], watchdog=sys.argv[1] == "watchdog")
