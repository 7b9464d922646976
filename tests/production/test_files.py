"""What docker-compose.yml, the image and the monitoring say, read without running any of it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from settings import Settings
from tools import compose_config, make_secrets
from tools.production.compose import ROOT, Service, in_order, interpolate, services
from tools.production.native import LEFT_OUT

CONTENT: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
ALL = services({})
JOBS = {"roles", "migrate", "sample-data", "schema", "namespace", "search-attributes", "schedules", "promote"}


def test_every_service_is_pinned_bounded_and_nobody_special() -> None:
    for name, given in CONTENT["services"].items():
        assert re.search(r":[\w.${}:-]*\d", given["image"]), name
        assert "latest" not in given["image"]
        assert given["user"].split(":")[0] not in ("0", "root"), name
        assert given["read_only"] is True, name
        assert given["cap_drop"] == ["ALL"], name
        assert given["security_opt"] == ["no-new-privileges:true"], name
        assert given["logging"]["options"]["max-size"], name
        assert given["mem_limit"], name
        assert "privileged" not in given
        assert "network_mode" not in given
        assert (given["restart"] == "no") == (name in JOBS)
        assert ("healthcheck" in given) == (name not in JOBS), f"{name}: servers have a health check, jobs end"
        for port in given.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name} can be reached from other machines"
    assert {name for name, one in ALL.items() if one.once} == JOBS


def test_a_port_stands_for_one_service_and_nothing_waits_in_a_circle() -> None:
    owners = [port for one in ALL.values() for port in one.exposed]
    assert len(owners) == len(set(owners))
    order = [one.name for wave in in_order(ALL) for one in wave]
    assert sorted(order) == sorted(ALL)
    for before, after in (
        ("roles", "schema"),
        ("schema", "temporal"),
        ("search-attributes", "worker"),
        ("migrate", "gateway"),
    ):
        assert order.index(before) < order.index(after)
    for one in ALL.values():
        for other, condition in one.after.items():
            assert (condition == "service_completed_successfully") == ALL[other].once, f"{one.name} after {other}"
    awaited = {other for one in ALL.values() for other in one.after}
    assert awaited >= JOBS, "`docker compose up --wait` fails at a job for whose end nobody waits"


def test_secrets_are_files_that_are_made_once_and_that_only_their_owner_reads(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    made = make_secrets.make(folder)
    assert sorted(made) == sorted(CONTENT["secrets"])
    content = {path.name: path.read_text() for path in folder.iterdir()}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / "temporal_password").unlink()
    assert make_secrets.make(folder) == ["temporal_password"]
    assert {name: (folder / name).read_text() == text for name, text in content.items()} == {
        name: name != "temporal_password" for name in content
    }
    # The parties sign with what the gateway checks.
    known = json.loads(content["tokens_webhook_secrets"])
    for party in make_secrets.SENDERS:
        for sender, hook in json.loads(content[f"webhooks_of_{party}"]).items():
            assert hook["secret"] == known[sender]
    # No service is given what it has no use for, and no secret stands in an environment.
    assert "tokens_pin_pepper" not in ALL["worker"].secrets
    assert not {"postgres_password", "tokens_owner_password"} & {*ALL["worker"].secrets, *ALL["gateway"].secrets}
    for one in ALL.values():
        for name, value in one.environment.items():
            assert not re.search(r"(PASSWORD|SECRET|_KEY|_PWD)S?$", name), f"{one.name} has {name}={value}"


def test_settings_come_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_secrets.make(tmp_path / "secrets")
    (tmp_path / "secrets" / "tokens_database_password").write_text("p/w@1\n")
    monkeypatch.setenv("TOKENS_SECRETS_DIR", str(tmp_path / "secrets"))
    monkeypatch.setenv("TOKENS_DATABASE_URL", "postgresql+psycopg://tokens_app@db:5432/tokens")
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    assert settings.url_of_database == "postgresql+psycopg://tokens_app:p%2Fw%401@db:5432/tokens"
    assert len(settings.seal_keys["k1"].get_secret_value()) == 64
    assert set(settings.webhook_secrets) == {"vendor", "plain", "easypost", "shippo", "surescripts"}
    assert "p/w@1" not in repr(settings)
    monkeypatch.setenv("TOKENS_PIN_PEPPER", "from the environment")
    assert Settings(_env_file=None).pin_pepper.get_secret_value() == "from the environment"  # type: ignore[call-arg]
    monkeypatch.setenv("TOKENS_DATABASE_URL", "postgresql+psycopg://u:own@db/tokens")
    assert Settings(_env_file=None).url_of_database.endswith("u:own@db/tokens")  # type: ignore[call-arg]
    monkeypatch.setenv("TOKENS_SECRETS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"TOKENS_SECRETS_DIR names .*nowhere, which is not a folder"):
        Settings(_env_file=None)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a${X}b", "a1b"),
        ("${X:-2}${Y:-2}${E:-3}", "123"),
        ("${Y:-http://h:${X:-8}/${Z:-z}}", "http://h:1/z"),
        ("$$X $$(hostname)", "$X $(hostname)"),
        ("plain", "plain"),
    ],
)
def test_variables_as_compose_fills_them_in(text: str, result: str) -> None:
    assert interpolate(text, {"X": "1", "E": ""}.get) == result


@pytest.mark.slow
@pytest.mark.skipif(
    compose_config.command() is None, reason="Docker Compose has not been built here yet (make check-compose)"
)
def test_what_we_read_is_what_compose_reads() -> None:
    compose = compose_config.command()
    assert compose is not None
    given = {"TOKENS_GATEWAY_PORT": "18080", "TOKENS_WORKERS": "3", "TEMPORAL_DYNAMIC_CONFIG": "time-skipping.yaml"}
    shown = compose_config.config(compose, "--format", "json", environment=given)
    assert shown.returncode == 0, shown.stderr
    theirs = json.loads(shown.stdout)["services"]
    ours = services(given)
    assert theirs.keys() == ours.keys()
    for name, one in ours.items():
        other = theirs[name]
        assert [part.replace("$$", "$") for part in other.get("command") or []] == list(one.command), name
        assert {key: str(value) for key, value in (other.get("environment") or {}).items()} == dict(one.environment), (
            name
        )
        assert {each["target"].rpartition("/")[2] for each in other.get("secrets", ())} == set(one.secrets), name
        assert {each["target"] for each in other.get("volumes", ())} == set(one.volumes), name
        assert {key: value["condition"] for key, value in other.get("depends_on", {}).items()} == dict(one.after), name
        assert {int(each["published"]): each["target"] for each in other.get("ports", ())} == {
            published: target for target, published in one.published.items()
        }
        assert (other.get("scale") or other.get("deploy", {}).get("replicas") or 1) == one.scale


def test_the_image_holds_what_runs_and_no_secrets() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    kept = {line[1:] for line in ignored if line.startswith("!")}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert packages <= kept
    assert {"templates", "worker.py", "settings.py", "connection.py", "requirements-runtime.lock"} <= kept
    assert not kept & {"secrets", ".env", ".local", "tests", ".git"}
    lines = (ROOT / "Dockerfile").read_text()
    assert all(re.search(r":\d+\.\d+\.\d+-", line) for line in re.findall(r"^FROM \S+", lines, re.MULTILINE))
    assert "--require-hashes" in lines
    assert re.search(r"^USER 1000", lines, re.MULTILINE)
    # A second lock must not become a second truth.
    assert _pins("requirements-runtime.lock").items() <= _pins("requirements.lock").items()
    assert not {"pytest", "playwright", "pyright", "schemathesis", "ruff"} & _pins("requirements-runtime.lock").keys()


def _pins(name: str) -> dict[str, frozenset[str]]:
    blocks = re.split(r"^(?=[a-z0-9])", (ROOT / name).read_text(), flags=re.MULTILINE)
    return {
        block.split("==")[0]: frozenset([block.split()[0], *re.findall(r"sha256:\w+", block)])
        for block in blocks
        if "==" in block
    }


def test_monitoring_finds_its_files_and_services() -> None:
    prometheus = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    for name in prometheus["rule_files"]:
        assert yaml.safe_load((ROOT / "deploy/prometheus" / name).read_text())["groups"]
    asked = {}
    for job in prometheus["scrape_configs"]:
        for source in job.get("dns_sd_configs", ()):
            asked.update(dict.fromkeys(source["names"], source["port"]))
        for source in job.get("static_configs", ()):
            asked.update({target.split(":")[0]: int(target.split(":")[1]) for target in source["targets"]})
    assert asked.keys() == {"worker", "gateway", "temporal"}
    assert all(port in ALL[name].exposed for name, port in asked.items())
    [source] = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["url"] == f"http://prometheus:{ALL['prometheus'].exposed[0]}"
    [provider] = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/files.yml").read_text())["providers"]
    assert (ROOT / provider["options"]["path"].replace("/etc/tokens", "deploy")).is_dir()
    assert ALL.keys() > LEFT_OUT
    assert all(isinstance(one, Service) for one in ALL.values())
