"""``/healthz``: the process makes progress. ``/readyz``: it can do its work. ``/metrics``: the rest."""

from __future__ import annotations

import asyncio

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from serinus.app.lease import Lease
from serinus.app.settings import Settings
from serinus.app.telemetry import Telemetry

LAG_INTERVAL = 0.5


async def serve_probes(settings: Settings, telemetry: Telemetry, lease: Lease | None) -> None:
    """Serves until cancelled.

    Raises:
        OSError: the port cannot be had.
    """
    limit = 4 * settings.resync_interval.total_seconds() + 30
    health = telemetry.health

    async def healthz(_: web.Request) -> web.Response:
        return _answer(health.trouble(limit, lease))

    async def readyz(_: web.Request) -> web.Response:
        return _answer(health.unready(lease))

    async def metrics(_: web.Request) -> web.Response:
        body = generate_latest(telemetry.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes(
        [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.probe_host, settings.probe_port).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


async def watch_lag(telemetry: Telemetry, interval: float = LAG_INTERVAL) -> None:
    """Measures for ever by how much the event loop is late."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + interval
        await asyncio.sleep(interval)
        telemetry.lagged(max(0.0, loop.time() - due))


def _answer(problem: str) -> web.Response:
    return web.Response(status=503 if problem else 200, text=f"{problem or 'ok'}\n")
