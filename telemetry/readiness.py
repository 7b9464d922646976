"""Whether a process can work just now: Temporal and the database answer, and it has not been told to end."""

import asyncio

from sqlalchemy import select
from temporalio.client import Client

from database.engine import Sessions

_PATIENCE = 5.0
"""Seconds; whoever asks, asks again."""


class Readiness:
    """Given the client and the database that the process works with. Set `draining` as soon as it is to end."""

    def __init__(self, client: Client, sessions: Sessions) -> None:
        self.draining = False
        self._client, self._sessions = client, sessions

    async def obstacle(self) -> str | None:
        """What is in the way; None: nothing."""
        if self.draining:
            return "it is draining, and takes no new work"
        for what, ask in (
            ("the database", lambda: asyncio.to_thread(self._database_answers)),
            ("Temporal", self._client.service_client.check_health),
        ):
            try:
                await asyncio.wait_for(ask(), _PATIENCE)
            except Exception as fault:
                return f"{what} does not answer ({type(fault).__name__})"
        return None

    def _database_answers(self) -> None:
        with self._sessions() as session:
            session.execute(select(1))
