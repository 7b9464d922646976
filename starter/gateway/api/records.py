"""The database as the API reads it: never holding up the loop, and away without being an answer."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException

from database.engine import Sessions
from database.tables import JourneyRow

T = TypeVar("T")

_PATIENCE = 10.0
_AWAY = "The database does not answer, and nothing was done; send the same again in a moment."


async def in_thread(work: Callable[[], T]) -> T:
    """What blocking work on the database comes to. Raises HTTPException 503 where the database is away."""
    try:
        return await asyncio.wait_for(asyncio.to_thread(work), _PATIENCE)
    except (OperationalError, InterfaceError, ProgrammingError, NoConnection, TimeoutError):
        raise HTTPException(503, _AWAY, {"Retry-After": "10"}) from None


async def read(sessions: Sessions, work: Callable[[Session], T]) -> T:
    """The same for something that is only read."""

    def run() -> T:
        with sessions() as session:
            return work(session)

    return await in_thread(run)


async def journey(sessions: Sessions, journey_id: str, holder: str | None) -> JourneyRow | None:
    """The journey's row; None where there is none, or it is not the holder's."""
    row = await read(sessions, lambda session: session.get(JourneyRow, journey_id))
    return row if row is not None and holder in (None, row.prescriber_id) else None


def unknown(journey_id: str) -> HTTPException:
    return HTTPException(404, f"There is no token {journey_id}; look its id up in the list at /v1/tokens.")
