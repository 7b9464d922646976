"""What a log line or a span may say of an exception. Its text is left out unless it is known to be ours: a database's names the
values of a row, a mail server's the recipient, a validation's what was typed."""

import os
import traceback
from pathlib import Path

from sqlalchemy.exc import DBAPIError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

_OWN = frozenset({"Unreachable", "Unavailable", "MailNotTaken", "NotSyncedYet", "NotYet"})
"""Types of ApplicationError whose sentences are put together from a party's name, a status and ids only."""
_FRAMES = 6


def told(fault: BaseException) -> str:
    """One line: the kind of the exception and of its causes, and what is known to be harmless of their texts."""
    return " <- ".join(_one(link) for link in _chain(fault))


def places(fault: BaseException) -> str:
    """One line: where it was raised, the innermost frame first."""
    frames = traceback.extract_tb(fault.__traceback__)[-_FRAMES:]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))


def _chain(fault: BaseException) -> list[BaseException]:
    links: list[BaseException] = []
    link: BaseException | None = fault
    while link is not None and link not in links and len(links) < 5:
        links.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return links


def _one(fault: BaseException) -> str:
    kind = type(fault).__name__
    match fault:
        case ApplicationError():
            said = f"{fault.type}: {fault.message}" if fault.type in _OWN else str(fault.type)
        case RPCError():
            said = fault.status.name
        case DBAPIError():
            said = " ".join(filter(None, (type(fault.orig).__name__, getattr(fault.orig, "sqlstate", None))))
        case OSError() if fault.errno:
            said = os.strerror(fault.errno)
        case _:
            return kind
    return f"{kind} ({said})"
