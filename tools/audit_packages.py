"""Known vulnerabilities of what requirements.lock pins: `python tools/audit_packages.py` names each, and ends with 1 if there are any.

Asks the advisory service of the package index in use, through pip-audit. An index that has none, or that does not answer, is said
and is no failure: then nothing is known, which is not the same as nothing being wrong.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_PATIENCE = 300


def judged(report: dict[str, Any]) -> tuple[list[str], int]:
    """A sentence for each vulnerability in pip-audit's `report` and one about all of it, and the exit code."""
    packages = report["dependencies"]
    said = [
        f"{package['name']} {package['version']} has {vulnerability['id']}; {_remedy(vulnerability['fix_versions'])}."
        for package in packages
        for vulnerability in package.get("vulns", [])
    ]
    unknown = sum("skip_reason" in package for package in packages)
    if said:
        return [*said, f"{len(said)} known vulnerabilities in {len(packages)} packages."], 1
    if unknown == len(packages):
        return [
            "Nothing is known of any package: the package index in use has no advisory service. Audit them where it has."
        ], 0
    beside = f"; of {unknown} nothing is known" if unknown else ""
    return [f"No known vulnerabilities in {len(packages) - unknown} packages{beside}."], 0


def _remedy(fixed: list[str]) -> str:
    return f"fixed in {', '.join(fixed)}, run `make lock`" if fixed else "no release fixes it yet"


def main() -> int:
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(ROOT / "requirements.lock"), "--require-hashes"]
    command += ["--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)  # noqa: S603  # nothing of it comes from outside
        report = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        print("No package was audited: the package index in use does not answer. Audit them where it does.")
        return 0
    said, code = judged(report)
    print("\n".join(said))
    return code


if __name__ == "__main__":
    sys.exit(main())
