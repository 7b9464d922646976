"""`DailyDigest`: one email a day to the team with all that waits for it."""

from typing import Any

from temporalio import workflow

from activities.digest import Digest, Digested
from activities.mail import Mail, Mailing
from domain.chronicle import Letter
from workflows import calls
from workflows.messages import DigestOrder
from workflows.reading import Refused, read
from workflows.unknown import Displayed

DIGEST = "daily-digest"


@workflow.defn(name="DailyDigest")
class DailyDigest(Displayed):
    """Input: `DigestOrder` as one JSON object. Fails with type `Refused` and one sentence when it can't be read; otherwise ends
    with what it has told. Started again on the same day it sends nothing more."""

    @workflow.init
    def __init__(self, *bodies: Any) -> None:
        self.problem: Refused | None = None
        try:
            read(DigestOrder, bodies, "DailyDigest")
        except Refused as fault:
            self.problem = fault

    @workflow.run
    async def run(self, *bodies: Any) -> Digested:
        if self.problem:
            raise self.problem
        now = workflow.now()
        digested = await calls.remote(Digest.gather, now, summary="What waits for the team?")
        facts = {"day": digested.day, "sections": [section.model_dump() for section in digested.sections]}
        letter = Letter(letter="team_digest", step=digested.day, at=now, facts=facts)
        await calls.remote(
            Mail.send,
            Mailing(journey_id=DIGEST, letters=[letter]),
            summary="Email: team_digest",
            attempt=calls.SENDING,
            beats_within=calls.SILENCE,
        )
        told = "\n".join(f"- {section.title}: {section.number}" for section in digested.sections)
        self.display(f"### Daily digest of {digested.day}\n\n{told or 'Nothing waits.'}")
        return digested
