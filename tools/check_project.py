"""Rules of the project that no linter knows: `python tools/check_project.py` prints a sentence for each breach and ends with 1.

What is checked: no tracked file names a package index or a folder of somebody's machine; requirements.lock is in step with
pyproject.toml; the top-level packages import each other only as the table in docs/architecture.md allows; no workflow reads
a clock, randomness, files or the network; whatever speaks over the network has a timeout and checks certificates.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent

MAY_IMPORT = {
    "domain": set(),
    "database": {"domain"},
    "activities": {"domain", "database"},
    "workflows": {"domain", "activities"},
    "simulators": {"domain"},
    "telemetry": {"domain", "database", "activities", "settings"},
    "starter": {"domain", "database", "activities", "workflows", "simulators", "telemetry", "connection", "settings"},
    "settings": {"domain"},
    "connection": {"settings", "workflows"},
    "worker": {"domain", "database", "activities", "workflows", "telemetry", "connection", "settings"},
    "tools": {"domain", "database", "simulators", "starter", "connection", "settings"},
    "benchmarks": {"domain", "database", "activities", "workflows", "simulators", "telemetry", "starter", "tools"}
    | {"connection", "settings", "worker"},
}
"""Top-level package or module to the others that it may import: the table in docs/architecture.md."""

_IMPURE = {
    "asyncio.sleep": "workflow.sleep",
    "datetime.now": "workflow.now()",
    "datetime.utcnow": "workflow.now()",
    "datetime.today": "workflow.now()",
    "date.today": "workflow.now()",
    "uuid.uuid1": "workflow.uuid4()",
    "uuid.uuid4": "workflow.uuid4()",
}
"""What a workflow may not call, and what it calls instead."""
_NOT_IN_WORKFLOWS = {"httpx", "io", "os", "pathlib", "random", "requests", "secrets", "shutil", "smtplib", "socket"} | {
    "sqlalchemy",
    "subprocess",
    "threading",
    "time",
    "urllib",
}

_CONNECTING = {
    f"httpx.{name}" for name in ("AsyncClient", "Client", "delete", "get", "patch", "post", "put", "request", "stream")
} | {
    "smtplib.SMTP",
    "smtplib.SMTP_SSL",
    "socket.create_connection",
    "urllib.request.urlopen",
}
"""What speaks over the network and waits for as long as it takes, unless it is told otherwise."""
_ANY_CERTIFICATE = ("CERT_NONE", "_create_unverified_context")

# Put together here so that this file does not name them itself.
_DOT = re.escape(".")
_INDEXES = re.compile(
    _DOT.join(("pypi", "org"))
    + "|"
    + _DOT.join(("pythonhosted", "org"))
    + "|"
    + _DOT.join(("registry", "npmjs", "org"))
    + "|"
    + _DOT.join(("proxy", "golang", "org"))
    + "|"
    + _DOT.join(("sum", "golang", "org"))
    + r"|--(?:extra-)?index"
    + r"-url\s",
    re.IGNORECASE,
)
_MACHINE = re.compile(r"(?<![\w.$}*-])/(?:" + "|".join(("root", "work", "home", "Users")) + r")/[\w.-]")


def tracked() -> list[Path]:
    """Files that git knows or would take up, beside binary ones."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607  # whichever git is used
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode != 0:  # an unpacked archive, not a clone
        return sorted(path for path in ROOT.rglob("*") if path.is_file() and not _own(path.relative_to(ROOT)))
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def _own(path: Path) -> bool:
    return any(
        part in ("__pycache__", "build") or part.endswith(".egg-info") or part.startswith(".") for part in path.parts
    )


def addresses(files: Iterable[Path]) -> Iterator[str]:
    """Package indexes and machine paths in the text of `files`."""
    for path in files:
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, 1):
            where = f"{path.relative_to(ROOT)}:{number}"
            if found := _INDEXES.search(line):
                yield f"{where} names a package index ({found[0].strip()}); which one is used is up to each machine."
            if found := _MACHINE.search(line):
                yield f"{where} names a folder of one machine ({found[0]}…); make it relative, or a setting."


def lock(project: str, locked: str) -> Iterator[str]:
    """Direct dependencies of `project` (pyproject.toml) that `locked` (requirements.lock) does not pin, or pins to another version."""
    pins = {
        canonicalize_name(name): version
        for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", locked, re.MULTILINE)
    }
    content = tomllib.loads(project)
    groups = [content["project"]["dependencies"], *content.get("dependency-groups", {}).values()]
    for text in (text for group in groups for text in group):
        wanted = Requirement(text)
        pin = pins.get(canonicalize_name(wanted.name))
        if pin is None:
            yield f"requirements.lock lacks {wanted.name}; run `make lock`."
        elif not wanted.specifier.contains(pin, prereleases=True):
            yield f"requirements.lock pins {wanted.name} to {pin}, but pyproject.toml wants {wanted.specifier}; run `make lock`."
    blocks = re.split(r"^(?=[A-Za-z0-9])", locked, flags=re.MULTILINE)
    for block in blocks:
        if "==" in block.split("\n", 1)[0] and "--hash=" not in block:
            yield f"requirements.lock pins {block.split('==')[0]} without a hash; run `make lock`."


def layers(files: Iterable[Path]) -> Iterator[str]:
    """Imports between the top-level packages that the table does not allow."""
    for path in files:
        place = path.relative_to(ROOT)
        owner = place.parts[0].removesuffix(".py")
        if path.suffix != ".py" or owner not in MAY_IMPORT:
            continue
        for name, line in _imports(ast.parse(path.read_text())):
            imported = name.split(".")[0]
            if imported in MAY_IMPORT and imported != owner and imported not in MAY_IMPORT[owner]:
                yield f"{place}:{line} imports {name}, which {owner} may not (see the table in docs/architecture.md)."


def determinism(files: Iterable[Path]) -> Iterator[str]:
    """Imports and calls in workflows that would give another result at replay."""
    for path in files:
        place = path.relative_to(ROOT)
        if path.suffix != ".py" or place.parts[0] != "workflows":
            continue
        tree = ast.parse(path.read_text())
        for name, line in _imports(tree):
            if name.split(".")[0] in _NOT_IN_WORKFLOWS:
                yield f"{place}:{line} imports {name}, but a workflow reads no clock, randomness, files or network: use an activity."
            if name in _IMPURE:
                yield f"{place}:{line} imports {name}; use {_IMPURE[name]} instead."
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called = ".".join(ast.unparse(node.func).split(".")[-2:])
                if called in _IMPURE:
                    yield f"{place}:{node.lineno} calls {called}; use {_IMPURE[called]} instead."
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("open", "input"):
                yield f"{place}:{node.lineno} calls {node.func.id}(), but a workflow does no I/O: use an activity."


def network(files: Iterable[Path]) -> Iterator[str]:
    """Clients over the network that would wait for ever, or take any certificate."""
    for path in files:
        place = path.relative_to(ROOT)
        if path.suffix != ".py" or place.parts[0] == "tests":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in _ANY_CERTIFICATE:
                yield f"{place}:{node.lineno} takes any certificate ({node.attr}); use ssl.create_default_context()."
            if not isinstance(node, ast.Call):
                continue
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            called = ast.unparse(node.func)
            timeout = given.get("timeout")
            if called in _CONNECTING and (timeout is None or _is(timeout, None)):
                yield f"{place}:{node.lineno} calls {called} without a timeout; give it one, as a party may hang."
            if "verify" in given and _is(given["verify"], False):
                yield f"{place}:{node.lineno} takes any certificate; leave verify out, or name the party's own authority."


def _is(node: ast.expr, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Full names of what is imported from anywhere, with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def main() -> int:
    """Prints the breaches; 1 if there are any."""
    files = tracked()
    breaches = [
        *addresses(files),
        *lock((ROOT / "pyproject.toml").read_text(), (ROOT / "requirements.lock").read_text()),
        *layers(files),
        *determinism(files),
        *network(files),
    ]
    for breach in breaches:
        print(breach)
    print(f"Project rules: {len(files)} files read, {len(breaches)} breaches.")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
