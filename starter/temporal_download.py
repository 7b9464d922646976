"""Has the Temporal SDK download its own dev server into a folder: `python -m starter.temporal_download FOLDER`.

A process of its own, because the SDK can't be told to give up: whoever starts it ends it.
"""

import asyncio
import os
import platform
import sys
from importlib.metadata import version

import httpx
from temporalio.testing import WorkflowEnvironment

SITE = "https://temporal.download/cli/default"
"""Where the SDK asks which archive to fetch; the answer names the archive's address."""
_PATIENCE = 3.0
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def reachable() -> bool:
    """Whether the download would get anywhere: its site and the archive it names both answer within seconds."""
    query = {
        "arch": _ARCHITECTURES.get(platform.machine().lower(), ""),
        "platform": sys.platform,
        "format": "tar.gz",
        "sdk-name": "sdk-python",
        "sdk-version": version("temporalio"),
    }
    try:
        with httpx.Client(timeout=_PATIENCE, follow_redirects=True) as http:
            answer = http.get(SITE, params=query).raise_for_status().json()
            return http.head(answer["archiveUrl"]).is_success
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return False


async def main(folder: str) -> None:
    """Downloads into `folder`, which then holds one executable, and starts it once to see that it works."""
    async with await WorkflowEnvironment.start_local(download_dest_dir=folder):
        pass


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
    os._exit(0)  # a client's background thread now and then crashes Python at exit
