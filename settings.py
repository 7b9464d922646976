"""The one place where the environment is read: `TOKENS_*` variables, or an env file named `.env`.

The Temporal connection is not here: it is read by the SDK's own `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`,
`TEMPORAL_TLS_*` and `TEMPORAL_API_KEY` (see `connection.py`).
"""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.policy import Policy

Port = Annotated[int, Field(ge=0, le=65535)]


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

    policy: Policy = Policy()

    @property
    def url_of_database(self) -> str:
        return self.database_url or f"sqlite:///{(self.state / 'tokens.db').resolve()}"

    @property
    def public_base(self) -> str:
        return (self.public_url or f"http://127.0.0.1:{self.gateway_port}").rstrip("/")

    def journey_url(self, journey_id: str) -> str:
        """The journey's page in the Temporal UI."""
        base = (self.ui_url or f"http://127.0.0.1:{self.ui_port}").rstrip("/")
        return f"{base}/namespaces/{self.namespace}/workflows/{quote(journey_id, safe='')}"
