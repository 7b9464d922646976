"""Makes what `docker-compose.yml` names as secrets, once: `python3 tools/make_secrets.py [FOLDER]`, by default `secrets/`.

Each is a file that only its owner can read. What is there already is left alone, so that running it again after an update adds
only what is new. Needs nothing but Python: it is run on the machine that has Docker.
"""

import json
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SENDERS = {
    "vendor": {"vendor": "vendor"},
    "carrier": {"plain": "carrier/plain", "easypost": "carrier/easypost", "shippo": "carrier/shippo"},
    "directory": {"surescripts": "surescripts"},
}
"""Simulated party to the senders that it plays, and the gateway's paths for them."""

_GATEWAY = "http://gateway:8080/v1/webhooks"


def random_key() -> str:
    """32 bytes as hex digits: a key for AES-256, or a password."""
    return secrets.token_hex(32)


def key_ring() -> str:
    return json.dumps({"k1": random_key()})


MADE: dict[str, Callable[[], str]] = {
    "postgres_password": random_key,
    "tokens_owner_password": random_key,
    "tokens_database_password": random_key,
    "temporal_owner_password": random_key,
    "temporal_password": random_key,
    "temporal_config": lambda: "",  # the SDK's configuration file, for Temporal Cloud or another cluster
    "tokens_payload_keys": key_ring,
    "tokens_seal_keys": key_ring,
    "tokens_pin_pepper": random_key,
    "tokens_webhook_secrets": lambda: json.dumps(
        {sender: random_key() for senders in SENDERS.values() for sender in senders}
    ),
    "tokens_ehr_public_keys": lambda: "{}",  # the EHR's, to be put in by hand
    "tokens_audit_key": random_key,
    "tokens_smtp_password": lambda: "",  # the mail relay's, to be put in by hand
    "grafana_password": random_key,
}


def make(folder: Path) -> list[str]:
    """Returns the names of what was made. Raises OSError, ValueError (a file that can't be read as JSON)."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = [name for name, content in MADE.items() if _write(folder / name, content)]
    known = json.loads((folder / "tokens_webhook_secrets").read_text())
    for party, senders in SENDERS.items():
        hooks = {
            sender: {"url": f"{_GATEWAY}/{path}", "secret": known.get(sender, "")} for sender, path in senders.items()
        }
        name = f"webhooks_of_{party}"
        if _write(folder / name, lambda hooks=hooks: json.dumps(hooks)):
            made.append(name)
    return made


def _write(path: Path, content: Callable[[], str]) -> bool:
    """Whether it was not there yet. Whole or not at all, and never over what is there."""
    if path.exists():
        return False
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(content())
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "secrets"
    try:
        made = make(folder)
    except (OSError, ValueError) as fault:
        sys.exit(f"The secrets in {folder} can't be made ({fault}); correct that, then try again.")
    print(f"Made {len(made)} secrets in {folder}." if made else f"All secrets are in {folder} already.")
    if made:
        print(
            "Keep a copy where the backups are not: without tokens_seal_keys and tokens_payload_keys they can't be read."
        )
    if hasattr(os, "getuid") and os.getuid() not in (0, 1000):
        print(f"Compose must run as their owner: export TOKENS_UID={os.getuid()} TOKENS_GID={os.getgid()}")


if __name__ == "__main__":
    main()
