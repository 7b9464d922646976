"""The Surescripts directory: a token is active once the directory has it."""

from pydantic import BaseModel
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.party import Party, key_of
from domain.status import Kind


class DirectoryEntry(BaseModel):
    journey_id: str
    prescriber_id: str
    kind: Kind


class Directory:
    """Given the directory's HTTP API."""

    def __init__(self, party: Party) -> None:
        self._party = party

    @activity.defn(name="directory.enroll")
    def enroll(self, entry: DirectoryEntry) -> None:
        """Tells the directory of the token; it takes up to an hour to sync."""
        body = {"prescriber_id": entry.prescriber_id, "kind": entry.kind, "reference": entry.journey_id}
        self._party.ask("PUT", f"/v1/enrollments/{key_of(entry.journey_id)}", body)

    @activity.defn(name="directory.await_sync")
    def await_sync(self, journey_id: str) -> None:
        """Returns when the directory has synced; until then it fails and is asked again by its retry policy, which
        keeps the polling out of the history."""
        if self._party.ask("GET", f"/v1/enrollments/{key_of(journey_id)}")["state"] != "synced":
            raise ApplicationError(
                "the directory has not synced yet", type="NotSyncedYet", category=ApplicationErrorCategory.BENIGN
            )

    @activity.defn(name="directory.sync")
    def sync(self, entry: DirectoryEntry) -> None:
        """Tells the directory of the token, and returns when it has synced; until then it fails and is asked again, as by
        `await_sync`. What has been told is told once more where the word of it is lost."""
        if not activity.info().heartbeat_details:
            self.enroll(entry)
            activity.heartbeat("told")
        self.await_sync(entry.journey_id)

    @activity.defn(name="directory.has_synced")
    def has_synced(self, journey_id: str) -> bool:
        """Whether the directory has synced by now; asked when it is said to have."""
        return self._party.ask("GET", f"/v1/enrollments/{key_of(journey_id)}")["state"] == "synced"

    @activity.defn(name="directory.revoke")
    def revoke(self, journey_id: str) -> None:
        """The directory forgets the token."""
        self._party.ask("DELETE", f"/v1/enrollments/{key_of(journey_id)}")
