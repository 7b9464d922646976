"""Encryption of what Temporal keeps, and payloads that nobody can read."""

import base64
import json
import secrets
from pathlib import Path

import pytest
from google.protobuf import json_format
from temporalio.api.common.v1 import Payload
from temporalio.service import TLSConfig

from connection import EncryptionCodec, connect, data_converter
from settings import Settings
from tests.stage import Stage
from workflows.reading import Unreadable

OLD, NEW = {"k1": "11" * 32}, {"k2": "22" * 32}


def plain(value: object) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(value).encode())


async def test_what_is_encrypted_comes_back_and_nobody_reads_it_on_the_way() -> None:
    codec = EncryptionCodec(NEW)
    [sealed] = await codec.encode([plain("dr.secret@clinic.example")])
    assert b"secret" not in sealed.SerializeToString()
    assert await codec.decode([sealed]) == [plain("dr.secret@clinic.example")]
    [again] = await codec.encode([plain("dr.secret@clinic.example")])
    assert again.data != sealed.data
    assert await codec.encode([sealed]) == [sealed]


async def test_what_is_long_and_alike_is_stored_smaller() -> None:
    codec, long = (
        EncryptionCodec(NEW),
        plain([{"what": "delivered", "by": "carrier", "number": number} for number in range(40)]),
    )
    short = plain(secrets.token_hex(8))
    [sealed_long, sealed_short] = await codec.encode([long, short])
    assert sealed_long.ByteSize() < long.ByteSize() / 3
    assert "compression" not in sealed_short.metadata
    assert await codec.decode([sealed_long, sealed_short]) == [long, short]


async def test_a_mark_that_is_wrong_is_damage() -> None:
    codec = EncryptionCodec(NEW)
    sealed = await codec.encode([plain("x"), plain("x" * 1000)])
    for payload in sealed:
        if "compression" in payload.metadata:
            del payload.metadata["compression"]
        else:
            payload.metadata["compression"] = b"zlib"
    for read in await codec.decode(sealed):
        assert isinstance(Unreadable.recognised(json.loads(read.data)), Unreadable)


async def test_keys_rotate() -> None:
    [old] = await EncryptionCodec(OLD).encode([plain(1)])
    both = EncryptionCodec({**NEW, **OLD})
    assert await both.decode([old]) == [plain(1)]
    [new] = await both.encode([plain(1)])
    assert new.metadata["encryption-key-id"] == b"k2"


async def test_a_foreign_key_or_damage_is_let_through_marked() -> None:
    [foreign] = await EncryptionCodec(OLD).encode([plain(1)])
    damaged = Payload(metadata=foreign.metadata, data=foreign.data[:-1] + bytes([foreign.data[-1] ^ 1]))
    for payload, codec in ((foreign, EncryptionCodec(NEW)), (damaged, EncryptionCodec(OLD))):
        [read] = await codec.decode([payload])
        assert isinstance(Unreadable.recognised(json.loads(read.data)), Unreadable)


async def test_a_message_under_a_foreign_key_is_kept_with_its_reason(stage: Stage, settings: Settings) -> None:
    journey = await stage.request("soft")
    foreign = settings.model_copy(update={"payload_keys": {"other": type(settings.pin_pepper)("33" * 32)}})
    from temporalio.client import Client

    stranger = await Client.connect(
        stage.client.service_client.config.target_host, data_converter=data_converter(foreign)
    )
    await stranger.get_workflow_handle(journey.id).signal("cancel", {"by": "stranger"})
    snapshot = await journey.status()
    assert snapshot["status"] == "Requested"
    [refused] = snapshot["refused"]
    assert "a key that this system does not have" in refused["reason"]


async def test_a_history_gives_away_nobody(stage: Stage) -> None:
    journey = await stage.request("hard", email="dr.giveaway@clinic.example", requested_by="Giveaway")
    await journey.update("edit", {"email": "other.giveaway@clinic.example"})
    await journey.reach("Active")
    history = (await journey.handle.fetch_history()).to_json()
    described = json_format.MessageToJson((await journey.handle.describe()).raw_description)
    for text in (history, described):
        everything = text + str([base64.b64decode(part, validate=False) for part in _payloads(json.loads(text))])
        assert "iveaway" not in everything
        assert "clinic.example" not in everything
        assert "lakeside" not in everything.lower()


def _payloads(value: object) -> list[str]:
    """Every base64 text under `data` in Temporal's JSON."""
    if isinstance(value, dict):
        own = [value["data"]] if isinstance(value.get("data"), str) else []
        return own + [part for inner in value.values() for part in _payloads(inner)]
    if isinstance(value, list):
        return [part for inner in value for part in _payloads(inner)]
    return []


async def test_the_sentence_of_a_failed_journey_is_encrypted_too(stage: Stage) -> None:
    journey = await stage.start({"prescriber_id": "P-1025", "kind": "hard"})
    assert "ID proofing" in await journey.failed()
    assert "ID proofing" not in (await journey.handle.fetch_history()).to_json()


async def test_the_sdk_s_own_variables_reach_the_client(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Settings
) -> None:
    certificate, key = tmp_path / "client.pem", tmp_path / "client.key"
    certificate.write_text("CERTIFICATE")
    key.write_text("KEY")
    cloud = {
        "TEMPORAL_ADDRESS": "tokens.a1b2c.tmprl.cloud:7233",
        "TEMPORAL_NAMESPACE": "tokens.a1b2c",
        "TEMPORAL_TLS_CLIENT_CERT_PATH": str(certificate),
        "TEMPORAL_TLS_CLIENT_KEY_PATH": str(key),
        "TEMPORAL_TLS_SERVER_NAME": "inner.example",
        "TEMPORAL_CONFIG_FILE": "/dev/null",
    }
    for name, value in cloud.items():
        monkeypatch.setenv(name, value)
    client = await connect(settings, lazy=True)
    config = client.service_client.config
    assert (config.target_host, client.namespace) == ("tokens.a1b2c.tmprl.cloud:7233", "tokens.a1b2c")
    tls = config.tls
    assert isinstance(tls, TLSConfig)
    assert (tls.client_cert, tls.client_private_key, tls.domain) == (b"CERTIFICATE", b"KEY", "inner.example")
    assert Settings(_env_file=None).namespace == "tokens.a1b2c"  # type: ignore[call-arg]
    assert client.data_converter.payload_codec is not None
    # With an API key instead of a certificate: TLS goes without saying.
    for name in cloud:
        if name.startswith("TEMPORAL_TLS"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TEMPORAL_API_KEY", "the-key")
    config = (await connect(settings, lazy=True)).service_client.config
    assert config.api_key == "the-key"
    assert config.tls
    # Or from the SDK's own file, so that the key stands in no environment.
    monkeypatch.delenv("TEMPORAL_API_KEY")
    (tmp_path / "temporal_config").write_text('[profile.default]\napi_key = "from a file"\n')
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "temporal_config"))
    client = await connect(settings, lazy=True)
    assert client.service_client.config.api_key == "from a file"
    assert client.namespace == "tokens.a1b2c"
