"""A caller gone wild: Temporal takes 2,000 updates of a run, and each of these also sends emails."""

from typing import Any

import pytest
from temporalio.client import WorkflowUpdateFailedError

from domain.policy import Policy
from tests.stage import Play, Stage

pytestmark = pytest.mark.slow


async def refused(journey: Play, name: str, body: dict[str, Any]) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as failure:
        await journey.update(name, body)
    return str(failure.value.cause)


async def test_a_request_is_edited_and_its_email_sent_again_so_often_and_no_more(stage: Stage) -> None:
    most = Policy()
    journey = await stage.request("soft")
    for number in range(most.most_edits):
        await journey.update("edit", {"email": f"office{number}@clinic.example"})
    assert "edited 25 times, and no more is possible" in await refused(journey, "edit", {"email": "a@clinic.example"})
    await journey.wait(seconds=5)
    assert stage.rows(f"select email from journeys where journey_id = '{journey.id}'") == [("office24@clinic.example",)]
    await journey.process()
    for _ in range(most.most_resends):
        await journey.update("resend_activation", {})
    assert "sent again 25 times, and no more is possible" in await refused(journey, "resend_activation", {})
    await journey.signal("resend_activation", {})
    await journey.wait(minutes=1)
    assert journey.letters().count("vendor_download_soft") == 1 + most.most_resends
    kept = stage.rows(f"select what, refused from audit where journey_id = '{journey.id}' order by number")[-1]
    assert kept[0] == "refused: resend_activation"
    assert "no more is possible" in kept[1]
    # The newest link works all the same.
    await journey.update("enroll_soft", {"token_name": "My phone", "enrollment_ref": await journey.soft_ref("2580")})
    await journey.wait(minutes=15)
    assert (await journey.status())["status"] == "Active"
