"""The embedded stack: Temporal with its UI, the outside parties' simulators, the mail sink, the gateway and the worker, as
child processes of this one. All they keep lies in the state folder, so that a new start goes on where the last one ended."""

import asyncio
import json
import os
import signal
import sys
import threading
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError

from connection import data_converter
from database.engine import engine_of, sessions_of
from database.sealing import Seal
from settings import Settings
from starter import api_keys, keys, sample_data, schedules, temporal_binary
from starter.api_keys import Scope
from starter.supervision import HOST, Child, StackError, Supervisor, Tell, Wanted, choose, connect_info, refuse_taken
from starter.temporal_server import server_arguments
from workflows.search_attributes import REGISTRY

__all__ = ["Stack", "StackError", "connect_info", "until_stopped"]

ROOT = Path(__file__).resolve().parent.parent
NAMESPACE = "default"
_PASSED_ON = (
    "party_timeout_seconds",
    "mail_from",
    "vendor_mail_from",
    "team_email",
    "message_id_domain",
    "carrier_name",
    "log_format",
    "log_level",
    "metrics_port",
)


class Stack:
    """`async with Stack(settings, tell) as running:` the stack is ready inside and `running.info` says where; after it nothing
    is left running. `tell` is given progress and mishaps, a line each. Entering raises StackError; do it in the main thread."""

    def __init__(self, settings: Settings, tell: Tell) -> None:
        self._settings, self._tell = settings, tell
        self._exit = AsyncExitStack()
        self._supervisor = Supervisor(settings.state, tell)

    @property
    def info(self) -> dict[str, Any]:
        """Addresses, places and process ids."""
        return self._supervisor.info

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as undo:
            await undo.enter_async_context(self._supervisor)
            await self._start()
            self._exit = undo.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    async def _start(self) -> None:
        state = self._supervisor.state
        stop = threading.Event()
        try:
            own_keys = keys.load_or_create(state)
            found = await asyncio.to_thread(temporal_binary.ensure, self._settings, self._tell, stop)
        except (temporal_binary.TemporalMissing, keys.KeysUnreadable) as refusal:
            raise StackError(str(refusal)) from None
        finally:
            stop.set()  # cancelled: the thread must not go on building
        layout = Layout(self._settings, state, own_keys)
        refuse_taken([*layout.wanted.values()])
        self.info.update(layout.info())
        _written(Path(self.info["operator_key_file"]), own_keys["operator_key"] + "\n")
        preparing = asyncio.ensure_future(asyncio.to_thread(_prepare, self._settings.url_of_database, own_keys))
        try:
            await self._supervisor.start(layout.temporal(found.path), *layout.parties())
        finally:
            await asyncio.wait(
                [preparing]
            )  # a thread can't be cancelled, and must not work on after the lock is let go
        preparing.result()
        await self._supervisor.start(*layout.own())
        await self._arrange_schedules(own_keys)
        self._supervisor.ready()

    async def _arrange_schedules(self, own_keys: dict[str, Any]) -> None:
        payload_keys = {key_id: SecretStr(key) for key_id, key in own_keys["payload_keys"].items()}
        settings = self._settings.model_copy(update={"payload_keys": payload_keys})
        client = await Client.connect(
            self.info["temporal"], namespace=NAMESPACE, data_converter=data_converter(settings)
        )
        try:
            await schedules.arrange(client, settings)
        except schedules.NotArranged as refusal:
            raise StackError(str(refusal)) from None


class Layout:
    """Who listens where, and what each is told. The ports are all chosen first: the parts must know each other's."""

    def __init__(self, settings: Settings, state: Path, own_keys: dict[str, Any]) -> None:
        self._settings, self._state, self._keys = settings, state, own_keys
        self._import_folder = (settings.import_folder or state / "import").resolve()
        asked = {
            "temporal": (settings.temporal_port, "Temporal", "TOKENS_TEMPORAL_PORT"),
            "ui": (settings.ui_port, "the Temporal UI", "TOKENS_UI_PORT"),
            "gateway": (settings.gateway_port, "the gateway", "TOKENS_GATEWAY_PORT"),
            "smtp": (settings.smtp_port, "the mail sink", "TOKENS_SMTP_PORT"),
            "mail_control": (0, "the mail sink's control", None),
            "vendor": (0, "the vendor simulator", None),
            "carrier": (0, "the carrier simulator", None),
            "directory": (0, "the Surescripts simulator", None),
        }
        chosen = {port for port, _, _ in asked.values()}  # no free one may be what another asks for
        self.wanted = {name: Wanted(choose(port, chosen), who, by) for name, (port, who, by) in asked.items()}

    def _port(self, name: str) -> str:
        return str(self.wanted[name].port)

    def _url(self, name: str) -> str:
        return f"http://{HOST}:{self._port(name)}"

    def info(self) -> dict[str, Any]:
        return {
            "temporal": f"{HOST}:{self._port('temporal')}",
            "ui": self._url("ui"),
            "gateway": self._url("gateway"),
            "codec": f"{self._url('gateway')}/codec/{self._keys['codec_key']}",
            "sign_in": f"{self._url('gateway')}/ops/sign-in",
            "operator_key_file": str(self._state / "operator.key"),
            "desk": f"{self._url('gateway')}/desk",
            "mailbox": f"{self._url('gateway')}/mailbox",
            "smtp": f"{HOST}:{self._port('smtp')}",
            **{name: self._url(name) for name in ("vendor", "carrier", "directory", "mail_control")},
            "database_url": self._settings.url_of_database,
            "namespace": NAMESPACE,
            "seal_keys": list(self._keys["seal_keys"]),
            "state": str(self._state),
            "mail": str(self._state / "mail"),
            "import_folder": str(self._import_folder),
        }

    def temporal(self, binary: Path) -> Child:
        address = f"{HOST}:{self._port('temporal')}"
        arguments = server_arguments(
            self._state / "temporal.db",
            self.wanted["temporal"].port,
            self.wanted["ui"].port,
            self.info()["codec"],
        )
        ports = (self.wanted["temporal"], self.wanted["ui"])
        return Child(
            "temporal", "Temporal", [str(binary), *arguments], _clean(), ROOT, ports, lambda: _temporal_answers(address)
        )

    def parties(self) -> list[Child]:
        """The outside parties. They are given no keys but the secrets of their own webhooks, by a file, as everybody sees
        commands."""
        webhooks = {
            "vendor": ["vendor"],
            "carrier": ["carrier/plain", "carrier/easypost", "carrier/shippo"],
            "directory": ["surescripts"],
        }
        simulators = self._state / "simulators"
        mail = ["--port", self._port("smtp"), "--maildir", str(self._state / "mail")]
        mail += ["--control-port", self._port("mail_control")]
        return [
            *(
                _python(
                    name,
                    self.wanted[name].who,
                    [
                        f"simulators.{name}",
                        *("--port", self._port(name)),
                        *("--state", str(simulators / name)),
                        *("--webhooks-file", str(self._webhooks(name, paths))),
                    ],
                    _clean(),
                    self.wanted[name],
                )
                for name, paths in webhooks.items()
            ),
            _python(
                "mail",
                "the mail sink",
                ["simulators.mail", *mail],
                _clean(),
                self.wanted["smtp"],
                self.wanted["mail_control"],
            ),
        ]

    def _webhooks(self, party: str, paths: list[str]) -> Path:
        """The file, readable to its owner only, that tells a party where its webhooks go and how they are signed."""
        base, secrets = f"{self._url('gateway')}/v1/webhooks", self._keys["webhook_secrets"]
        senders = {path.rpartition("/")[2]: path for path in paths}
        hooks = {sender: {"url": f"{base}/{path}", "secret": secrets[sender]} for sender, path in senders.items()}
        return _written(self._state / f"webhooks-{party}.json", json.dumps(hooks))

    def own(self) -> list[Child]:
        """Gateway and worker, which need Temporal and the database."""
        environment = self._environment()
        gateway = ["starter.gateway", "--port", self._port("gateway")]
        public = {
            name: value for name, value in environment.items() if name != "TOKENS_AUDIT_KEY"
        }  # the worker's alone
        secrets = {"TOKENS_DEMO_EHR_KEY": self._keys["demo_ehr_key"], "TOKENS_CODEC_KEY": self._keys["codec_key"]}
        return [
            _python("gateway", "the gateway", gateway, public | secrets, self.wanted["gateway"]),
            _python("worker", "the worker", ["worker"], environment),
        ]

    def _environment(self) -> dict[str, str]:
        """The settings that were given, this stack's addresses, and its keys."""
        given = self._settings.model_fields_set
        passed_on = {
            f"TOKENS_{name.upper()}": str(getattr(self._settings, name)) for name in _PASSED_ON if name in given
        }
        policy = {name: value for name, value in os.environ.items() if name.upper().startswith("TOKENS_POLICY")}
        if not policy and "policy" in given:  # from an env file, or given in the program
            policy = {"TOKENS_POLICY": json.dumps(self._settings.policy.model_dump(mode="json"))}
        return {
            **_clean(),
            **passed_on,
            **policy,
            **keys.environment(self._keys),
            "TEMPORAL_ADDRESS": f"{HOST}:{self._port('temporal')}",
            "TEMPORAL_NAMESPACE": NAMESPACE,
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "TOKENS_STATE": str(self._state),
            "TOKENS_EMBEDDED": "true",
            "TOKENS_DATABASE_URL": self._settings.url_of_database,
            "TOKENS_IMPORT_FOLDER": str(self._import_folder),
            "TOKENS_AUDIT_ANCHOR_FOLDER": str(self._settings.folder_of_anchors),
            "TOKENS_PUBLIC_URL": self._settings.public_url or self._url("gateway"),
            "TOKENS_UI_URL": self._settings.ui_url or self._url("ui"),
            "TOKENS_UI_PORT": self._port("ui"),
            **{f"TOKENS_{name.upper()}_URL": self._url(name) for name in ("vendor", "carrier", "directory")},
            "TOKENS_WEBHOOK_TEST_EVENTS": "true",  # here all carriers are simulated
            "TOKENS_SMTP_HOST": HOST,
            "TOKENS_SMTP_PORT": self._port("smtp"),
        }


def _clean() -> dict[str, str]:
    """This process's environment without what speaks of another system: a developer's `TEMPORAL_ADDRESS`, or its keys."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("TOKENS_", "TEMPORAL_"))}
    # Without compiled modules every child would compile its imports anew, which costs the start ten seconds.
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, "PYTHONUNBUFFERED": "1"}


def _python(name: str, title: str, module: list[str], environment: dict[str, str], *ports: Wanted) -> Child:
    return Child(name, title, [sys.executable, "-m", *module], environment, ROOT, ports)


async def _temporal_answers(address: str) -> bool:
    """Whether the server takes workflows of ours: it answers, and knows the search attributes, which it makes last."""
    try:
        client = await Client.connect(address, namespace=NAMESPACE, lazy=True)
        request = ListSearchAttributesRequest(namespace=NAMESPACE)
        known = await client.operator_service.list_search_attributes(request)
    except (RPCError, RuntimeError):
        return False
    return REGISTRY.keys() <= known.custom_attributes.keys()


def _written(file: Path, content: str) -> Path:
    """The file, written anew, readable to its owner only."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(content)
    return file


def _prepare(database_url: str, own_keys: dict[str, Any]) -> None:
    """Migrates the database, and puts in the sample data and the operator's key. Raises StackError."""
    try:
        from database import migrate  # Alembic takes a third of a second, which every command would pay

        migrate.upgrade(database_url)
        engine = engine_of(database_url)
        try:
            sessions = sessions_of(engine)
            sample_data.load(sessions, Seal(own_keys["seal_keys"]))
            api_keys.enter(
                sessions, own_keys["operator_key"], "Embedded stack's operator", [Scope.OPERATE], datetime.now(UTC)
            )
        finally:
            engine.dispose()
    except SQLAlchemyError as fault:
        # The kind of fault only: its text may hold the password.
        why = type(getattr(fault, "orig", None) or fault).__name__
        raise StackError(
            f"The database can't be prepared ({why}); correct TOKENS_DATABASE_URL, or leave it out to use SQLite in the"
            " state folder."
        ) from None


async def until_stopped() -> None:
    """Returns at the first SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await stop.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
