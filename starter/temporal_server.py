"""How the Temporal dev server is called: by the embedded stack, and (its time skipping) by the tests."""

from pathlib import Path

from workflows.search_attributes import REGISTRY


def time_skipping_flags() -> list[str]:
    """The dev server's flags for skipping without a second of real time for each."""
    values = (
        "frontend.WorkflowTimeSkippingEnabled=true",
        'history.timerProcessorMaxTimeShift="1ms"',
        "history.timerProcessorMaxPollRPS=1000",
        'history.workflowIdReuseMinimalInterval="0s"',
    )
    return [part for value in values for part in ("--dynamic-config-value", value)]


def fair_queue_flags() -> list[str]:
    """The dev server's flags for task queues that give each practice its turn; priorities need none."""
    return ["--dynamic-config-value", "matching.enableFairness=true"]


def server_arguments(database: Path, port: int, ui_port: int, codec_url: str) -> list[str]:
    """What follows the binary's path: a server on 127.0.0.1 that keeps all it knows in `database`, and whose UI reads payloads
    through `codec_url`."""
    flags = {
        "--ip": "127.0.0.1",
        "--port": str(port),
        "--ui-port": str(ui_port),
        "--db-filename": str(database),
        "--ui-codec-endpoint": codec_url,
        "--log-level": "error",
    }
    return [
        "server",
        "start-dev",
        "--disable-config-file",  # a developer's own settings are for other servers
        "--disable-config-env",
        "--ui-disable-news-fetch",
        *(part for flag in flags.items() for part in flag),
        *time_skipping_flags(),
        *fair_queue_flags(),
        *(part for name, kind in REGISTRY.items() for part in ("--search-attribute", f"{name}={kind}")),
    ]
