"""The memory of webhooks: what came, who waits for it, and who has been told. Times are UTC."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from sqlalchemy import CursorResult, delete, exists, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from database.engine import Sessions
from database.tables import JourneyRow, ReturnRow, WebhookEvent
from domain.status import Status
from starter.gateway.webhooks.event import Event, Message, code

_LEASE = timedelta(seconds=30)
"""How long one who has taken a kept event up has it to himself: longer than telling a journey takes."""
_LONGEST_PAUSE = timedelta(minutes=5)
_AT_ONCE = 200

_NOT_SHIPPED_YET = (Status.REQUESTED, Status.PROCESSED)


@dataclass(frozen=True)
class Standing:
    """What is known of an event before anything is done: told before, and which workflow waits for it, if any."""

    told: bool
    waiting: str | None


def standing(sessions: Sessions, event: Event) -> Standing:
    """Looks an event up."""
    with sessions() as session:
        row = session.get(WebhookEvent, event.key)
        told = row is not None and row.passed_on_at is not None
        return Standing(told, None if told else _waiting(session, event))


def _waiting(session: Session, event: Event) -> str | None:
    if event.journey_id is not None:
        row = session.get(JourneyRow, event.journey_id)
        return row.journey_id if row is not None and row.live else None
    outbound = session.scalars(
        select(JourneyRow)
        .where(JourneyRow.tracking_number == event.tracking_number)
        .order_by(JourneyRow.requested_at.desc())
    ).first()
    if outbound is not None and outbound.live:
        # Until it is shipped a journey takes no word of its parcel: the label is bought, and waits for the carrier.
        return None if outbound.status in _NOT_SHIPPED_YET else outbound.journey_id
    back = ReturnRow.tracking_number == event.tracking_number
    if outbound is not None:
        back = back | (ReturnRow.journey_id == outbound.journey_id)
    return session.scalars(select(ReturnRow.return_id).where(back, ReturnRow.open)).first()


def remember(sessions: Sessions, event: Event, *, told: bool) -> None:
    """Keeps an event; `told`: a journey knows it. Harmless when repeated, also by two at once."""
    try:
        _remember(sessions, event, told)
    except IntegrityError:  # the same event at the same instant
        _remember(sessions, event, told)


def _remember(sessions: Sessions, event: Event, told: bool) -> None:
    now = datetime.now(UTC)
    with sessions.begin() as session:
        row = session.get(WebhookEvent, event.key)
        if row is None:
            row = WebhookEvent(
                event_key=event.key,
                sender=event.sender,
                message=event.message,
                tracking_number=event.tracking_number,
                journey_id=event.journey_id,
                status=event.status,
                detail=code(event.detail),
                occurred_at=event.occurred_at,
                received_at=now,
                next_try_at=now,
            )
            session.add(row)
        if told and row.passed_on_at is None:
            row.passed_on_at = now


def due(sessions: Sessions) -> list[Event]:
    """Kept events that somebody waits for by now, oldest first; `_waiting` has the last word on each."""
    same_parcel = JourneyRow.tracking_number == WebhookEvent.tracking_number
    outbound = exists().where(same_parcel, JourneyRow.live, JourneyRow.status.not_in(_NOT_SHIPPED_YET))
    turned_round = exists().where(same_parcel, ReturnRow.journey_id == JourneyRow.journey_id, ReturnRow.open)
    back = exists().where(ReturnRow.tracking_number == WebhookEvent.tracking_number, ReturnRow.open)
    named = exists().where(JourneyRow.journey_id == WebhookEvent.journey_id, JourneyRow.live)
    with sessions() as session:
        rows = session.scalars(
            select(WebhookEvent)
            .where(WebhookEvent.passed_on_at.is_(None), WebhookEvent.next_try_at <= datetime.now(UTC))
            .where(or_(outbound, turned_round, back, named))
            .order_by(WebhookEvent.occurred_at)
            .limit(_AT_ONCE)
        )
        return [_event(row) for row in rows]


def _event(row: WebhookEvent) -> Event:
    return Event(
        sender=row.sender,
        message=cast(Message, row.message),
        status=row.status,
        occurred_at=row.occurred_at,
        tracking_number=row.tracking_number,
        journey_id=row.journey_id,
        detail=row.detail,
    )


def take_up(sessions: Sessions, event: Event) -> bool:
    """Whether this caller is the one to tell somebody of a kept event now; other copies of the gateway look, too. The next
    try comes the later the older the event is."""
    now = datetime.now(UTC)
    with sessions.begin() as session:
        row = session.get(WebhookEvent, event.key)
        if row is None:
            return False
        pause = min(max(_LEASE, (now - row.received_at) / 4), _LONGEST_PAUSE)
        mine = update(WebhookEvent).where(
            WebhookEvent.event_key == event.key,
            WebhookEvent.passed_on_at.is_(None),
            WebhookEvent.next_try_at <= now,
        )
        return cast("CursorResult[None]", session.execute(mine.values(next_try_at=now + pause))).rowcount == 1


def forget(sessions: Sessions, retention: timedelta) -> int:
    """Cuts what was received longer ago than `retention`; how many."""
    with sessions.begin() as session:
        cut = delete(WebhookEvent).where(WebhookEvent.received_at < datetime.now(UTC) - retention)
        return cast("CursorResult[None]", session.execute(cut)).rowcount
