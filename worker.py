"""Builds the dependencies once and runs the worker process: `python -m worker`."""

import asyncio
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from datetime import timedelta
from typing import Any

import structlog
from prometheus_client import REGISTRY
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import (
    PollerBehaviorAutoscaling,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkerDeploymentConfig,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.anchors import AuditAnchors
from activities.calendar import Calendar
from activities.carrier import Carrier
from activities.comparison import Comparison
from activities.departures import Departures
from activities.digest import Digest
from activities.directory import Directory
from activities.enrollment import Enrollment
from activities.import_folder import ImportFolder
from activities.imports import Imports
from activities.incidents import Incidents
from activities.mail import Mail, Relay, Route
from activities.party import Party
from activities.peers import Peers
from activities.queue import Queue
from activities.records import Records
from activities.repairs import Repairs
from activities.replacements import Replacements
from activities.resumptions import Resumptions
from activities.returns import Returns
from activities.stock import Stock
from activities.vendor import Vendor
from connection import TASK_QUEUE, connect
from database.engine import engine_of, sessions_of
from database.sealing import Seal
from domain import address
from settings import Settings
from telemetry import garbage, logs
from telemetry.attempts import Attempts
from telemetry.endpoint import serving
from telemetry.gauges import Gauges
from telemetry.readiness import Readiness
from telemetry.sdk import SdkMetrics
from telemetry.tracing import Tracing
from workflows.anchor_audit import AnchorAudit
from workflows.daily_digest import DailyDigest
from workflows.deactivate_all import DeactivateAll
from workflows.import_tokens import ImportTokens
from workflows.process_queue import ProcessQueue
from workflows.reconcile import Reconcile
from workflows.replace_token import ReplaceToken
from workflows.return_by_mail import ReturnByMail
from workflows.security_incident import SecurityIncident
from workflows.token_journey import TokenJourney

WORKFLOWS = [
    TokenJourney,
    ReplaceToken,
    ReturnByMail,
    SecurityIncident,
    DeactivateAll,
    ProcessQueue,
    ImportTokens,
    AnchorAudit,
    Reconcile,
    DailyDigest,
]

SANDBOX = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules(
        *("activities", "database", "domain", "pydantic", "pydantic_core"),
        *("workflows.answers", "workflows.messages", "workflows.reading"),
    )
)
"""The sandbox guards the workflows' own modules against clocks, randomness and files; what they only refer to, or share as
types with activities and converter, is not loaded a second time. Every test runs in it."""
_HEARTBEATS = timedelta(seconds=3)
"""How far apart they are at most: with one an activity hears that it is cancelled."""


class Dependencies(ExitStack):
    """What the activities are given, built from the settings; closed with `with`."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        engine = engine_of(settings.url_of_database)
        self.callback(engine.dispose)
        self.sessions = sessions_of(engine)
        seal = Seal({key_id: key.get_secret_value() for key_id, key in settings.seal_keys.items()})
        vendor, carrier, directory = (
            self._party("the vendor", settings.vendor_url, settings),
            self._party("the carrier", settings.carrier_url, settings),
            self._party("Surescripts", settings.directory_url, settings),
        )
        self._parties, self._policy = (vendor, carrier, directory), settings.policy
        self._owners = (
            Vendor(vendor),
            Carrier(carrier),
            Directory(directory),
            Stock(self.sessions, settings.policy),
            Records(self.sessions, settings.policy),
            Returns(self.sessions, settings.policy),
            Incidents(self.sessions, settings.policy),
            Replacements(self.sessions),
            Resumptions(self.sessions, settings.policy),
            Digest(self.sessions, settings.policy),
            Departures(self.sessions),
            Queue(self.sessions),
            Mail(self.sessions, seal, route(settings)),
            Enrollment(self.sessions, seal),
            Calendar(settings.policy),
            AuditAnchors(
                self.sessions,
                settings.folder_of_anchors,
                settings.audit_key.get_secret_value(),
                settings.audit_public_keys,
            ),
            Imports(self.sessions, seal, ImportFolder(settings.folder_of_imports, seal)),
        )

    def activities(self, client: Client) -> list[Callable[..., Any]]:
        """All of them; those by which journeys speak to one another use `client`."""
        return [
            getattr(owner, name)
            for owner in (*self._owners, Peers(client), *self._reconciling(client))
            for name in dir(owner)
            if hasattr(getattr(owner, name), "__temporal_activity_definition")
        ]

    def _reconciling(self, client: Client) -> tuple[object, ...]:
        vendor, carrier, directory = self._parties
        told = (Vendor(vendor), Carrier(carrier), Directory(directory))
        stock = Stock(self.sessions, self._policy)
        return (
            Comparison(self.sessions, client, vendor, carrier),
            Repairs(self.sessions, client, told, stock, self._policy),
        )

    def _party(self, name: str, url: str, settings: Settings) -> Party:
        party = Party(name, url, settings.party_timeout_seconds)
        self.callback(party.close)
        return party


def route(settings: Settings) -> Route:
    """Where mail goes, by the settings."""
    return Route(
        relay=Relay(
            host=settings.smtp_host,
            port=settings.smtp_port,
            tls=settings.smtp_tls,
            ca_file=settings.smtp_ca_file,
            user=settings.smtp_user,
            password=settings.smtp_password.get_secret_value(),
        ),
        sender=settings.mail_from,
        vendor_sender=settings.vendor_mail_from,
        team=settings.team_email,
        message_id_domain=settings.message_id_domain,
        public_url=settings.public_base,
        journey_url=settings.journey_url,
        carrier_name=settings.carrier_name,
        return_address=settings.policy.return_address,
        team_url=settings.list_url,
        team_zone=settings.policy.carrier_time_zone,
    )


def worker_for(
    client: Client,
    dependencies: Dependencies,
    threads: ThreadPoolExecutor,
    task_queue: str = TASK_QUEUE,
    **options: Any,
) -> Worker:
    """A worker for all workflows and activities."""
    return Worker(
        client,
        task_queue=task_queue,
        activities=dependencies.activities(client),
        activity_executor=threads,
        max_heartbeat_throttle_interval=_HEARTBEATS,
        **{
            "workflows": WORKFLOWS,
            "workflow_runner": SANDBOX,
            "graceful_shutdown_timeout": timedelta(seconds=15),
            **options,
        },
    )


def options_of(settings: Settings) -> dict[str, Any]:
    """How a production worker differs from the tests': its size, and which deployment's tasks it takes."""
    own = settings.worker
    pollers = PollerBehaviorAutoscaling(minimum=2, maximum=own.pollers, initial=min(5, own.pollers))
    deployment = None
    if settings.deployment:
        deployment = WorkerDeploymentConfig(
            version=WorkerDeploymentVersion(settings.deployment, settings.build_id),
            use_worker_versioning=True,
            # Journeys outlive releases by years: each goes on under the newest (docs/changing-a-workflow.md).
            default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
        )
    return {
        # The sandbox would cost a quarter of the CPU and 90 KB of memory a journey.
        "workflow_runner": UnsandboxedWorkflowRunner(),
        # There is none: at more than one the SDK would make a task of each payload to look for it.
        "max_workflow_task_external_storage_concurrency": 1,
        "max_concurrent_activities": own.activities,
        "max_concurrent_local_activities": own.activities,
        "max_concurrent_workflow_tasks": own.workflow_tasks,
        "max_cached_workflows": own.cached_journeys,
        "sticky_queue_schedule_to_start_timeout": timedelta(seconds=own.sticky_seconds),
        "graceful_shutdown_timeout": timedelta(seconds=own.drain_seconds),
        "workflow_task_poller_behavior": pollers,
        "activity_task_poller_behavior": pollers,
        "deployment_config": deployment,
        "interceptors": [Attempts()],
    }


async def main(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT, then takes nothing new and lets what is in flight finish."""
    logs.configure(settings)
    log = structlog.get_logger("worker")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    figures = SdkMetrics(measured=settings.metrics_port is not None)
    async with AsyncExitStack() as stack:
        tracing = Tracing(settings, "tokens-worker")
        stack.callback(tracing.close)
        client = await connect(settings, interceptors=tracing.interceptors)
        dependencies = stack.enter_context(Dependencies(settings))
        threads = stack.enter_context(ThreadPoolExecutor(2 * settings.worker.activities))
        gauges = Gauges(dependencies.sessions)
        REGISTRY.register(gauges)
        stack.callback(REGISTRY.unregister, gauges)
        readiness = Readiness(client, dependencies.sessions)
        url = await stack.enter_async_context(
            serving(settings.metrics_host, settings.metrics_port, readiness.obstacle, figures.page)
        )
        await asyncio.to_thread(address.load)
        garbage.settle()
        async with worker_for(client, dependencies, threads, **options_of(settings)):
            print(f"ready worker on {TASK_QUEUE}", flush=True)
            log.info("ready", task_queue=TASK_QUEUE, deployment=settings.deployment, build=settings.build_id, url=url)
            await stop.wait()
            readiness.draining = True
            log.info("draining", at_most_seconds=settings.worker.drain_seconds)
        log.info("drained")


if __name__ == "__main__":
    try:
        asyncio.run(main(Settings()))
    except ValueError as fault:
        sys.exit(f"The worker can't start: {fault}.")
