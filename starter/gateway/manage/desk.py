"""What the pages' routes are given: the visitor, the visitor's own tokens, and the way to their journeys."""

import asyncio
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from database.tables import JourneyRow
from domain.status import ACCEPTED_WHILE, Status, refusal
from starter.gateway.manage import tokens
from starter.gateway.manage.tokens import Token
from starter.gateway.parts import Gateway
from starter.gateway.signon.door import Door
from starter.gateway.signon.sessions import Visitor
from starter.journeys import NotDone, Refused, Unanswered, Unknown, Unreachable


class NoSuchToken(Exception):
    """There is none under that id, or it is somebody else's: which of the two is not told."""


@dataclass(frozen=True)
class Answer:
    """What came of an order. `sentence` is empty where it was done; `status` is HTTP's."""

    sentence: str = ""
    status: int = 200

    @property
    def done(self) -> bool:
        return not self.sentence


DONE = Answer()


class Desk:
    """Given the gateway and its door."""

    def __init__(self, gateway: Gateway, door: Door) -> None:
        self.gateway = gateway
        self.door = door

    async def visitor(self, request: Request) -> Visitor:
        return await self.door.visitor(request)

    async def form(self, request: Request) -> tuple[Visitor, dict[str, str]]:
        """Who sends it, and its fields."""
        visitor = await self.door.visitor(request)
        return visitor, await self.door.form(request, visitor)

    async def tokens(self, visitor: Visitor) -> list[Token]:
        return await asyncio.to_thread(tokens.all_of, self.gateway.sessions, visitor.prescriber_id)

    async def token(self, visitor: Visitor, journey_id: str) -> Token:
        """As the database has it. Raises NoSuchToken."""
        found = await asyncio.to_thread(tokens.one_of, self.gateway.sessions, visitor.prescriber_id, journey_id)
        if found is None:
            raise NoSuchToken
        return found

    async def fresh(self, token: Token) -> Token:
        """As its journey says, or where that doesn't answer (it may have ended long ago), as the database has it."""
        try:
            return token.updated(await self.gateway.journeys.ask(token.journey_id))
        except NotDone:
            return token

    async def tell(self, token: Token, message: str, body: dict[str, Any]) -> Answer:
        """Sends a message to the token's journey."""
        try:
            await self.gateway.journeys.tell(token.journey_id, message, body)
        except Unknown as unknown:
            # It has ended and takes no messages; what it would have said is in the table of what is legal.
            return Answer(await asyncio.to_thread(self._refusal, token, message) or str(unknown), 409)
        except NotDone as failure:
            return answer_of(failure)
        return DONE

    def _refusal(self, token: Token, message: str) -> str | None:
        with self.gateway.sessions() as session:
            status = Status(session.get_one(JourneyRow, token.journey_id).status)
        return refusal(message, token.kind, status)


def may(token: Token, message: str) -> bool:
    """Whether the token's journey takes the message now."""
    return token.status in ACCEPTED_WHILE[message][token.kind]


def answer_of(failure: NotDone) -> Answer:
    """A failure as HTTP and people know it."""
    match failure:
        case Refused():
            return Answer(str(failure), 409)
        case Unknown():
            return Answer(str(failure), 404)
        case Unreachable():
            return Answer(
                "Our system can't be reached right now, and nothing was done; send this again in a moment.", 503
            )
        case Unanswered():
            return Answer(
                "Your order was sent, but is not confirmed yet; look at Manage Tokens in a moment before you repeat it.",
                202,
            )
        case _:
            return Answer(str(failure), 500)
