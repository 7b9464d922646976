"""Builds the dependencies once and runs the worker process: `python -m worker`."""

import asyncio
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.calendar import Calendar
from activities.carrier import Carrier
from activities.departures import Departures
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
from activities.replacements import Replacements
from activities.returns import Returns
from activities.stock import Stock
from activities.vendor import Vendor
from connection import TASK_QUEUE, connect
from database.engine import engine_of, sessions_of
from database.sealing import Seal
from settings import Settings
from workflows.deactivate_all import DeactivateAll
from workflows.import_tokens import ImportTokens
from workflows.process_queue import ProcessQueue
from workflows.replace_token import ReplaceToken
from workflows.return_by_mail import ReturnByMail
from workflows.security_incident import SecurityIncident
from workflows.token_journey import TokenJourney

WORKFLOWS = [TokenJourney, ReplaceToken, ReturnByMail, SecurityIncident, DeactivateAll, ProcessQueue, ImportTokens]

SANDBOX = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules(
        "activities", "database", "domain", "pydantic", "pydantic_core", "workflows.messages"
    )
)
"""The sandbox guards the workflows' own modules against clocks, randomness and files; what they only refer to, or share as
types with activities and converter, is not loaded a second time. Every test runs in it."""
_AT_ONCE = 100
"""Activities of each sort, regular and local, in one worker: a party that hangs must not take the records' turn."""
_THREADS = 2 * _AT_ONCE
_DRAIN = timedelta(seconds=15)
"""How long a worker that is told to end waits for the attempts in flight."""

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
        self._owners = (
            Vendor(vendor),
            Carrier(carrier),
            Directory(directory),
            Stock(self.sessions, settings.policy),
            Records(self.sessions, settings.policy),
            Returns(self.sessions, settings.policy),
            Incidents(self.sessions, settings.policy),
            Replacements(self.sessions),
            Departures(self.sessions),
            Queue(self.sessions),
            Mail(self.sessions, seal, route(settings)),
            Enrollment(self.sessions, seal),
            Calendar(),
            Imports(self.sessions, seal, ImportFolder(settings.folder_of_imports, seal)),
        )

    def activities(self, client: Client) -> list[Callable[..., Any]]:
        """All of them; those by which journeys speak to one another use `client`."""
        return [
            getattr(owner, name)
            for owner in (*self._owners, Peers(client))
            for name in dir(owner)
            if hasattr(getattr(owner, name), "__temporal_activity_definition")
        ]

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
        workflows=WORKFLOWS,
        activities=dependencies.activities(client),
        activity_executor=threads,
        max_heartbeat_throttle_interval=_HEARTBEATS,
        **{"workflow_runner": SANDBOX, "graceful_shutdown_timeout": _DRAIN, **options},
    )


async def main(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT, then lets what is in flight finish."""
    client = await connect(settings)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with Dependencies(settings) as dependencies, ThreadPoolExecutor(_THREADS) as threads:
        # In production the sandbox would cost a quarter of the CPU and 90 KB of memory a journey.
        async with worker_for(
            client,
            dependencies,
            threads,
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_concurrent_activities=_AT_ONCE,
            max_concurrent_local_activities=_AT_ONCE,
        ):
            print(f"ready worker on {TASK_QUEUE}", flush=True)
            await stop.wait()


if __name__ == "__main__":
    try:
        asyncio.run(main(Settings()))
    except ValueError as fault:
        sys.exit(f"The worker can't start: {fault}.")
