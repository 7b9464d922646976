"""Which build of the workers takes the tasks: Temporal's worker deployment, looked at and switched."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from temporalio.api.deployment.v1 import WorkerDeploymentInfo
from temporalio.api.enums.v1 import WorkerDeploymentVersionStatus as Status
from temporalio.api.workflowservice.v1 import (
    DescribeWorkerDeploymentRequest,
    SetWorkerDeploymentCurrentVersionRequest,
    SetWorkerDeploymentRampingVersionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

_BETWEEN_LOOKS = 0.5
_STANDS = {
    Status.WORKER_DEPLOYMENT_VERSION_STATUS_CURRENT: "current",
    Status.WORKER_DEPLOYMENT_VERSION_STATUS_RAMPING: "ramping",
    Status.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINING: "draining",
    Status.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINED: "drained",
    Status.WORKER_DEPLOYMENT_VERSION_STATUS_INACTIVE: "inactive",
}


class NotPromoted(Exception):
    """Nothing was switched; one sentence says why."""


@dataclass(frozen=True)
class Build:
    """`stands`: current, ramping, draining, drained, or inactive (known, and not promoted). `since`: UTC, when it was seen
    first. `share`: percent of the tasks while it is ramping."""

    build_id: str
    stands: str
    since: datetime
    share: float | None = None


async def builds(client: Client, deployment: str) -> list[Build]:
    """All builds that the deployment knows, the newest first; empty where no worker of it has ever been there."""
    try:
        info = await _described(client, deployment)
    except RPCError as fault:
        if fault.status is RPCStatusCode.NOT_FOUND:
            return []
        raise
    ramping = info.routing_config.ramping_deployment_version.build_id
    found = [
        Build(
            build_id=summary.deployment_version.build_id,
            stands=_STANDS.get(summary.status, "unknown"),
            since=summary.create_time.ToDatetime(UTC),
            share=info.routing_config.ramping_version_percentage
            if summary.deployment_version.build_id == ramping
            else None,
        )
        for summary in info.version_summaries
    ]
    return sorted(found, key=lambda build: build.since, reverse=True)


async def promote(client: Client, deployment: str, build_id: str, wait: float, share: float | None = None) -> None:
    """From here on `build_id` takes the tasks, or `share` percent of the workflows. Waits up to `wait` seconds for its workers
    to be there. Harmless when repeated. Raises NotPromoted."""
    deadline = time.monotonic() + wait
    while True:
        try:
            await _switch(client, deployment, build_id, share)
        except RPCError as fault:
            if fault.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION):
                raise
            if time.monotonic() > deadline:
                raise NotPromoted(
                    f"No worker of build {build_id} polls for the deployment {deployment}; start one with"
                    f" TOKENS_DEPLOYMENT={deployment} and TOKENS_BUILD_ID={build_id}, then promote it."
                ) from None
            await asyncio.sleep(_BETWEEN_LOOKS)
        else:
            return


async def _switch(client: Client, deployment: str, build_id: str, share: float | None) -> None:
    service = client.workflow_service
    if share is None:
        await service.set_worker_deployment_current_version(
            SetWorkerDeploymentCurrentVersionRequest(
                namespace=client.namespace, deployment_name=deployment, build_id=build_id
            )
        )
    else:
        await service.set_worker_deployment_ramping_version(
            SetWorkerDeploymentRampingVersionRequest(
                namespace=client.namespace, deployment_name=deployment, build_id=build_id, percentage=share
            )
        )


async def _described(client: Client, deployment: str) -> WorkerDeploymentInfo:
    request = DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=deployment)
    return (await client.workflow_service.describe_worker_deployment(request)).worker_deployment_info
