"""Anchoring the ends of the audit trail's chains outside the database."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel
from temporalio import activity

from activities.errors import refused
from database import anchors
from database.engine import Sessions


class AnchorOrder(BaseModel):
    """Nothing has to be said: all chains are anchored as they are."""


class AnchorReport(BaseModel):
    """`made_at`: UTC, ISO 8601, on the real clock. `journeys`: how many chains there are; `changed`: since the last anchor."""

    number: int
    made_at: str
    journeys: int
    changed: int
    file: str


class AuditAnchors:
    """Given the database, the folder and the keys: the private one that signs, and older public ones."""

    def __init__(self, sessions: Sessions, folder: Path, key: str, public_keys: Sequence[str] = ()) -> None:
        self._sessions, self._folder, self._key, self._public_keys = sessions, folder, key, public_keys

    @activity.defn(name="audit.anchor")
    def anchor(self, _order: AnchorOrder) -> AnchorReport:
        """Writes the next anchor. Raises `refused` without a key, and where the trail is not what the last anchor says."""
        if not self._key:
            raise refused(
                "Nothing was anchored: TOKENS_AUDIT_KEY is not set here; give the worker the key that signs anchors."
            )
        try:
            key = anchors.AnchorKey(self._key)
            with self._sessions() as session:
                return AnchorReport(**anchors.write(session, self._folder, key, self._public_keys))
        except (anchors.NotAnchored, ValueError) as fault:
            raise refused(str(fault)) from None
