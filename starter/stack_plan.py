"""What the embedded stack consists of: its processes, their addresses, and what each of them is told."""

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from settings import Settings
from starter import keys, temporal_binary
from starter.stack_ports import HOST, Wanted, choose
from starter.stack_process import Child, StackError

ROOT = Path(__file__).resolve().parent.parent

TIME_SKIPPING = (
    "frontend.WorkflowTimeSkippingEnabled=true",
    'history.timerProcessorMaxTimeShift="1ms"',
    "history.timerProcessorMaxPollRPS=1000",
    'history.workflowIdReuseMinimalInterval="0s"',
)
"""Dynamic configuration of the dev server: with its defaults each skip would cost a second of real time."""

_SECRETS = {"payload_keys", "seal_keys", "pin_pepper", "webhook_secrets"}
_NOT_PASSED_ON = {*_SECRETS, "namespace", "temporal_binary"}


@dataclass(frozen=True)
class Plan:
    """`waves`: children that are started together; a wave waits until the one before is ready. `prepare` runs in a thread
    beside the first wave. `info`: the addresses, as `stack.json` has them."""

    waves: list[list[Child]]
    info: dict[str, Any] = field(default_factory=dict)
    prepare: Callable[[], None] = lambda: None


async def plan(settings: Settings, tell: Callable[[str], None]) -> Plan:
    """The whole stack. Gets the Temporal binary if there is none yet. Raises StackError."""
    state = settings.state.resolve()
    stop = threading.Event()
    try:
        found = await asyncio.to_thread(temporal_binary.ensure, settings, tell, stop)
        own_keys = keys.load_or_create(state)
    except (temporal_binary.TemporalMissing, keys.KeysUnreadable) as refusal:
        raise StackError(str(refusal)) from None
    finally:
        stop.set()  # cancelled: the thread must not go on building
    return _Addresses(settings, state, own_keys).plan(found.path)


class _Addresses:
    """The ports are all chosen first: the parts must know each other's before any of them runs."""

    def __init__(self, settings: Settings, state: Path, own_keys: keys.Keys) -> None:
        self.settings, self.state, self.keys = settings, state, own_keys
        chosen: set[int] = set()
        # A port that is asked for goes first, so that no free one is chosen to be just that.
        asked = (settings.temporal_port, settings.ui_port, settings.gateway_port, settings.smtp_port)
        chosen.update(asked)
        self.temporal, self.ui, self.gateway, self.smtp = (choose(port, chosen) for port in asked)
        self.vendor, self.carrier, self.directory, self.mail_control = (choose(0, chosen) for _ in range(4))
        self.gateway_url = _url(self.gateway)
        self.database_url = settings.url_of_database

    def plan(self, binary: Path) -> Plan:
        common = self._environment()
        parties = [
            self._party("vendor", self.vendor, "the vendor's simulator"),
            self._party("carrier", self.carrier, "the carrier's simulator", *self._webhook()),
            self._party("directory", self.directory, "the Surescripts simulator"),
            self._mail(),
        ]
        gateway = _python(
            "gateway",
            "the gateway",
            common,
            ["starter.gateway", "--port", str(self.gateway)],
            (Wanted(self.gateway, "the gateway", "TOKENS_GATEWAY_PORT"),),
        )
        worker = _python("worker", "the worker", common, ["worker"], ())
        return Plan([[self._temporal(binary), *parties], [gateway, worker]], self._info(), self._prepare)

    def _temporal(self, binary: Path) -> Child:
        from workflows.search_attributes import REGISTRY

        command = [str(binary), "server", "start-dev", "--disable-config-file", "--disable-config-env"]
        command += ["--ip", HOST, "--port", str(self.temporal), "--ui-port", str(self.ui), "--ui-disable-news-fetch"]
        command += [
            "--db-filename",
            str(self.state / "temporal.db"),
            "--ui-codec-endpoint",
            f"{self.gateway_url}/codec",
        ]
        if self.settings.namespace != "default":
            command += ["--namespace", self.settings.namespace]
        for value in TIME_SKIPPING:
            command += ["--dynamic-config-value", value]
        for name, kind in REGISTRY.items():
            command += ["--search-attribute", f"{name}={kind}"]
        ports = (
            Wanted(self.temporal, "Temporal", "TOKENS_TEMPORAL_PORT"),
            Wanted(self.ui, "the Temporal UI", "TOKENS_UI_PORT"),
        )
        return Child("temporal", "Temporal", command, _clean_environment(), ready="Temporal UI:", ports=ports)

    def _party(self, name: str, port: int, title: str, *more: str) -> Child:
        folder = self.state / "simulators" / name
        command = [f"simulators.{name}", "--port", str(port), "--state", str(folder), *more]
        return _python(name, title, _clean_environment(), command, (Wanted(port, title),))

    def _webhook(self) -> list[str]:
        """The carrier's secret goes by a file: what stands in a command is seen by everybody on the machine."""
        path = self.state / "simulators" / "carrier-webhook-secret"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self.keys["webhook_secrets"]["plain"])
        url = f"{self.gateway_url}/v1/webhooks/carrier/plain"
        return ["--webhook-url", url, "--webhook-secret-file", str(path)]

    def _mail(self) -> Child:
        title = "the mail sink"
        command = ["simulators.mail", "--port", str(self.smtp), "--maildir", str(self.state / "mail")]
        command += ["--control-port", str(self.mail_control)]
        ports = (Wanted(self.smtp, title, "TOKENS_SMTP_PORT"), Wanted(self.mail_control, title))
        return _python("mail", title, _clean_environment(), command, ports)

    def _environment(self) -> dict[str, str]:
        """What gateway and worker are told: the settings that were set, this stack's addresses, and its keys."""
        given = self.settings.model_dump(
            mode="json", include=self.settings.model_fields_set - _NOT_PASSED_ON, exclude_none=True
        )
        return {
            **_clean_environment(),
            **{f"TOKENS_{name.upper()}": _text(value) for name, value in given.items()},
            "TEMPORAL_ADDRESS": f"{HOST}:{self.temporal}",
            "TEMPORAL_NAMESPACE": self.settings.namespace,
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "TOKENS_STATE": str(self.state),
            "TOKENS_DATABASE_URL": self.database_url,
            "TOKENS_TEMPORAL_PORT": str(self.temporal),
            "TOKENS_UI_PORT": str(self.ui),
            "TOKENS_GATEWAY_PORT": str(self.gateway),
            "TOKENS_SMTP_HOST": HOST,
            "TOKENS_SMTP_PORT": str(self.smtp),
            "TOKENS_VENDOR_URL": _url(self.vendor),
            "TOKENS_CARRIER_URL": _url(self.carrier),
            "TOKENS_DIRECTORY_URL": _url(self.directory),
            "TOKENS_PUBLIC_URL": self.settings.public_url or self.gateway_url,
            "TOKENS_UI_URL": self.settings.ui_url or _url(self.ui),
            **keys.environment(self.keys),
        }

    def _info(self) -> dict[str, Any]:
        return {
            "temporal": f"{HOST}:{self.temporal}",
            "ui": _url(self.ui),
            "gateway": self.gateway_url,
            "codec": f"{self.gateway_url}/codec",
            "smtp": f"{HOST}:{self.smtp}",
            "vendor": _url(self.vendor),
            "carrier": _url(self.carrier),
            "directory": _url(self.directory),
            "mail_control": _url(self.mail_control),
            "database_url": self.database_url,
            "namespace": self.settings.namespace,
            "state": str(self.state),
            "mail": str(self.state / "mail"),
        }

    def _prepare(self) -> None:
        """Migrates the database and puts the sample data in. Raises StackError."""
        from sqlalchemy.exc import SQLAlchemyError

        from database import migrate
        from database.engine import engine_of, sessions_of
        from database.sealing import Seal
        from starter import sample_data

        try:
            migrate.upgrade(self.database_url)
            engine = engine_of(self.database_url)
            try:
                sample_data.load(sessions_of(engine), Seal(self.keys["seal_keys"]))
            finally:
                engine.dispose()
        except SQLAlchemyError as fault:
            cause = str(getattr(fault, "orig", None) or fault).strip().splitlines()
            raise StackError(
                f"The database can't be prepared ({cause[0] if cause else type(fault).__name__});"
                " see to it, or leave TOKENS_DATABASE_URL out to use SQLite in the state folder."
            ) from None


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _clean_environment() -> dict[str, str]:
    """This process's environment without what speaks of another system: a developer's `TEMPORAL_ADDRESS` or TLS settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TOKENS_", "TEMPORAL_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def _python(name: str, title: str, environment: dict[str, str], module: list[str], ports: tuple[Wanted, ...]) -> Child:
    """A module of this project, whatever else lies in the folder from which the stack was started."""
    return Child(name, title, [sys.executable, "-P", "-m", *module], environment, ports=ports)
