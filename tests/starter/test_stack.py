"""The embedded stack: its supervision with small stand-ins for the children, and the real one once."""

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio.client import Client, WorkflowHandle

from connection import TASK_QUEUE, data_converter
from settings import Settings
from starter import keys, supervision
from starter.stack import ROOT, Layout, Stack, StackError, connect_info, until_stopped
from starter.supervision import Child, Supervisor, Wanted, identity

pytestmark = pytest.mark.slow  # processes are started and killed for real

PATIENCE = 30.0
_PARTS = {"stack", "temporal", "vendor", "carrier", "directory", "mail", "gateway", "worker"}

_GOOD = """
    import signal, sys
    journal = open({journal!r}, "a", buffering=1)
    def end(*_):
        journal.write("end {name}\\n")
        sys.exit(0)
    signal.signal(signal.SIGTERM, end)
    journal.write("start {name}\\n")
    print("ready {name}", flush=True)
    while True:
        signal.pause()
"""
_DEAF = """
    import signal, subprocess, sys
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    own = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    print("own", own.pid, flush=True)
    print("ready", flush=True)
    while True:
        signal.pause()
"""
_SILENT = "import signal\nsignal.pause()"
_PARENT = """
    import asyncio, json, sys
    from pathlib import Path
    from starter.stack import until_stopped
    from tests.starter.test_stack import child, supervisor_of
    async def main(folder):
        async with supervisor_of(folder, []) as supervisor:
            await supervisor.start(child("server", folder))
            await supervisor.start(child("worker", folder))
            supervisor.ready()
            stopping = asyncio.create_task(until_stopped())
            await asyncio.sleep(0)
            print(json.dumps(supervisor.info["pids"]), flush=True)
            await stopping
    asyncio.run(main(Path(sys.argv[1])))
"""


def child(name: str, folder: Path, code: str = _GOOD, ports: tuple[Wanted, ...] = ()) -> Child:
    """A child that writes its start and end into `folder/journal`."""
    source = textwrap.dedent(code).replace("{name}", name).replace("{journal!r}", repr(str(folder / "journal")))
    return Child(name, f"the {name}", [sys.executable, "-I", "-S", "-c", source], dict(os.environ), ports=ports)


def supervisor_of(folder: Path, said: list[str], patience: float = PATIENCE, grace: float = PATIENCE) -> Supervisor:
    return Supervisor(folder / "state", said.append, backoff=(0.01, 0.02), patience=patience, grace=grace)


def journal(folder: Path) -> list[str]:
    path = folder / "journal"
    return path.read_text().splitlines() if path.exists() else []


def gone(pids: dict[str, int]) -> bool:
    return all(identity(pid) is None for name, pid in pids.items() if pid != os.getpid())


async def until(condition: Callable[[], object]) -> None:
    """Polls; the limit is only there so that a fault does not hang the run."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  # other processes tell of themselves in no other way
            await asyncio.sleep(0.01)


@asynccontextmanager
async def as_program(folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, int]]]:
    """A supervisor with two children in a process of its own, and the ids of all three."""
    command = [sys.executable, "-c", textwrap.dedent(_PARENT), str(folder)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield process, json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE))
    finally:
        if process.returncode is None:
            process.kill()
        await process.stdout.read()
        await process.wait()


@pytest.fixture
def foreign_port() -> Iterator[int]:
    """A port that another program has."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


# Starting and ending


async def test_they_start_in_order_and_end_in_reverse(tmp_path: Path) -> None:
    async with supervisor_of(tmp_path, []) as supervisor:
        for name in ("server", "gateway", "worker"):
            await supervisor.start(child(name, tmp_path))
        assert journal(tmp_path) == ["start server", "start gateway", "start worker"]
        pids = supervisor.info["pids"]
    assert journal(tmp_path)[3:] == ["end worker", "end gateway", "end server"]
    assert gone(pids)


async def test_others_are_told_of_it_only_while_it_is_ready(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with supervisor_of(tmp_path, []) as supervisor:
        await supervisor.start(child("server", tmp_path))
        assert connect_info(state) is None
        supervisor.ready()
        assert connect_info(state) == supervisor.info
        assert set(supervisor.info["pids"]) == {"stack", "server"}
        assert stat.S_IMODE((state / "stack.json").stat().st_mode) == 0o600
        assert (state / "logs" / "server.log").read_text() == "ready server\n"
    assert connect_info(state) is None
    assert not (state / "stack.json").exists()


@pytest.mark.parametrize(
    ("code", "patience", "complaint"),
    [
        (
            "import sys\nprint('hello', flush=True)\nsys.exit('no such table')",
            PATIENCE,
            r"^The worker ended while it was starting \(exit code 1\): no such table; see .*worker\.log\.$",
        ),
        (_SILENT, 0.05, "The worker was not ready within 0.05 s"),
    ],
)
async def test_one_that_does_not_get_ready_is_told_and_the_rest_ended(
    tmp_path: Path, code: str, patience: float, complaint: str
) -> None:
    async with supervisor_of(tmp_path, []) as supervisor:
        await supervisor.start(child("server", tmp_path))
        supervisor._patience = patience
        with pytest.raises(StackError, match=complaint):
            await supervisor.start(child("worker", tmp_path, code))
    assert journal(tmp_path) == ["start server", "end server"]


async def test_a_command_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="No such file or directory"):
        async with supervisor_of(tmp_path, []) as supervisor:
            await supervisor.start(Child("server", "the server", [str(tmp_path / "nowhere")], {}))


async def test_an_answer_counts_only_while_our_own_process_runs(tmp_path: Path) -> None:
    process: list[supervision._Running] = []

    async def somebody_answers() -> bool:
        running = process[0].process
        assert running is not None
        await running.wait()
        return True

    async with supervisor_of(tmp_path, []) as supervisor:
        process = supervisor._running
        dying = Child("server", "the server", [sys.executable, "-c", ""], {}, answers=somebody_answers)
        with pytest.raises(StackError, match="ended while it was starting"):
            await supervisor.start(dying)


async def test_what_ignores_sigterm_is_killed_with_its_own_children(tmp_path: Path) -> None:
    async with supervisor_of(tmp_path, [], grace=0.05) as supervisor:
        await supervisor.start(child("worker", tmp_path, _DEAF))
        said = (tmp_path / "state" / "logs" / "worker.log").read_text().split()
        pids = {"worker": supervisor.info["pids"]["worker"], "own": int(said[1])}
        assert all(identity(pid) for pid in pids.values())
    await until(lambda: gone(pids))


async def test_sigterm_to_the_parent_leaves_nothing(tmp_path: Path) -> None:
    async with as_program(tmp_path) as (process, pids):
        process.terminate()
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
        assert gone(pids)
    assert journal(tmp_path)[-2:] == ["end worker", "end server"]
    assert not (tmp_path / "state" / "stack.json").exists()


async def test_kill_9_of_the_parent_leaves_no_child_and_the_next_one_starts(tmp_path: Path) -> None:
    async with as_program(tmp_path) as (process, pids):
        assert connect_info(tmp_path / "state") is not None
        process.kill()
        await process.wait()
        await until(lambda: gone(pids))
    assert (tmp_path / "state" / "stack.json").exists()
    assert connect_info(tmp_path / "state") is None
    async with supervisor_of(tmp_path, []) as supervisor:
        await supervisor.start(child("server", tmp_path))


# One at a time


async def test_a_second_one_on_the_same_state_is_refused(tmp_path: Path) -> None:
    async with supervisor_of(tmp_path, []) as first:
        await first.start(child("server", tmp_path))
        first.ready()
        complaint = (
            rf"A stack already runs on .*state \(process {os.getpid()}\); end it first, or choose another TOKENS_STATE"
        )
        with pytest.raises(StackError, match=complaint):
            async with supervisor_of(tmp_path, []):
                pass
        assert connect_info(tmp_path / "state") == first.info
        assert journal(tmp_path) == ["start server"]
    async with supervisor_of(tmp_path, []):
        pass


async def test_a_taken_port_is_named_with_who_wants_it_and_what_changes_it(tmp_path: Path, foreign_port: int) -> None:
    wanted = Wanted(foreign_port, "the gateway", "TOKENS_GATEWAY_PORT")
    said = rf"^Port {foreign_port}, which the gateway wants, is taken .*set TOKENS_GATEWAY_PORT to another one, or 0 for any"
    with pytest.raises(StackError, match=said):
        async with supervisor_of(tmp_path, []) as supervisor:
            await supervisor.start(child("gateway", tmp_path, ports=(wanted,)))
    assert journal(tmp_path) == []


async def test_a_port_that_is_taken_in_between_is_told_just_the_same(
    tmp_path: Path, foreign_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "refuse_taken", lambda _wanted: None)
    wanted = Wanted(foreign_port, "the gateway", "TOKENS_GATEWAY_PORT")
    with pytest.raises(StackError, match="TOKENS_GATEWAY_PORT"):
        async with supervisor_of(tmp_path, []) as supervisor:
            await supervisor.start(child("gateway", tmp_path, "import sys\nsys.exit('bind')", (wanted,)))


def test_one_port_for_two_is_refused() -> None:
    port = supervision.choose(0, set())
    with pytest.raises(StackError, match=r"both Temporal and the gateway; set TOKENS_GATEWAY_PORT"):
        supervision.refuse_taken(
            [Wanted(port, "Temporal", "TOKENS_TEMPORAL_PORT"), Wanted(port, "the gateway", "TOKENS_GATEWAY_PORT")]
        )


def test_free_ports_are_given_out_once() -> None:
    chosen: set[int] = set()
    assert len({supervision.choose(0, chosen) for _ in range(50)}) == 50
    assert supervision.choose(7233, chosen) == 7233


def test_nor_to_a_stack_that_begins_before_they_are_used() -> None:
    port = supervision.choose(0, set())
    other = f"supervision._FREE_PORTS = ({port}, {port + 2}); print(supervision.choose(0, set()))"
    chosen = {
        int(subprocess.check_output([sys.executable, "-c", f"from starter import supervision; {other}"], cwd=ROOT))
        for _ in range(10)
    }
    assert not supervision.taken(port), "only promised"
    assert port not in chosen


# Afterwards


async def test_one_that_dies_is_started_again(tmp_path: Path) -> None:
    said: list[str] = []
    async with supervisor_of(tmp_path, said) as supervisor:
        await supervisor.start(child("worker", tmp_path))
        supervisor.ready()
        first = supervisor.info["pids"]["worker"]
        os.kill(first, signal.SIGKILL)
        await until(lambda: "The worker is back." in said)
        assert said[0] == "The worker ended (signal 9); starting it again in 0.01 s."
        second = supervisor.info["pids"]["worker"]
        assert second != first
        assert (connect_info(tmp_path / "state") or {})["pids"]["worker"] == second
    assert gone({"first": first, "second": second})
    assert journal(tmp_path) == ["start worker", "start worker", "end worker"]


async def test_one_that_dies_again_and_again_is_tried_with_growing_waits(tmp_path: Path) -> None:
    said: list[str] = []
    once = f"""
        import pathlib, signal, sys
        marker = pathlib.Path({str(tmp_path / "was-here")!r})
        if marker.exists():
            sys.exit("broken")
        marker.touch()
        print("ready", flush=True)
        signal.pause()
    """
    async with supervisor_of(tmp_path, said) as supervisor:
        await supervisor.start(child("worker", tmp_path, once))
        os.kill(supervisor.info["pids"]["worker"], signal.SIGKILL)
        await until(lambda: len(said) >= 3)
    assert "(exit code 1): broken" in said[1]
    assert [line.rsplit(" in ", 1)[1] for line in said[:3]] == ["0.01 s.", "0.02 s.", "0.02 s."]


async def test_orphans_are_ended_but_never_who_only_got_their_number(tmp_path: Path) -> None:
    sleeping = [sys.executable, "-c", _SILENT]
    orphan, stranger = [await asyncio.create_subprocess_exec(*sleeping) for _ in range(2)]
    try:
        state, said = tmp_path / "state", []
        state.mkdir()
        children = {
            "worker": {"pid": orphan.pid, "identity": identity(orphan.pid)},
            "gateway": {"pid": stranger.pid, "identity": "an earlier start"},
            "mail": {"pid": os.getpid(), "identity": None},
            "vendor": "nonsense",
        }
        (state / "stack.json").write_text(json.dumps({"children": children}))
        async with supervisor_of(tmp_path, said):
            assert await asyncio.wait_for(orphan.wait(), PATIENCE) == -signal.SIGTERM
            assert stranger.returncode is None
            assert said == ["Ended what an earlier stack had left running: worker."]
    finally:
        for process in (orphan, stranger):
            if process.returncode is None:
                process.kill()
            await process.wait()


async def test_a_record_with_a_reused_process_id_is_no_stack(tmp_path: Path) -> None:
    record = {"pids": {"stack": os.getpid()}, "started": "another start"}
    (tmp_path / "stack.json").write_text(json.dumps(record))
    assert connect_info(tmp_path) is None
    (tmp_path / "stack.json").write_text(json.dumps(record | {"started": identity(os.getpid())}))
    assert connect_info(tmp_path) == {"pids": {"stack": os.getpid()}}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pids": {}}', '{"pids": {"stack": "x"}, "started": "y"}'])
async def test_a_damaged_record_is_no_stack(tmp_path: Path, content: str) -> None:
    (tmp_path / "stack.json").write_text(content)
    assert connect_info(tmp_path) is None


async def test_until_stopped_returns_at_sigterm() -> None:
    waiting = asyncio.create_task(until_stopped())
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(waiting, PATIENCE)


# The real one


def real_settings(folder: Path) -> Settings:
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        state=folder / "state",
        temporal_port=0,
        ui_port=0,
        gateway_port=0,
        smtp_port=0,
    )


def test_every_part_is_told_the_others_addresses_and_no_secret_stands_in_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_API_KEY", "of another system")
    monkeypatch.setenv("TOKENS_POLICY__DELIVERY_LAST_DAY", "6")
    own_keys = keys.load_or_create(tmp_path)
    layout = Layout(real_settings(tmp_path), tmp_path, own_keys)
    info = layout.info()
    children = {one.name: one for one in (layout.temporal(tmp_path / "temporal"), *layout.parties(), *layout.own())}
    worker = children["worker"].environment
    assert worker["TEMPORAL_ADDRESS"] == info["temporal"]
    assert "TEMPORAL_API_KEY" not in worker
    assert worker["TOKENS_POLICY__DELIVERY_LAST_DAY"] == "6"
    assert [worker[f"TOKENS_{name}_URL"] for name in ("VENDOR", "CARRIER", "DIRECTORY")] == [
        info[name] for name in ("vendor", "carrier", "directory")
    ]
    assert info["codec"] in children["temporal"].command
    # The codec's key does stand in Temporal's command: the dev server takes it in no other way. It opens nothing else.
    assert info["codec"].endswith(f"/codec/{own_keys['codec_key']}")
    secrets = [*own_keys["payload_keys"].values(), *own_keys["webhook_secrets"].values(), own_keys["pin_pepper"]]
    secrets.append(own_keys["operator_key"])
    assert not any(secret in part for one in children.values() for part in one.command for secret in secrets)
    assert not any(name in children["vendor"].environment for name in keys.environment(own_keys))
    for party in ("vendor", "carrier", "directory"):
        hooks = tmp_path / f"webhooks-{party}.json"
        assert stat.S_IMODE(hooks.stat().st_mode) == 0o600
        assert str(hooks) in children[party].command
        given = json.loads(hooks.read_text())
        assert all(own_keys["webhook_secrets"][sender] == hook["secret"] for sender, hook in given.items())
        assert all(hook["url"].startswith(f"{info['gateway']}/v1/webhooks/") for hook in given.values())
    for only_there in ("demo_ehr_key", "codec_key"):
        assert [name for name, one in children.items() if own_keys[only_there] in one.environment.values()] == [
            "gateway"
        ]


async def test_a_taken_temporal_port_is_told_before_anything_starts(tmp_path: Path, foreign_port: int) -> None:
    settings = real_settings(tmp_path).model_copy(update={"temporal_port": foreign_port})
    with pytest.raises(StackError, match=r"which Temporal wants.*TOKENS_TEMPORAL_PORT"):
        async with Stack(settings, print):
            pass
    assert list((tmp_path / "state" / "logs").iterdir()) == []


async def client_of(info: dict[str, Any], settings: Settings) -> Client:
    made = Settings(
        _env_file=None,  # type: ignore[call-arg]
        payload_keys=keys.load_or_create(settings.state)["payload_keys"],
    )
    return await Client.connect(info["temporal"], data_converter=data_converter(made))


async def scheduled(client: Client) -> list[str]:
    """The ids of all schedules, of which there are four; the list is an instant behind."""
    found: list[str] = []
    for _ in range(50):
        found = [each.id async for each in await client.list_schedules()]
        if len(found) >= 4:
            break
        await asyncio.sleep(0.1)
    return found


async def status_of(journey: WorkflowHandle[Any, Any]) -> str:
    return (await asyncio.wait_for(journey.query("status"), PATIENCE))["status"]


def operators_get_in(info: dict[str, Any]) -> None:
    """By the key in its file, and by the address that the UI and the `temporal` command are given."""
    file = Path(info["operator_key_file"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    key = file.read_text().strip()
    payloads = {"payloads": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "eyJhIjoxfQ=="}]}
    with httpx.Client(timeout=PATIENCE) as http:
        sealed = http.post(f"{info['codec']}/encode", json=payloads)
        bare = f"{info['gateway']}/codec/decode"
        assert (http.post(bare, json=sealed.json())).status_code == 401
        opened = http.post(bare, json=sealed.json(), headers={"Authorization": f"Bearer {key}"})
        assert opened.json() == payloads
        let_in = http.post(info["sign_in"], data={"key": key}, headers={"Origin": info["gateway"]})
        assert let_in.status_code == 303
        settings = (http.get(f"{info['ui']}/api/v1/settings")).json()
        assert settings["Codec"]["Endpoint"] == info["codec"]


async def test_the_real_stack_carries_a_journey_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    settings, said = real_settings(tmp_path), []
    by_the_clock = settings.model_copy(update={"process_queue_every": "0 3 29 2 *"})  # not while this runs
    async with Stack(by_the_clock, said.append) as running:
        first = dict(running.info)
        assert set(first["pids"]) == _PARTS
        addresses = {
            "temporal",
            "ui",
            "gateway",
            "codec",
            "sign_in",
            "mailbox",
            "smtp",
            "vendor",
            "carrier",
            "directory",
            "mail_control",
        }
        assert set(first) == addresses | {
            "database_url",
            "namespace",
            "state",
            "mail",
            "import_folder",
            "desk",
            "operator_key_file",
            "seal_keys",
            "pids",
        }
        await asyncio.to_thread(operators_get_in, first)
        assert first["namespace"] == "default"
        assert (settings.state / "mail").is_dir()
        assert first["mail"] == str(settings.state / "mail")
        assert connect_info(settings.state) == first
        client = await client_of(first, settings)
        body = {"prescriber_id": "P-1001", "kind": "hard", "requested_by": "the prescriber"}
        journey = await client.start_workflow("TokenJourney", body, id="token-kept", task_queue=TASK_QUEUE)
        assert await status_of(journey) == "Requested"
        assert sorted(await scheduled(client)) == ["anchor-audit", "daily-digest", "process-queue", "reconcile"]
    assert gone(first["pids"])
    assert connect_info(settings.state) is None
    async with Stack(settings, said.append) as running:
        second = dict(running.info)
        client = await client_of(second, settings)
        assert await status_of(client.get_workflow_handle("token-kept")) == "Requested"
    assert gone(second["pids"])
    assert said == []
