"""Serials in stock, tokens at the vendor, labels at the carrier: whether the journeys know of them what is so."""

import asyncio
import json
from collections.abc import Callable

from sqlalchemy import Select, or_, select, update
from sqlalchemy.orm import Session

from activities.repairing.ended import recalled
from activities.repairing.looking import Looking
from activities.vendor import VendorOrder
from database.tables import IncidentRow, JourneyRow, ReturnRow, TokenRow
from domain.reconciling import Finding
from domain.status import Kind, Status
from domain.token_state import IN_THE_JOURNEYS_HANDS, TokenState


class PartyLook(Looking):
    """At one serial, registration or label."""

    async def look(self) -> Finding | None:
        match self.suspect.look:
            case "stock":
                return await self._serial()
            case "vendor":
                return await self._at_vendor()
            case _:
                return await self._at_carrier()

    async def _serial(self) -> Finding | None:
        token = await self.read(lambda session: session.get(TokenRow, self.about))
        if token is not None and token.state == TokenState.IN_STOCK:
            return await self._in_stock()
        if token is None or token.state not in IN_THE_JOURNEYS_HANDS:
            return None
        if self.suspect.matter == "held by another":
            claimed = await self.read(
                lambda session: session.scalars(
                    select(JourneyRow.journey_id).where(JourneyRow.live, JourneyRow.serial_number == self.about)
                ).all()
            )
            if list(claimed) == [token.journey_id]:
                return None
            return self.person(
                f"the serial stands in the records of {', '.join(claimed)}, and the stock says that {token.journey_id or 'nobody'} "
                "holds it",
                "find out who has the device, and cancel or deactivate the other",
            )
        holder = token.journey_id
        row = await self.row(holder) if holder else None
        if row is not None and (row.live or await self.closed(holder) == "RUNNING"):
            return None
        what = f"the serial is {token.state}, and no live journey holds it"
        if row is None:
            return self.person(what, "find out where the device is, and tell engineering: no journey is known for it")
        if token.state == TokenState.ASSIGNED and row.shipped_at is not None:
            return self.person(
                what, "find out where the device is, and tell engineering: its journey says that it was shipped"
            )
        if token.state != TokenState.ASSIGNED:
            if await self.read(lambda session: session.scalars(_losses_of(row.journey_id)).first()):
                return await self._written_off(row, what)
            found = json.dumps({"journey_id": row.journey_id, "serial_number": self.about, "received_by": "your name"})
            lost = json.dumps({"journey_id": row.journey_id, "reason": "lost"})
            return self.person(
                what,
                f"find out where the device is; if it is here, start ReturnByMail with {found}, else SecurityIncident with {lost}",
            )
        if not self.may_touch:
            return self.left(what, "it would be put back into stock")
        await self.act(self.tools.stock.release, row.journey_id)
        await self.note(row, f"token {self.about} put back into stock")
        return self.repaired(what, "put back into stock: it was never shipped")

    async def _in_stock(self) -> Finding | None:
        """Its file was imported again after the journey that has it had written itself again."""
        claims = or_(JourneyRow.live, JourneyRow.shipped_at.is_not(None))
        whose = select(JourneyRow).where(JourneyRow.serial_number == self.about, claims)
        row = await self.read(lambda session: session.scalars(whose.order_by(JourneyRow.live.desc())).first())
        if row is None:
            return None
        what = f"the serial is in stock, and stands in the records of {row.journey_id}, which is {row.status}"
        if not self.may_touch:
            return self.left(what, "it would be taken out of stock")
        if not await self.write(lambda session: _take_out(session, self.about, row)):
            return None
        await self.note(row, f"token {self.about} taken out of stock again")
        return self.repaired(what, "taken out of stock")

    async def _written_off(self, row: JourneyRow, what: str) -> Finding:
        if not self.may_touch:
            return self.left(what, "it would be written off: it was reported lost")
        await self.write(lambda session: _write_off(session, row.journey_id))
        await self.note(row, f"token {self.about} written off: it was reported lost")
        return self.repaired(what, "written off: it was reported lost")

    async def _at_vendor(self) -> Finding | None:
        row, matter = await self.row(), self.suspect.matter
        if row is None and await self.closed_here() == "RUNNING":
            return None  # it is asked to write itself again
        if row is None:
            return self.person(
                "the vendor has a token registered under this reference, and no journey has it",
                "ask the vendor whose it is, and have it revoked if nobody's",
            )
        if matter == "still valid" and not row.live and await self.closed() != "RUNNING":
            what = f"the token is {row.status} here, and still valid at the vendor"
            return await self._at_parties(row, what, "revoked at the vendor and in the directory", self._revoke)
        if matter == "missing" and row.live and row.status not in (Status.REQUESTED, Status.PROCESSED):
            what = f"the token is {row.status} here, and the vendor does not know it"
            return await self._at_parties(row, what, "registered with the vendor again", self._register)
        if matter == "revoked" and row.live:
            return self.person(
                f"the vendor has revoked the token, which is {row.status} here",
                "ask the vendor why; if it stays revoked, replace the token (or cancel the request)",
            )
        return None

    async def _at_carrier(self) -> Finding | None:
        row, matter = await self.row(), self.suspect.matter
        if matter == "unknown":
            known = row is not None or await self.read(
                lambda session: session.scalars(select(ReturnRow).where(ReturnRow.return_id == self.about)).first()
            )
            if known:
                return None
            closed = await self.closed_here()
            if closed == "RUNNING":
                return None  # it is asked to write itself again
            if closed is not None:
                return await self._stopped_unrecorded()
            return self.person(
                "the carrier has sold a label for this reference, and neither a journey nor a return has it",
                "ask the carrier what it is for, and have it voided if for nothing",
            )
        if row is None:
            return None
        if matter == "unused" and not row.live and row.shipped_at is None and await self.closed() != "RUNNING":
            what = f"the request is {row.status} and nothing was shipped, and its label is still paid for"
            return await self._at_parties(
                row, what, "the label is voided", lambda: self.tools.carrier.void(row.journey_id)
            )
        if matter == "voided" and row.live:
            return self.person(
                f"the carrier has the label as voided, and the token is {row.status} here",
                "ask the carrier where the parcel is; cancel the request if it never left",
            )
        return None

    async def _stopped_unrecorded(self) -> Finding | None:
        """A parcel of a journey that began and ended after the moment to which the database was restored. Its device has left, and
        must not be given out a second time."""
        what = "the carrier has sold a label for this journey, which has ended, and the records do not know it"
        if "return_id" in await self.said():
            return None  # its journey has one, too
        if not self.may_touch:
            return self.left(what, "it would be put back into the records")
        then = await recalled(self, self.about)
        return self.repaired(what, "put back into the records") if then is None else self.person(what, then)

    def _register(self) -> None:
        self.tools.vendor.provision(self._order)

    def _revoke(self) -> None:
        self.tools.vendor.revoke(self._order)
        if self._enrolled:
            self.tools.directory.revoke(self.about)

    async def _at_parties(self, row: JourneyRow, what: str, then: str, work: Callable[[], None]) -> Finding | None:
        if not self.may_touch:
            return self.left(what, f"it would be {then}")
        self._order = VendorOrder(
            journey_id=row.journey_id,
            kind=Kind(row.kind),
            serial_number=row.serial_number if row.kind == Kind.HARD else None,
        )
        self._enrolled = row.enrolled_at is not None
        await asyncio.to_thread(work)
        await self.note(row, then)
        return self.repaired(what, then)


def _take_out(session: Session, serial: str, row: JourneyRow) -> bool:
    """False: somebody has taken it meanwhile, or the journey holds another."""
    if session.scalars(select(TokenRow.serial_number).where(TokenRow.journey_id == row.journey_id)).first() is not None:
        return False
    state = TokenState.ASSIGNED if row.shipped_at is None else TokenState.SHIPPED
    if row.status == Status.ACTIVE:
        state = TokenState.ACTIVE
    taken = session.scalars(
        update(TokenRow)
        .where(TokenRow.serial_number == serial, TokenRow.state == TokenState.IN_STOCK)
        .values(state=state if row.live else TokenState.WRITTEN_OFF, journey_id=row.journey_id)
        .returning(TokenRow.serial_number)
    )
    return taken.first() is not None


def _losses_of(journey_id: str) -> Select[str]:
    return select(IncidentRow.incident_id).where(IncidentRow.journey_id == journey_id)


def _write_off(session: Session, journey_id: str) -> None:
    session.execute(
        update(TokenRow)
        .where(TokenRow.journey_id == journey_id, TokenRow.state.in_(IN_THE_JOURNEYS_HANDS))
        .values(state=TokenState.WRITTEN_OFF)
    )
