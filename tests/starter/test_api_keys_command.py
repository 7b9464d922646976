"""`tokens keys create`, `list` and `revoke` as a person types them."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from starter import api_keys
from starter.api_keys import Scope
from tests.starter.test_signing import Terminal

pytestmark = pytest.mark.slow  # a process for each command


def test_a_key_is_made_shown_once_listed_and_revoked(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)

    def told(*words: str) -> dict[str, object] | list[dict[str, object]]:
        code, said = terminal.run("keys", *words, "--json")
        assert code == 0, said
        return json.loads(said)

    assert told("list") == []
    made = told("create", "EHR production", "--scope", "verify", "--scope", "read", "--scope", "read")
    assert isinstance(made, dict)
    key_id, _, secret = str(made["key"]).partition(".")
    assert made == {
        "key": f"{key_id}.{secret}",
        "key_id": key_id,
        "name": "EHR production",
        "scopes": ["read", "verify"],
    }
    caller = api_keys.caller_of(terminal.sessions, key_id, secret)
    assert caller is not None
    assert caller.scopes == {Scope.READ, Scope.VERIFY}
    listed = told("list")
    assert isinstance(listed, list)
    assert [(key["key_id"], key["scopes"], key["revoked_at"]) for key in listed] == [(key_id, ["read", "verify"], None)]
    assert secret not in json.dumps(listed)

    code, said = terminal.run("keys", "revoke", key_id)
    assert (code, said) == (0, f"Revoked: {key_id} of EHR production.")
    assert api_keys.caller_of(terminal.sessions, key_id, secret) is None
    first = told("list")
    assert isinstance(first, list)
    datetime.fromisoformat(str(first[0]["revoked_at"]))
    again = told("revoke", key_id)  # harmless, and the first time stands
    assert isinstance(again, dict)
    assert again["revoked_at"] == first[0]["revoked_at"]

    code, said = terminal.run("keys", "revoke", "tok-unknown")
    assert (code, said) == (1, "There is no key tok-unknown; look its id up with `tokens keys list`.")
    for words in (("create", "EHR"), ("create", "EHR", "--scope", "everything"), ("create", "--scope", "read")):
        assert terminal.run("keys", *words)[0] == 2
    code, said = terminal.run("keys", "create", " ", "--scope", "read")
    assert code == 1
    assert "a key needs the name of the system that holds it" in said
    terminal.engine.dispose()
