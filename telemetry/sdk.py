"""The Temporal SDK's own figures (slots, pollers, cache, latencies, failures) beside ours, and its core's log lines in our logs."""

import asyncio
import logging
import socket
from datetime import timedelta

import httpx
from prometheus_client import REGISTRY, generate_latest
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

_HOST = "127.0.0.1"
_HEARTBEAT = timedelta(seconds=60)


class SdkMetrics:
    """Installs the runtime that every client of this process uses; before the first one connects. With `measured` the SDK's
    core serves its figures on a port of this machine only, and `page` puts them beside this process's own."""

    def __init__(self, *, measured: bool) -> None:
        self._url = self._install(_free_port()) if measured else self._install(None)

    async def page(self) -> bytes:
        """All figures in Prometheus' text format."""
        own = await asyncio.to_thread(generate_latest, REGISTRY)  # it counts in the database
        if self._url is None:
            return own
        async with httpx.AsyncClient(timeout=5) as http:
            return own + (await http.get(self._url)).raise_for_status().content

    @staticmethod
    def _install(port: int | None) -> str | None:
        metrics = None
        if port:
            metrics = PrometheusConfig(
                f"{_HOST}:{port}", counters_total_suffix=True, unit_suffix=True, durations_as_seconds=True
            )
        # Its fields may hold messages, and stay out of the text; `telemetry.logs` picks the harmless ones.
        forwarding = LogForwardingConfig(
            logging.getLogger("temporalio.core"),
            append_target_to_name=False,
            prepend_target_on_message=False,
            append_log_fields_to_message=False,
        )
        told = LoggingConfig(TelemetryFilter(core_level="WARN", other_level="ERROR"), forwarding)
        runtime = Runtime(
            telemetry=TelemetryConfig(logging=told, metrics=metrics), worker_heartbeat_interval=_HEARTBEAT
        )
        Runtime.set_default(runtime, error_if_already_set=False)
        return f"http://{_HOST}:{port}/metrics" if port else None


def _free_port() -> int:
    with socket.create_server((_HOST, 0)) as free:
        return free.getsockname()[1]
