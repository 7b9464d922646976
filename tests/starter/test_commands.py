"""The `tokens` command against the embedded stack, as a person types it: what it says, and its exit codes."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from domain.peers import incident_id, return_id
from tests import forked

pytestmark = pytest.mark.slow  # the whole stack, and a process for each command

TOKENS = [sys.executable, "-m", "starter.cli"]


class Terminal:
    """Where commands are typed: the environment in which a stack runs."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def run(self, *words: str) -> tuple[int, str]:
        """Exit code, and what stands on the screen."""
        return forked.tokens(*words, environment=self.environment)

    def tokens(self, *words: str) -> str:
        code, said = self.run(*words)
        assert code == 0, said
        return said

    def refused(self, *words: str) -> str:
        """The sentence with which a command is refused."""
        code, said = self.run(*words)
        assert code == 1, said
        assert said.endswith("."), said
        assert "\n" not in said
        return said

    def json(self, *words: str) -> Any:
        return json.loads(self.tokens(*words, "--json"))

    def press(self, serial: str) -> str:
        return self.tokens("simulate", "press", serial)

    def listed(self, command: str, good: Callable[[dict[str, Any]], Any]) -> list[dict[str, Any]]:
        """What it lists as soon as that is one row, and a good one: records are written an instant after what they speak of."""
        rows = self.json(command)
        for _ in range(20):
            if len(rows) == 1 and good(rows[0]):
                return rows
            rows = self.json(command)
        raise AssertionError(rows)

    def says(self, wanted: str, *words: str) -> None:
        """That it comes to say `wanted`, a pattern: Temporal's lists are written an instant later, too."""
        said = ""
        for _ in range(20):
            if re.search(wanted, said := self.tokens(*words)):
                return
        raise AssertionError(said)

    def active(self, name: str, prescriber: str) -> tuple[str, str]:
        """A hard token by nothing but commands: its journey and serial."""
        journey = f"token-hard-{name}"
        self.tokens("request", prescriber, "--kind", "hard", "--request-id", name)
        self.tokens("process", journey, "--operator", "Dana")
        for _ in range(7):  # after the cut-off, at a weekend, on a holiday it ships later
            if self.json("show", journey)["status"] == "Shipped":
                break
            self.tokens("fast-forward", journey, "1d")
        assert "delivered" in self.tokens("simulate", "parcel", journey, "delivered")
        serial = self.json("show", journey)["serial_number"]
        self.tokens("enroll", journey, "--serial", serial, "--passcode", self.press(serial))
        self.tokens("fast-forward", journey, "15m")
        assert self.json("show", journey)["status"] == "Active"
        return journey, serial


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    ports = {f"TOKENS_{name}_PORT": "0" for name in ("TEMPORAL", "UI", "GATEWAY", "SMTP")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TOKENS_", "TEMPORAL_"))}
    binary = (
        {"TOKENS_TEMPORAL_BINARY": os.environ["TOKENS_TEMPORAL_BINARY"]}
        if "TOKENS_TEMPORAL_BINARY" in os.environ
        else {}
    )
    environment = {**kept, **ports, **binary, "TOKENS_STATE": str(tmp_path_factory.mktemp("stack"))}
    with subprocess.Popen([*TOKENS, "up", "--json"], env=environment, stdout=subprocess.PIPE, text=True) as stack:
        assert stack.stdout
        try:
            assert json.loads(stack.stdout.readline())["temporal"]
            yield Terminal(environment)
        finally:
            stack.send_signal(signal.SIGTERM)
            assert stack.wait(60) == 0


def test_a_lost_token_is_replaced_and_found_again(terminal: Terminal) -> None:
    old, serial = terminal.active("lost", "P-1001")
    assert terminal.tokens("verify", old, "--passcode", terminal.press(serial)) == "Verified."
    assert "could not be verified" in terminal.refused("verify", old, "--passcode", "000000")
    assert terminal.tokens("stock", serial).endswith(f"is active, journey {old}.")
    assert "add --confirm" in terminal.refused("replace", old, "--reason", "lost")
    assert "send lost or faulty" in terminal.refused("replace", old, "--reason", "stolen", "--confirm")
    order = ("replace", old, "--reason", "lost", "--confirm", "--by", "Ann")
    replaced = terminal.json(*order)
    assert replaced["replaces"] == old
    # The same again answers the same.
    assert terminal.json(*order) == replaced
    new = terminal.json("show", replaced["journey_id"])
    assert (new["status"], new["replaces"]) == ("Requested", old)
    assert terminal.json("show", old)["status"] == "Deactivated"
    assert "it is Deactivated" in terminal.refused("verify", old, "--passcode", terminal.press(serial))

    [incident] = terminal.json("incident", "list")
    assert (incident["incident_id"], incident["status"]) == (incident_id(old), "Open")
    assert incident["due_day"] in terminal.tokens("incident", "list", "--json")
    assert "is Closed" in terminal.tokens("incident", "close", incident_id(old), "--by", "Ruth", "--note", "by phone")
    assert "closed already, by Ruth" in terminal.refused("incident", "close", incident_id(old), "--by", "Mo")
    assert "There is no incident nowhere" in terminal.refused("incident", "close", "nowhere")
    assert terminal.tokens("incident", "list") == "There are none."
    assert "Ruth" in terminal.tokens("incident", "list", "--all")

    assert terminal.tokens("stock", serial).endswith(f"is written off, journey {old}.")
    assert terminal.tokens("receive", serial, "--by", "Mo") == f"Received. Token {serial} of {old} is back."
    assert "it is returned" in terminal.refused("receive", serial, "--by", "Mo")
    assert "not in the inventory" in terminal.refused("receive", "HT-0")
    assert "not in the inventory" in terminal.refused("stock", "HT-0")
    [returned] = [row for row in terminal.json("returns", "--all") if row["serial_number"] == serial]
    assert (returned["status"], returned["received_by"]) == ("Received", "Mo")


def test_a_faulty_token_comes_back_by_mail(terminal: Terminal) -> None:
    journey, serial = terminal.active("faulty", "P-1002")
    assert "add --confirm" in terminal.refused("deactivate", journey, "--reason", "faulty")
    terminal.tokens("deactivate", journey, "--reason", "faulty", "--in-possession", "--confirm", "--by", "Ann")
    back = return_id(journey)
    [listed] = terminal.listed("returns", lambda row: row["return_id"] == back and row["tracking_number"])
    assert listed["status"] == "Awaited"
    assert serial in terminal.tokens("returns")
    assert "in_transit" in terminal.tokens("simulate", "parcel", back, "in_transit")
    terminal.listed("returns", lambda row: row["status"] == "On its way back")
    assert terminal.tokens("stock", serial).endswith(f"is coming back, journey {journey}.")
    terminal.tokens("receive", serial, "--by", "Mo", "--condition", "destroyed")
    assert terminal.tokens("stock", serial).endswith(f"is destroyed, journey {journey}.")
    assert terminal.tokens("returns") == "There are none."


def test_a_prescriber_leaves(terminal: Terminal) -> None:
    hard, soft = "token-hard-leaving", "token-soft-leaving"
    for kind in ("hard", "soft"):
        terminal.tokens("request", "P-1003", "--kind", kind, "--request-id", "leaving")
    terminal.tokens("process", soft, "--operator", "Dana")
    leaving = ("deactivate", "--prescriber", "P-1003", "--by", "Ann")
    assert "add --confirm" in terminal.refused(*leaving)
    outcomes = terminal.json(*leaving, "--confirm")["outcomes"]
    assert {(ended["journey_id"], ended["outcome"]) for ended in outcomes} == {
        (hard, "cancelled"),
        (soft, "cancelled"),
    }
    assert terminal.tokens(*leaving, "--confirm") == "P-1003 has no token."
    assert "P-9999 is not known" in terminal.refused("deactivate", "--prescriber", "P-9999", "--confirm")
    code, said = terminal.run("deactivate")
    assert code == 2
    assert "or --prescriber" in said


def test_of_both_kinds_one_may_be_refused(terminal: Terminal) -> None:
    terminal.tokens("request", "P-1008", "--kind", "hard", "--request-id", "first")
    both = ("request", "P-1008", "--kind", "both", "--request-id", "then")
    code, said = terminal.run(*both)
    assert code == 1
    assert "Requested: token-soft-then." in " ".join(said.split())
    assert "token-hard-then" not in said
    assert "already" in said
    code, said = terminal.run("request", "P-1008", "--kind", "both", "--request-id", "last")
    assert (code, len(said.strip().splitlines())) == (1, 2)
    assert "has a hard token" in said
    assert "has a soft token" in said
    for journey in ("token-hard-first", "token-soft-then"):
        terminal.tokens("cancel", journey)


def test_the_queue_is_listed_as_it_is_processed(terminal: Terminal) -> None:
    for name, prescriber, kind in (("q1", "P-1005", "hard"), ("q2", "P-1006", "soft"), ("q3", "P-1007", "hard")):
        terminal.tokens("request", prescriber, "--kind", kind, "--request-id", name)
    urgent_first = sorted(terminal.json("queue"), key=lambda row: (not row["urgent"], row["requested_at"]))
    assert terminal.json("queue") == urgent_first
    [row] = terminal.json("queue", "--limit", "1", "--kind", "soft")
    assert (row["journey_id"], row["urgent"], row["status"]) == ("token-soft-q2", False, "Requested")
    listed = terminal.tokens("queue")
    assert listed.index("token-hard-q1") < listed.index("token-soft-q2") < listed.index("token-hard-q3")

    report = terminal.json("queue", "--process", "--kind", "soft", "--operator", "Dana")
    assert [(each["journey_id"], each["outcome"]) for each in report["outcomes"]] == [("token-soft-q2", "processed")]
    terminal.says(r"\A(?![\s\S]*token-soft-q2)", "queue")
    said = terminal.tokens("queue", "--process", "--operator", "Dana")
    for row in urgent_first:
        if row["journey_id"] != "token-soft-q2":
            serial = terminal.json("show", row["journey_id"])["serial_number"]
            assert re.search(rf"{row['journey_id']} .*processed +token {serial}", said)
    terminal.says(r"^There are none\.$", "queue")
    assert terminal.tokens("queue", "--process", "--operator", "Dana") == "Nothing was waiting."
    assert "`operator`" in terminal.refused("queue", "--process", "--operator", " ")


def test_records_that_are_behind_are_found_and_then_mended(terminal: Terminal) -> None:
    terminal.tokens("request", "P-1012", "--kind", "soft", "--request-id", "r1")
    with closing(sqlite3.connect(Path(terminal.environment["TOKENS_STATE"]) / "tokens.db", timeout=30)) as records:
        records.execute("delete from journeys where journey_id = 'token-soft-r1'")
        records.commit()
    found = "token-soft-r1 +the records do not know the journey"
    would = rf"Left for the next run .*\n{found} +it would be written again\n0 repaired, 0 for a person, 1 left"
    terminal.says(would, "reconcile", "--limit", "0")
    did = rf"Repaired .*\n{found} +written again from what the workflow knows\n1 repaired, 0 for a person\.$"
    terminal.says(did, "reconcile")
    terminal.says(r"^0 repaired, 0 for a person\.$", "reconcile")


def test_stock_counts_every_token_once(terminal: Terminal) -> None:
    counted = terminal.json("stock")
    assert sum(row["tokens"] for row in counted) == 48
    assert not any(row["low"] for row in counted)
    assert len({(row["kind"], row["batch"], row["state"]) for row in counted}) == len(counted)
    assert re.search(r"in stock +\d+", terminal.tokens("stock"))
