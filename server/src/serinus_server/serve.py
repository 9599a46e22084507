"""Runs an application on uvicorn, and turns signals into draining."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import socket
import sys
from collections.abc import AsyncIterator
from types import FrameType

import structlog
import uvicorn

from serinus_server.app import Application
from serinus_server.connection import guarded_protocol
from serinus_server.settings import Settings

_log = structlog.stdlib.get_logger(__name__)

# Longer than what load balancers keep, so that it is never the server that closes an idle
# connection just when a request is on its way.
_KEEP_ALIVE_SECONDS = 75

# How long a thread may keep the interpreter's lock while others want it. Python's own 5 ms, for each
# prediction that runs, would be the event loop's answer time for everything else.
_SWITCH_SECONDS = 0.0005


class _Server(uvicorn.Server):
    """uvicorn, but a signal drains first; Ctrl-C during the drain ends it."""

    def __init__(self, config: uvicorn.Config, application: Application) -> None:
        super().__init__(config)
        self._application = application
        self._loop = asyncio.get_running_loop()
        self._draining: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        self._loop.call_soon_threadsafe(self._drain, signal.Signals(sig))

    def _drain(self, received: signal.Signals) -> None:
        if self._draining is None:
            _log.info("told to stop", signal=received.name)
            self._draining = self._loop.create_task(self._application.drain())
        elif received is signal.SIGINT:  # wrappers repeat SIGTERM; only people repeat Ctrl-C
            self.should_exit = True

    async def run_until_ended(self, listener: socket.socket) -> None:
        """Serve on ``listener`` until the application ends, then finish what is in flight."""
        watcher = asyncio.create_task(self._watch())
        await self.serve(sockets=[listener])
        watcher.cancel()

    async def _watch(self) -> None:
        await self._application.wait_ended()
        self.should_exit = True


@contextlib.asynccontextmanager
async def _grpc_beside(application: Application) -> AsyncIterator[None]:
    """gRPC, where a port is set for it, until the application ends or the context does."""
    settings = application.settings
    if settings.grpc_port is None:
        yield
        return
    from serinus_server.protocols.grpc.server import GrpcServer  # only who wants it pays for it

    server = GrpcServer(application.service, settings.host, settings.grpc_port)
    await server.start()
    _log.info("listening for gRPC", host=settings.host, port=server.port)

    async def stop_when_ended() -> None:
        await application.wait_ended()
        await server.stop(settings.request_timeout)

    stopping = asyncio.create_task(stop_when_ended())
    try:
        yield
    finally:
        if application.has_ended:
            await stopping
        else:  # told twice to stop
            stopping.cancel()
            await server.stop(0)


async def serve(settings: Settings, listener: socket.socket) -> str | None:
    """Serve until told to stop (None), or until the model turns out unservable (the reason).

    Raises:
        OSError: the port for gRPC cannot be listened on.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    application = Application(settings)
    server = _Server(
        uvicorn.Config(
            application.asgi,
            http=guarded_protocol(settings.request_timeout, application.lanes),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=math.ceil(settings.request_timeout),
        ),
        application,
    )
    try:
        async with _grpc_beside(application):
            application.start()
            await server.run_until_ended(listener)
    finally:
        application.stop()
    return None if application.failure is None else str(application.failure)
