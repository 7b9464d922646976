"""Serves the gateway: `python -m starter.gateway --port N`."""

import argparse
import asyncio

import uvicorn

from settings import Settings
from starter.gateway.app import app
from telemetry import garbage, logs
from telemetry.sdk import SdkMetrics
from telemetry.tracing import Tracing


async def main(settings: Settings, host: str, port: int) -> None:
    """Until it is told to end; prints `ready URL` when it takes requests. Port 0 is any free one."""
    logs.configure(settings)
    SdkMetrics(measured=False)
    tracing = Tracing(settings, "tokens-gateway")
    served = tracing.around(app(settings, interceptors=tracing.interceptors))
    config = uvicorn.Config(
        served, host=host, port=port, log_config=None, log_level="warning", access_log=False, lifespan="on"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():  # noqa: ASYNC110  # uvicorn tells of its start in no other way
        await asyncio.sleep(0.02)
    if server.started:
        garbage.settle()
        print(f"ready http://{host}:{server.servers[0].sockets[0].getsockname()[1]}", flush=True)
    await serving
    tracing.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=None, help="default: TOKENS_GATEWAY_PORT; 0 for any free one")
    arguments = parser.parse_args()
    settings = Settings()
    asyncio.run(main(settings, arguments.host, settings.gateway_port if arguments.port is None else arguments.port))
