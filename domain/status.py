"""The kinds of token, the statuses of its journey, and which message is accepted when.

This table is the one place that decides what is legal; handlers, stages, the `status` query, the UI's details and the
sentences of refusals all read it.
"""

from enum import StrEnum


class Kind(StrEnum):
    """Hard: a one-button device, mailed. Soft: an app."""

    HARD = "hard"
    SOFT = "soft"


class Status(StrEnum):
    """The last thing that happened; exactly the values of the search attribute `TokenStatus`."""

    REQUESTED = "Requested"
    PROCESSED = "Processed"
    SHIPPED = "Shipped"
    DELIVERED = "Delivered"
    SYNCING = "Syncing"
    ACTIVE = "Active"
    DEACTIVATED = "Deactivated"
    CANCELLED = "Cancelled"


ENDED = frozenset({Status.DEACTIVATED, Status.CANCELLED})

_BEFORE_ACTIVE = frozenset({Status.REQUESTED, Status.PROCESSED, Status.SHIPPED, Status.DELIVERED, Status.SYNCING})

TRANSITIONS: dict[Kind, dict[Status, frozenset[Status]]] = {
    Kind.HARD: {
        Status.REQUESTED: frozenset({Status.PROCESSED, Status.CANCELLED}),
        Status.PROCESSED: frozenset({Status.SHIPPED, Status.CANCELLED}),
        Status.SHIPPED: frozenset({Status.DELIVERED, Status.SYNCING, Status.CANCELLED}),
        Status.DELIVERED: frozenset({Status.SYNCING, Status.CANCELLED}),
        Status.SYNCING: frozenset({Status.ACTIVE, Status.CANCELLED}),
        Status.ACTIVE: frozenset({Status.DEACTIVATED}),
        Status.DEACTIVATED: frozenset(),
        Status.CANCELLED: frozenset(),
    },
    Kind.SOFT: {
        Status.REQUESTED: frozenset({Status.PROCESSED, Status.CANCELLED}),
        Status.PROCESSED: frozenset({Status.SYNCING, Status.CANCELLED}),
        Status.SYNCING: frozenset({Status.ACTIVE, Status.CANCELLED}),
        Status.ACTIVE: frozenset({Status.DEACTIVATED}),
        Status.DEACTIVATED: frozenset(),
        Status.CANCELLED: frozenset(),
    },
}

ACCEPTED_WHILE: dict[str, dict[Kind, frozenset[Status]]] = {
    "edit": dict.fromkeys(Kind, frozenset({Status.REQUESTED})),
    "process": dict.fromkeys(Kind, frozenset({Status.REQUESTED})),
    "cancel": dict.fromkeys(Kind, _BEFORE_ACTIVE),
    "carrier_event": {Kind.HARD: frozenset({Status.SHIPPED}), Kind.SOFT: frozenset()},
    "resend_activation": dict.fromkeys(Kind, frozenset({Status.PROCESSED, Status.SHIPPED, Status.DELIVERED})),
    "enroll_hard": {Kind.HARD: frozenset({Status.SHIPPED, Status.DELIVERED}), Kind.SOFT: frozenset()},
    "enroll_soft": {Kind.HARD: frozenset(), Kind.SOFT: frozenset({Status.PROCESSED})},
    "deactivate": dict.fromkeys(Kind, frozenset({Status.ACTIVE})),
    "vendor_event": dict.fromkeys(Kind, (_BEFORE_ACTIVE - {Status.REQUESTED}) | {Status.ACTIVE}),
    "directory_event": dict.fromkeys(Kind, frozenset({Status.SYNCING})),
}

_FROM_PARTIES = frozenset({"vendor_event", "directory_event"})
"""Sent by machines only: accepted, and never offered to people as something to do."""

_DOING = {
    "edit": "The request can't be edited",
    "process": "The request can't be processed",
    "cancel": "The request can't be cancelled",
    "carrier_event": "The carrier's event changes nothing",
    "resend_activation": "The activation link can't be sent again",
    "enroll_hard": "The hard token can't be enrolled",
    "enroll_soft": "The soft token can't be enrolled",
    "deactivate": "The token can't be deactivated",
    "vendor_event": "The vendor's event changes nothing",
    "directory_event": "The directory's event changes nothing",
}

_OFFERS = {
    "edit": "edit it",
    "process": "process it",
    "cancel": "cancel it",
    "resend_activation": "send a new activation link",
    "enroll_hard": "enrol it with serial number and passcode",
    "enroll_soft": "enrol it with a name and PIN",
    "deactivate": "deactivate it",
}

_BECAUSE = {
    Status.REQUESTED: "it is still waiting to be processed",
    Status.PROCESSED: "it has already been processed",
    Status.SHIPPED: "it has been shipped and is on its way",
    Status.DELIVERED: "it has already been delivered",
    Status.SYNCING: "it is enrolled and syncing with Surescripts",
    Status.ACTIVE: "it is already active",
    Status.DEACTIVATED: "it has been deactivated",
    Status.CANCELLED: "it has been cancelled",
}


def accepted(kind: Kind, status: Status) -> list[str]:
    """Names of the messages that are accepted now, in the order of the contract."""
    return [name for name, while_ in ACCEPTED_WHILE.items() if status in while_[kind]]


def offered(kind: Kind, status: Status) -> list[str]:
    """Those of the accepted messages that people may send."""
    return [name for name in accepted(kind, status) if name not in _FROM_PARTIES]


def refusal(message: str, kind: Kind, status: Status) -> str | None:
    """Why `message` is not accepted now, as one sentence of what, why and what instead; None where it is accepted."""
    if status in ACCEPTED_WHILE[message][kind]:
        return None
    if not ACCEPTED_WHILE[message][kind]:
        other = Kind.SOFT if kind is Kind.HARD else Kind.HARD
        return f"{_DOING[message]}: this is a {kind} token, and that message is for a {other} one; {_instead(kind, status)}."
    return f"{_DOING[message]}: {_BECAUSE[status]} (status {status}); {_instead(kind, status)}."


def _instead(kind: Kind, status: Status) -> str:
    offers = [_OFFERS[name] for name in accepted(kind, status) if name in _OFFERS]
    if not offers:
        return "request a new token instead"
    if len(offers) == 1:
        return f"you can {offers[0]} instead"
    return f"you can {', '.join(offers[:-1])} or {offers[-1]} instead"
