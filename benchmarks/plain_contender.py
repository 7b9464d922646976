"""What the contenders without Temporal share: where a journey stands is read from the application's own table."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from benchmarks import people
from benchmarks.site import Site
from database.tables import JourneyRow, TokenRow


class PlainContender:
    name: str

    def __init__(self, site: Site) -> None:
        self.site = site

    def tell(self, journey_id: str, name: str, message: dict[str, Any]) -> None:
        """Hands a message over."""
        raise NotImplementedError

    def reply(self, journey_id: str, name: str) -> None:
        """Returns when the message has been answered."""
        raise NotImplementedError

    async def process(self, journey_id: str) -> str | None:
        await asyncio.to_thread(self.tell, journey_id, "process", {"operator": "bench"})
        await asyncio.to_thread(self.reply, journey_id, "process")
        return await asyncio.to_thread(self._serial, journey_id)

    async def deliver(self, journey_id: str) -> None:
        await asyncio.to_thread(self.tell, journey_id, "deliver", {"occurred_at": datetime.now(UTC).isoformat()})

    async def enrol(self, journey_id: str, kind: str, serial: str | None) -> None:
        assert serial
        message = {"serial_number": serial, "passcode": people.passcode(serial)}
        await asyncio.to_thread(self.tell, journey_id, "enrol", message)
        await asyncio.to_thread(self.reply, journey_id, "enrol")

    async def statuses(self, run: str) -> Mapping[str, str]:
        return await asyncio.to_thread(self._statuses, run)

    def _serial(self, journey_id: str) -> str | None:
        with self.site.sessions() as session:
            return session.scalar(select(TokenRow.serial_number).where(TokenRow.journey_id == journey_id))

    def _statuses(self, run: str) -> dict[str, str]:
        with self.site.sessions() as session:
            rows = select(JourneyRow.journey_id, JourneyRow.status).where(
                JourneyRow.journey_id > run, JourneyRow.journey_id < f"{run}~"
            )
            return dict(session.execute(rows).tuples().all())
