"""The gateway as a site that tests visit: served for real, with an EHR of the test's own that signs prescribers on."""

import re
import secrets
import time
from types import TracebackType
from typing import Any, Self

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from settings import Settings
from simulators.serving import Serving
from starter.gateway.app import app
from tests.stage import Play, Stage

AUDIENCE = "https://tokens.example"
PRESCRIBER = "P-1001"


class Ehr:
    """Signs launch tokens."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()

    @property
    def public(self) -> str:
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def private(self) -> str:
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def token(self, prescriber_id: str = PRESCRIBER, /, **claims: Any) -> str:
        """Good in every way but those that `claims` say; a claim that is None is left out."""
        now = int(time.time())
        good = {
            "iss": "https://ehr.rxnt.example",
            "aud": AUDIENCE,
            "sub": prescriber_id,
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_urlsafe(12),
            "id_proofed": True,
            "pin_validated": True,
            "device": {"fingerprint": "d" * 64, "name": "Front desk", "prescribes": False},
        }
        stated = {name: value for name, value in (good | claims).items() if value is not None}
        return jwt.encode(stated, self._key, algorithm="EdDSA", headers={"kid": "ehr"})


class Site:
    """`async with Site(stage) as site:` the gateway over the stage's database, worker and journeys."""

    def __init__(self, stage: Stage, **settings: Any) -> None:
        self.stage = stage
        self.ehr = Ehr()
        self.settings: Settings = stage.settings.model_copy(
            update={
                "ehr_public_keys": {"ehr": self.ehr.public, "demo": self.ehr.public},
                "launch_audience": AUDIENCE,
                **settings,
            }
        )
        self._serving = Serving(app(self.settings, task_queue=stage.task_queue))
        self._clients: list[httpx.AsyncClient] = []

    async def __aenter__(self) -> Self:
        await self._serving.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            await client.aclose()
        await self._serving.__aexit__(kind, fault, trace)

    @property
    def url(self) -> str:
        return self._serving.url

    def client(self) -> "Visit":
        """A browser without a screen, that is not signed on."""
        visit = Visit(base_url=self.url, timeout=20)
        self._clients.append(visit)
        return visit

    async def visit(self, prescriber_id: str = PRESCRIBER, /, **claims: Any) -> "Visit":
        """The same, signed on."""
        visit = self.client()
        answer = await visit.post("/launch", data={"token": self.ehr.token(prescriber_id, **claims)})
        assert answer.status_code == 303, answer.text
        return visit

    def play(self, journey_id: str) -> Play:
        """A journey that a page has started."""
        handle = self.stage.client.get_workflow_handle(journey_id)
        rows = self.stage.rows(f"select requested_at from journeys where journey_id = '{journey_id}'")
        assert rows, f"{journey_id} is not recorded"
        return Play(self.stage, handle, rows[0][0])

    def journeys(self, prescriber_id: str = PRESCRIBER) -> list[str]:
        """Ids, in the order of their requests."""
        query = f"select journey_id from journeys where prescriber_id = '{prescriber_id}' order by requested_at"
        return [row[0] for row in self.stage.rows(query)]


class Visit(httpx.AsyncClient):
    """Fills in forms as a browser does, without one. Asynchronous, since the worker runs in the test's own loop."""

    async def csrf(self) -> str:
        """What the session's forms must bring back."""
        found = re.search(r'name="csrf" value="([0-9a-f]+)"', (await self.get("/manage-tokens")).text)
        assert found, "not signed on"
        return found[1]

    async def submit(self, path: str, /, **fields: str) -> httpx.Response:
        """A form of this session's, sent from a page of ours."""
        form = {"csrf": await self.csrf(), **fields}
        return await self.post(path, data=form, headers={"Sec-Fetch-Site": "same-origin"})
