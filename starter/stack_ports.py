"""Ports of the embedded stack: which are free, and what to say of one that is not."""

import random
import socket
from contextlib import closing
from dataclasses import dataclass

HOST = "127.0.0.1"
_FREE_FROM, _FREE_TO = 20000, 32000
"""Below the range from which Linux and macOS take ports for outgoing connections, so that none of those gets in between."""


@dataclass(frozen=True)
class Wanted:
    """A port, who wants it ("the gateway"), and the environment variable that changes it (None: it was chosen here)."""

    port: int
    who: str
    setting: str | None = None


def choose(setting: int, chosen: set[int]) -> int:
    """The port that the setting names, or for 0 a free one; noted in `chosen`, so that it is given out once."""
    port = setting
    while port == 0 or (setting == 0 and (port in chosen or taken(port))):
        port = random.randint(_FREE_FROM, _FREE_TO)  # noqa: S311  # not a secret
    chosen.add(port)
    return port


def taken(port: int) -> bool:
    """Whether some process has the port on this machine."""
    with closing(socket.socket()) as probe:
        # Else a connection of the stack that ended a minute ago would count as somebody.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return True
    return False


def complaint(wanted: list[Wanted]) -> str | None:
    """One sentence about the first port that can't be had; None if all are free."""
    owners: dict[int, Wanted] = {}
    for want in wanted:
        if want.port in owners:
            return (
                f"Port {want.port} is wanted by both {owners[want.port].who} and {want.who};"
                f" set {want.setting} to another one, or to 0 for any free one."
            )
        owners[want.port] = want
        if taken(want.port):
            return taken_sentence(want)
    return None


def taken_sentence(want: Wanted) -> str:
    """What, who, and what to change."""
    if want.setting is None:
        return f"Port {want.port}, which {want.who} was to use, has just been taken by another program; try again."
    return (
        f"Port {want.port} is taken by another program, and {want.who} wants it;"
        f" end that program, or set {want.setting} to another port (0 = any free one)."
    )
