"""The Temporal connection: converter, codec and client in one place, for worker, starter and tests alike."""

import os
import zlib
from collections.abc import Sequence
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverter,
    DefaultFailureConverterWithEncodedAttributes,
    DefaultPayloadConverter,
    JSONPlainPayloadConverter,
    PayloadCodec,
    PayloadConverter,
)
from temporalio.envconfig import ClientConfig
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from settings import Settings
from workflows.answers import Answer
from workflows.reading import Refused, Unreadable

TASK_QUEUE = "token-fulfillment"

_ENCRYPTED = b"binary/encrypted"
_NOTHING = b"binary/null"
"""What a step that answers nothing answers: there is nothing to hide in it, and a fifth of what it would be encrypted."""
_PLAIN_MARK = "tokens-plain"
_COMPRESSION, _ZLIB = "compression", b"zlib"
_MARK_SIZE = len(_COMPRESSION) + len(_ZLIB) + 6
"""Bytes by which the mark of it makes a payload longer."""


class EncryptionCodec(PayloadCodec):
    """AES-256-GCM with a random nonce; the key's id travels in the metadata. Encrypts with the first key. What zlib makes smaller
    is compressed before it (docs/decisions/0012-compression.md).

    What can't be decrypted (a foreign key, damaged bytes) is let through as a marker instead of raising: raising would fail
    the workflow task again and again, where a marked payload is refused like any other bad message.
    """

    def __init__(self, keys: dict[str, str]) -> None:
        self._ciphers = {key_id: AESGCM(bytes.fromhex(key)) for key_id, key in keys.items()}
        self._current = next(iter(keys))

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._encrypt(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._decrypt(payload) for payload in payloads]

    def _encrypt(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") in (_ENCRYPTED, _NOTHING):
            return payload
        if _PLAIN_MARK in payload.metadata:
            # Known metadata only: the `temporal` command shows a payload with any other as base64.
            return Payload(metadata={"encoding": payload.metadata["encoding"]}, data=payload.data)
        metadata = {"encoding": _ENCRYPTED, "encryption-key-id": self._current.encode()}
        plain = payload.SerializeToString()
        compressed = zlib.compress(plain)
        if len(compressed) + _MARK_SIZE < len(plain):
            plain, metadata[_COMPRESSION] = compressed, _ZLIB
        nonce = os.urandom(12)
        data = nonce + self._ciphers[self._current].encrypt(nonce, plain, None)
        return Payload(metadata=metadata, data=data)

    def _decrypt(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != _ENCRYPTED:
            return payload
        cipher = self._ciphers.get(payload.metadata.get("encryption-key-id", b"").decode("ascii", "replace"))
        try:
            if cipher is None:
                raise InvalidTag
            plain = cipher.decrypt(payload.data[:12], payload.data[12:], None)
            if payload.metadata.get(_COMPRESSION) == _ZLIB:
                plain = zlib.decompress(plain)
            return Payload.FromString(plain)
        except (InvalidTag, ValueError, zlib.error, DecodeError):
            return Unreadable.payload("it was encrypted with a key that this system does not have, or was damaged")


class _SnapshotConverter(PydanticJSONPlainPayloadConverter):
    """Leaves the `status` answer unencrypted: it is never stored, holds no personal data, and so stays readable to the
    `temporal` command without a codec (docs/decisions/0003-encryption.md)."""

    def to_payload(self, value: Any) -> Payload | None:
        payload = super().to_payload(value)
        if payload is not None and isinstance(value, Answer):
            payload.metadata[_PLAIN_MARK] = b"1"
        return payload


class ForgivingPayloadConverter(CompositePayloadConverter):
    """pydantic's converter, except that a payload nobody can read becomes `Unreadable` where anything is taken (a message's
    body), so that the message is refused with a reason instead of being dropped or failing the task."""

    def __init__(self) -> None:
        super().__init__(
            *(
                _SnapshotConverter() if isinstance(converter, JSONPlainPayloadConverter) else converter
                for converter in DefaultPayloadConverter.default_encoding_payload_converters
            )
        )

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        values: list[Any] = []
        for index, payload in enumerate(payloads):
            hint = type_hints[index] if type_hints and index < len(type_hints) else None
            try:
                values += super().from_payloads([payload], [hint] if hint else None)
            except Exception:
                if hint not in (None, Any):
                    raise
                values.append(Unreadable(reason="it is not JSON"))
            else:
                if hint in (None, Any):
                    values[-1] = Unreadable.recognised(values[-1])
        return values


class FailureConverter(DefaultFailureConverterWithEncodedAttributes):
    """Encrypts failures, except an update's refusal: the form in which the Temporal UI sends updates shows failures as they
    come, so that an operator would read "Encoded failure" and nothing else. A refusal names fields, never what stood in them."""

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        if isinstance(exception, Refused) and workflow.in_workflow() and workflow.current_update_info() is not None:
            _PLAIN_FAILURES.to_failure(exception, payload_converter, failure)
            failure.stack_trace = ""
        elif isinstance(exception, ApplicationError) and exception.category is ApplicationErrorCategory.BENIGN:
            # Polling goes on: the latest "not yet" stays in the history, where nobody wants to know its line of code.
            super().to_failure(exception.with_traceback(None), payload_converter, failure)
        else:
            super().to_failure(exception, payload_converter, failure)


_PLAIN_FAILURES = DefaultFailureConverter()


def data_converter(settings: Settings) -> DataConverter:
    """Encrypting if `TOKENS_PAYLOAD_KEYS` is set (the embedded stack makes a key at its first start)."""
    keys = {key_id: key.get_secret_value() for key_id, key in settings.payload_keys.items()}
    return DataConverter(
        payload_converter_class=ForgivingPayloadConverter,
        payload_codec=EncryptionCodec(keys) if keys else None,
        failure_converter_class=FailureConverter,
    )


async def connect(settings: Settings, **options: Any) -> Client:
    """A client by the SDK's own `TEMPORAL_*` variables, with this system's converter and codec."""
    config = ClientConfig.load_client_connect_config()
    defaults = {"target_host": "127.0.0.1:7233", "data_converter": data_converter(settings)}
    return await Client.connect(**{**defaults, **config, **options})
