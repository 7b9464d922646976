"""Who is believed. The digests that stand here were worked out with `openssl dgst`, not with the code they judge."""

import time
from email.utils import formatdate
from typing import Any

import pytest
from starlette.datastructures import Headers

from simulators import webhooks as simulated
from simulators.webhooks import Hook
from starter.gateway.webhooks.senders import SENDERS, Sender
from starter.gateway.webhooks.signatures import REPLAY_WINDOW, Call
from starter.gateway.webhooks.signatures import digest as sign

BODY = b'{"description":"tracker.updated"}'
PATH = "/v1/webhooks/carrier/easypost"
NOON = 1795532400
"""24 November 2026, 15:00 UTC."""
NOON_2822 = "Tue, 24 Nov 2026 15:00:00 -0000"
V1 = "66c80c0ea8e7e291957365ace89cbea085c3ff02d2a6bf86c29137192f9da3a7"
V1_UNICODE = "91992a95977b8b16101f09da1d7a2c6dd05ad408bd40dfcf0d221b88506faba1"
V2 = "9bac6768ae6148b651acc0fc095624b1ab971153e8abd81c274633e4bd5375dd"
STAMPED = "e02100663c555fc172d7ca36c0836f494f079a0f59190dcb487488289f136448"
SECRETS = ["s3cret", "ünï côdé ﬁ Ⅳ 秘密", "x" * 300, " spaces around "]
BY_NAME = {sender.name: sender for sender in SENDERS}


def call(headers: dict[str, str], body: bytes = BODY, now: float = NOON, **query: str) -> Call:
    return Call(body, PATH, Headers(headers), query, now)


def ours(stamp: str = str(NOON), digest: str = STAMPED) -> dict[str, str]:
    return {"x-tokens-timestamp": stamp, "x-tokens-signature": f"sha256={digest}"}


def newer(stamp: str = NOON_2822, path: str = PATH, digest: str = V2) -> dict[str, str]:
    return {"x-timestamp": stamp, "x-path": path, "x-hmac-signature-v2": f"hmac-sha256-hex={digest}"}


GOOD: list[tuple[str, dict[str, Any]]] = [
    ("plain", {"headers": ours()}),
    ("vendor", {"headers": ours()}),
    ("surescripts", {"headers": ours()}),
    ("plain", {"headers": ours(), "now": NOON + REPLAY_WINDOW}),
    ("plain", {"headers": ours(), "now": NOON - REPLAY_WINDOW}),
    ("easypost", {"headers": {"X-Hmac-Signature": f"hmac-sha256-hex={V1}"}}),
    ("easypost", {"headers": newer()}),
    ("easypost", {"headers": newer() | {"x-hmac-signature-v2": V2}}),
    ("easypost", {"headers": newer(), "now": NOON + REPLAY_WINDOW}),
    ("shippo", {"headers": {"Shippo-Auth-Signature": f"t={NOON},v1={STAMPED}"}}),
    ("shippo", {"headers": {"Shippo-Auth-Signature": f"t={NOON}, v1={STAMPED}, v0=old"}}),
    ("shippo", {"headers": {}, "token": "s3cret"}),
]


@pytest.mark.parametrize(("sender", "made"), GOOD)
def test_what_is_signed_as_the_sender_says_is_believed(sender: str, made: dict[str, Any]) -> None:
    assert BY_NAME[sender].authentic(call(**made), "s3cret")
    assert not BY_NAME[sender].authentic(call(**made), "another sender's")
    if "token" not in made:
        for changed in (BODY + b" ", BODY[:-1], b""):
            assert not BY_NAME[sender].authentic(call(body=changed, **made), "s3cret")


FORGED: list[tuple[str, dict[str, Any]]] = [
    *((name, {"headers": {}}) for name in BY_NAME),
    ("plain", {"headers": ours(), "now": NOON + REPLAY_WINDOW + 1}),
    ("plain", {"headers": ours(), "now": NOON - REPLAY_WINDOW - 1}),
    ("plain", {"headers": ours(stamp=str(NOON + 1))}),
    ("plain", {"headers": ours(stamp="")}),
    ("plain", {"headers": ours(stamp="9" * 5000)}),
    ("plain", {"headers": ours(stamp="-1")}),
    ("plain", {"headers": ours(digest=STAMPED[:-1])}),
    ("plain", {"headers": ours(digest=STAMPED.upper())}),
    ("plain", {"headers": ours() | {"x-tokens-signature": STAMPED}}),
    ("easypost", {"headers": {"X-Hmac-Signature": f"hmac-sha256-hex={V1[:-1]}"}}),
    ("easypost", {"headers": {"X-Hmac-Signature": "hmac-sha256-hex="}}),
    ("easypost", {"headers": {"X-Hmac-Signature": V1}}),
    ("easypost", {"headers": newer(), "now": NOON + REPLAY_WINDOW + 1}),
    ("easypost", {"headers": newer(), "now": NOON - REPLAY_WINDOW - 1}),
    ("easypost", {"headers": newer(stamp="Tue, 24 Nov 2026 15:00:01 -0000")}),
    ("easypost", {"headers": newer(stamp="")}),
    ("easypost", {"headers": newer(stamp="Tue, 99 Nov 2026 15:00:00 -0000")}),
    ("easypost", {"headers": newer(stamp="Mon, 1 Jan 0001 00:00:00 +2359")}),
    ("easypost", {"headers": newer(path="/another/webhook")}),
    ("easypost", {"headers": newer(digest="")}),
    # The older signature does not help where the newer one is there and wrong.
    ("easypost", {"headers": newer(digest=V1) | {"X-Hmac-Signature": f"hmac-sha256-hex={V1}"}}),
    ("shippo", {"headers": {"Shippo-Auth-Signature": f"t={NOON},v1={STAMPED}"}, "now": NOON + REPLAY_WINDOW + 1}),
    ("shippo", {"headers": {"Shippo-Auth-Signature": f"t={NOON},v1={STAMPED[:-1]}"}}),
    ("shippo", {"headers": {"Shippo-Auth-Signature": f"t={NOON}"}}),
    ("shippo", {"headers": {"Shippo-Auth-Signature": f"v1={STAMPED}"}}),
    ("shippo", {"headers": {"Shippo-Auth-Signature": "=,,t==,"}}),
    ("shippo", {"headers": {"Shippo-Auth-Signature": f"t={NOON},v1=0"}, "token": "s3cret"}),
    ("shippo", {"headers": {}, "token": "s3cre"}),
    ("shippo", {"headers": {}, "token": "ünï"}),
]


@pytest.mark.parametrize(("sender", "made"), FORGED)
def test_forged_stale_and_cut_off_ones_are_not_believed(sender: str, made: dict[str, Any]) -> None:
    assert not BY_NAME[sender].authentic(call(**made), "s3cret")


def test_a_secret_of_easypost_s_is_normalised_as_it_does_it() -> None:
    headers = {"X-Hmac-Signature": f"hmac-sha256-hex={V1_UNICODE}"}
    for written in ("clé-ﬁn-Ⅳ", "cle\u0301-fin-IV"):
        assert BY_NAME["easypost"].authentic(call(headers), written)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)
def test_the_simulators_sign_as_we_read(sender: Sender, secret: str) -> None:
    signer = {"easypost": simulated.easypost, "shippo": simulated.shippo}.get(sender.name, simulated.plain)
    signed = signer(Hook(f"http://127.0.0.1:1{PATH}", secret), BODY)
    assert sender.authentic(call(dict(signed), now=time.time()), secret)
    assert not sender.authentic(call(dict(signed), now=time.time()), secret + "x")


def test_behind_a_proxy_with_a_path_of_its_own() -> None:
    stamp, path = formatdate(NOON), f"/tokens{PATH}?a=b"
    digest = sign("s3cret", stamp, "POST", path, BODY)
    assert BY_NAME["easypost"].authentic(call(newer(stamp, path, digest)), "s3cret")
