"""The ids under which journeys start one another: worked out from the token's journey, so that starting twice is starting
once, wherever it is tried from."""

import hashlib

from domain.status import Kind


def return_id(journey_id: str) -> str:
    """The return by mail of that journey's token."""
    return f"return-{_short(journey_id)}"


def incident_id(journey_id: str) -> str:
    """The security incident over that journey's token."""
    return f"incident-{_short(journey_id)}"


def replacement_id(journey_id: str) -> str:
    """The replacement of that journey's token."""
    return f"replace-{_short(journey_id)}"


def successor_id(journey_id: str, kind: Kind) -> str:
    """The journey of the token that replaces that journey's."""
    return f"token-{kind}-{hashlib.sha256(journey_id.encode()).hexdigest()[:12]}"


def _short(journey_id: str) -> str:
    """The id itself, or a digest of one that would make the other id too long."""
    if len(journey_id) <= 150:
        return journey_id
    return hashlib.sha256(journey_id.encode()).hexdigest()[:32]
