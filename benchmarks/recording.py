"""Journeys that are run once to see what they are made of: their histories, and the scripts for the bare workflow."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from temporalio.api.history.v1 import HistoryEvent
from temporalio.worker import (
    Interceptor,
    StartLocalActivityInput,
    UnsandboxedWorkflowRunner,
    WorkflowInboundInterceptor,
    WorkflowOutboundInterceptor,
)

from benchmarks.contenders import Product
from benchmarks.driving import Drive
from benchmarks.script import Script, script
from benchmarks.site import POLICY, Site, as_environment
from domain import calendar
from worker import Dependencies, worker_for

KINDS = ("hard", "soft")


async def record(site: Site, numbers: Sequence[int]) -> tuple[dict[str, list[HistoryEvent]], dict[str, Script]]:
    """A hard and a soft journey to Active: their events, and their scripts by kind. `numbers`: one prescriber for each."""
    histories: dict[str, list[HistoryEvent]] = {}
    scripts: dict[str, Script] = {}
    codec = site.client.data_converter.payload_codec
    assert codec
    rests, calendar._carrier_rests = calendar._carrier_rests, lambda day, policy: None
    try:
        with (
            as_environment({**site.environment, **POLICY}),
            Dependencies(site.settings) as dependencies,
            ThreadPoolExecutor(20) as threads,
        ):
            for kind, number in zip(KINDS, numbers, strict=True):
                _Sizes.taken.clear()
                async with worker_for(
                    site.client,
                    dependencies,
                    threads,
                    task_queue="bench-recording",
                    interceptors=[_Sizes()],
                    workflow_runner=UnsandboxedWorkflowRunner(),
                ):
                    product = Product(site, task_queue="bench-recording")
                    (journey_id,) = await Drive(product, kind, [number], at_once=1).run()
                    await asyncio.sleep(1)  # the last letter
                    events = (await site.client.get_workflow_handle(journey_id).fetch_history()).events
                histories[kind] = list(events)
                scripts[kind] = await script(events, codec, _Sizes.taken)
    finally:
        calendar._carrier_rests = rests
    return histories, scripts


class _Sizes(Interceptor):
    """Notes how large the inputs of local activities are."""

    taken: list[int] = []  # noqa: RUF012  # unsandboxed, in this process, one journey at a time

    def workflow_interceptor_class(self, input: Any) -> type[WorkflowInboundInterceptor]:  # noqa: A002
        return _Inbound


class _Inbound(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound))


class _Outbound(WorkflowOutboundInterceptor):
    def start_local_activity(self, input: StartLocalActivityInput) -> Any:  # noqa: A002  # the SDK's own name
        from temporalio import workflow

        payloads = workflow.payload_converter().to_payloads(input.args)
        _Sizes.taken.append(sum(len(payload.data) for payload in payloads))
        return super().start_local_activity(input)
