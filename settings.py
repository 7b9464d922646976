"""The one place where the environment is read: `TOKENS_*` variables, an env file named `.env`, or a folder of files that
`TOKENS_SECRETS_DIR` names, each called as the variable whose value it holds (`tokens_seal_keys`): so containers get secrets.

The Temporal connection is not here: it is read by the SDK's own `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`,
`TEMPORAL_TLS_*` and `TEMPORAL_API_KEY` (see `connection.py`).
"""

import os
import re
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote

from limits import parse
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsConfigDict

from domain.policy import Policy

Port = Annotated[int, Field(ge=0, le=65535)]


def _pace(value: object) -> object:
    """Minutes (0 or nothing: never) or the five fields of cron."""
    text = str(value or "").strip()
    if text in ("", "0"):
        return None
    if (text.isdecimal() and int(text) <= 10_080) or re.fullmatch(r"[\w*/,#-]+( +[\w*/,#-]+){4}", text):
        return text
    raise ValueError("write it as minutes, such as 15, or as cron's five fields, such as 0 9-16 * * MON-FRI")


Pace = Annotated[str | None, BeforeValidator(_pace)]


def _rate(text: str) -> str:
    try:
        parse(text)
    except ValueError:
        raise ValueError("must be a rate such as 600/minute") from None
    return text


Rate = Annotated[str, AfterValidator(_rate)]


class Figures(Policy):
    """The policy as it is set: an unknown figure, or one out of its bounds, is refused."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="wrap")
    @classmethod
    def _kept(cls, value: Any, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        return read(value)


class WorkerSettings(BaseModel, frozen=True):
    """How much one worker process takes on at once, as `TOKENS_WORKER__ACTIVITIES` and so on."""

    activities: Annotated[int, Field(ge=1)] = 100
    """Of each sort, regular and local: a party that hangs must not take the records' turn."""
    workflow_tasks: Annotated[int, Field(ge=2)] = 100
    cached_journeys: Annotated[int, Field(ge=0)] = 300
    """Journeys kept in memory, at about 240 KB each; another is replayed when something happens to it, which takes 17 ms."""
    sticky_seconds: Annotated[float, Field(gt=0)] = 1.0
    """How long a journey's next step waits for the worker that has it in memory, before any other may take it."""
    pollers: Annotated[int, Field(ge=2)] = 20
    """At most, of each sort; how many there are goes by what waits."""
    drain_seconds: Annotated[float, Field(ge=0)] = 15.0
    """How long a worker that is told to end waits for the attempts in flight."""


class Settings(BaseSettings):
    """All settings with their defaults. Ports: 0 means any free one."""

    model_config = SettingsConfigDict(
        env_prefix="TOKENS_", env_nested_delimiter="__", env_file=".env", extra="ignore", frozen=True
    )

    # The embedded stack
    state: Path = Path(".local")
    embedded: bool = False
    """This is the embedded stack, with pages for whoever tries it out; only `starter/stack.py` sets it."""
    temporal_binary: Path | None = None
    temporal_port: Port = 7233
    ui_port: Port = 8233
    gateway_port: Port = 8080
    smtp_port: Port = 1025

    # Parties
    database_url: str | None = None
    """SQLAlchemy URL. Left out: SQLite at `<state>/tokens.db`."""
    database_password: SecretStr = SecretStr("")
    """Goes into the URL where that has none, so that it can come from a file."""
    import_folder: Path | None = None
    """Where `ImportTokens` looks for token makers' files; nothing outside it is read. Left out: `<state>/import`."""
    public_url: str | None = None
    """What links in emails begin with. Left out: the gateway on this machine."""
    ui_url: str | None = None
    """Where the team opens a journey. Left out: the Temporal UI on this machine."""
    namespace: Annotated[str, Field(validation_alias="TEMPORAL_NAMESPACE")] = "default"
    vendor_url: str = "http://127.0.0.1:9101"
    carrier_url: str = "http://127.0.0.1:9102"
    directory_url: str = "http://127.0.0.1:9103"
    party_timeout_seconds: Annotated[float, Field(gt=0)] = 5.0
    smtp_host: str = "127.0.0.1"
    smtp_tls: Literal["none", "starttls", "implicit"] = "none"
    """How mail is handed over: in the clear, after STARTTLS (port 587, RFC 3207), or within TLS from the beginning (port 465,
    RFC 8314). The server's certificate is checked; without TLS nobody signs in."""
    smtp_ca_file: Path | None = None
    """Whose certificates are trusted, PEM. Left out: this machine's authorities."""
    smtp_user: str = ""
    """Left out: nobody signs in."""
    smtp_password: SecretStr = SecretStr("")

    # Mail
    mail_from: str = "EPCS Tokens <epcs-tokens@rxnt.example>"
    vendor_mail_from: str = "Thales token activation <activation@thales.example>"
    team_email: str = "token-team@rxnt.example"
    message_id_domain: str = "rxnt.example"
    carrier_name: str = "UPS"

    # Secrets
    payload_keys: dict[str, SecretStr] = {}
    """Key id to 64 hex digits (AES-256); the first encrypts, all decrypt."""
    seal_keys: dict[str, SecretStr] = {}
    """The same for what is encrypted in the database: seeds of tokens, unsent mail."""
    pin_pepper: SecretStr = SecretStr("")
    webhook_secrets: dict[str, SecretStr] = {}
    """Secret by sender: `plain`, `easypost`, `shippo`, `vendor`, `surescripts`."""

    # The audit trail
    audit_key: SecretStr = SecretStr("")
    """Signs anchors: an Ed25519 private key as 64 hex digits. Only who anchors needs it."""
    audit_public_keys: list[str] = []
    """Public keys, 64 hex digits each, whose anchors are trusted, too: to verify without the private key, and after it changed."""
    audit_anchor_folder: Path | None = None
    """Where anchors are written: best on storage that forgets nothing. Left out: `<state>/anchors`."""
    audit_anchor_every: Pace = "15 2 * * *"
    """How often the heads are anchored: minutes, or cron in the carrier's time zone."""
    audit_retention_years: Annotated[int, Field(ge=2)] = 2
    """How long the trail is kept at least; 21 CFR 1311.305 asks for two."""

    # Schedules
    process_queue_every: Pace = None
    """How often `ProcessQueue` runs by itself: minutes, or cron in the carrier's time zone. Left out: never."""

    reconcile_every: Pace = "30 2 * * *"
    """The same for `Reconcile`. 0: never."""
    daily_digest_every: Pace = "0 8 * * MON-FRI"
    """The same for the digest to the team, which is sent once a day at most. 0: never."""

    # Webhooks
    webhook_retention_days: Annotated[int, Field(ge=1)] = 30
    """How long what came by webhook is remembered, and kept for a parcel that is not known yet."""
    webhook_sweep_seconds: Annotated[float, Field(gt=0)] = 10.0
    """How often it is looked whether somebody waits for a kept event by now."""
    webhook_test_events: bool = False
    """Whether events of a carrier's test mode move journeys, too."""

    # The gateway's API; rates as the `limits` library writes them, counted by each copy of the gateway for itself
    api_rate: Rate = "600/minute"
    """How often one key may call."""
    api_failed_sign_ins: Rate = "20/minute"
    """How often an address may come with a key that does not fit."""
    api_patience_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    """How long a journey's answer is waited for before the caller is told where to look."""
    idempotency_hours: Annotated[int, Field(ge=1)] = 24
    """How long an Idempotency-Key is remembered."""

    # Sign-on of prescribers
    ehr_issuer: str = "https://ehr.rxnt.example"
    """Who signs launch tokens (`iss`)."""
    ehr_public_keys: dict[str, str] = {}
    """Key id to the EHR's public key, PEM (RSA, P-256 or Ed25519)."""
    launch_audience: str | None = None
    """For whom launch tokens are made out (`aud`). Left out: what links in emails begin with."""
    session_idle_minutes: Annotated[int, Field(ge=1, le=240)] = 15
    session_hours: Annotated[int, Field(ge=1, le=24)] = 8
    demo_ehr_key: SecretStr = SecretStr("")
    """Private key with which the embedded stack's "sign in as" page plays the EHR; only `starter/stack.py` sets it."""

    # Sign-in of operators
    operator_idle_minutes: Annotated[int, Field(ge=1, le=720)] = 60
    operator_session_hours: Annotated[int, Field(ge=1, le=24)] = 10
    codec_key: SecretStr = SecretStr("")
    """What stands in the codec endpoint's address with which the embedded stack's UI is started; only `starter/stack.py` sets
    it."""

    # Workers
    deployment: str | None = None
    """The worker deployment's name in Temporal; with one, a worker takes tasks only once its build has been promoted (`tokens
    workers promote`). Left out: any worker takes any task."""
    build_id: str = version("token-fulfillment")
    """This build within the deployment. Left out: the release."""
    worker: WorkerSettings = WorkerSettings()

    # Telemetry
    log_format: Literal["readable", "json"] = "readable"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    metrics_host: str = "127.0.0.1"
    metrics_port: Port | None = None
    """Where a worker answers `/healthz`, `/readyz` and `/metrics`. Left out: nowhere. The gateway has them on its own port."""
    otlp_endpoint: Annotated[str | None, Field(validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")] = None
    """Where traces go, by OTLP over gRPC, such as `http://collector:4317`. Left out: there are none."""

    policy: Figures = Figures()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The folder of secrets is named by a variable, which is read when the settings are. Raises ValueError."""
        sources = (init_settings, env_settings, dotenv_settings)
        folder = os.environ.get("TOKENS_SECRETS_DIR")
        if not folder:
            return sources
        if not Path(folder).is_dir():
            raise ValueError(f"TOKENS_SECRETS_DIR names {folder}, which is not a folder; correct it, or leave it out")
        return (*sources, SecretsSettingsSource(settings_cls, secrets_dir=folder))

    @model_validator(mode="after")
    def _no_password_in_the_clear(self) -> Self:
        if self.smtp_user and self.smtp_tls == "none":
            raise ValueError(
                "TOKENS_SMTP_USER needs TOKENS_SMTP_TLS=starttls or implicit, else the password would be read"
            )
        return self

    @property
    def audience_of_launches(self) -> str:
        return self.launch_audience or self.public_base

    @property
    def url_of_database(self) -> str:
        if not self.database_url:
            return f"sqlite:///{(self.state / 'tokens.db').resolve()}"
        password = self.database_password.get_secret_value()
        scheme, _, rest = self.database_url.partition("://")
        user, at, place = rest.partition("@")
        if not password or not at or ":" in user:
            return self.database_url
        return f"{scheme}://{user}:{quote(password, safe='')}@{place}"

    @property
    def folder_of_imports(self) -> Path:
        return (self.import_folder or self.state / "import").resolve()

    @property
    def folder_of_anchors(self) -> Path:
        return (self.audit_anchor_folder or self.state / "anchors").resolve()

    @property
    def public_base(self) -> str:
        return (self.public_url or f"http://127.0.0.1:{self.gateway_port}").rstrip("/")

    @property
    def ui_base(self) -> str:
        """The Temporal UI's address."""
        return (self.ui_url or f"http://127.0.0.1:{self.ui_port}").rstrip("/")

    def journey_url(self, journey_id: str) -> str:
        """The journey's page in the Temporal UI."""
        return f"{self.list_url}/{quote(journey_id, safe='')}"

    @property
    def list_url(self) -> str:
        """The Temporal UI's list of workflows."""
        return f"{self.ui_base}/namespaces/{self.namespace}/workflows"
