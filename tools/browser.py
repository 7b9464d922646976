"""The Chromium in which the pages are tested: `python tools/browser.py` prints its path, and gets one where there is none.

Looked for in this order: TOKENS_CHROMIUM, the names by which systems install it, the one that playwright has. Got from
Debian's packages by root, else from playwright's site.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def found() -> Path | None:
    """The browser that is here, or None."""
    named = os.environ.get("TOKENS_CHROMIUM")
    if named:
        return Path(named)
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return Path(path)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
    return own if own.exists() else None


def got() -> Path | None:
    """The browser, after an attempt to install it where it is not here."""
    here = found()
    if here is not None:
        return here
    print("Getting Chromium, in which the pages are tested.", file=sys.stderr)
    if shutil.which("apt-get") and os.geteuid() == 0:
        commands = [
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-qq", "--yes", "--no-install-recommends", "chromium", "fonts-dejavu-core"],
        ]
    else:
        commands = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    for command in commands:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(command, check=False, stdout=sys.stderr, env=environment)  # noqa: S603  # what `found` says counts
    return found()


if __name__ == "__main__":
    browser = got()
    if browser is None:
        sys.exit("There is no Chromium here, and none could be got; install one, or name it with TOKENS_CHROMIUM.")
    print(browser)
