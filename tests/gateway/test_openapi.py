"""schemathesis on the OpenAPI document: whatever is sent, the answer is one that the document names."""

import asyncio

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from starter.api_keys import Scope
from tests.gateway.api import serving
from tests.stage import Stage

pytestmark = pytest.mark.slow

_EXAMPLES = 12
"""For each address, once of what fits the document and once of what does not."""


def _explored(cases: SearchStrategy[Case], key: str, statuses: set[int]) -> None:
    @given(case=cases)
    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    def one(case: Case) -> None:
        answer = case.call_and_validate(
            headers={"Authorization": f"Bearer {key}"},
            # Not everything can be said in a schema: no control characters in names, a cursor is one that was given out.
            excluded_checks=[positive_data_acceptance],
        )
        statuses.add(answer.status_code)

    one()


async def test_the_document_holds(stage: Stage) -> None:
    """Checked for each answer: no server error, a status and headers and a body that the document names, and no entry without a
    key."""
    journey = await stage.request()
    async with serving(stage, api_rate="100000/minute", api_failed_sign_ins="100000/minute") as upstream:
        key = upstream.system(*Scope).key
        document = f"{upstream.url}/v1/openapi.json"

        def explore() -> dict[str, set[int]]:
            statuses: dict[str, set[int]] = {}
            for found in schemathesis.openapi.from_url(document).get_all_operations():
                operation = found.ok()  # type: ignore[union-attr]
                assert operation is not None
                for mode in GenerationMode:
                    answers = statuses.setdefault(operation.label, set())
                    _explored(operation.as_strategy(generation_mode=mode), key or "", answers)
            return statuses

        statuses = await asyncio.to_thread(explore)
    assert len(statuses) == 12
    assert all(seen & {200, 201, 404, 409} for seen in statuses.values()), statuses
    assert all(500 not in seen for seen in statuses.values()), statuses
    assert (await journey.status())["journey_id"] == journey.id
