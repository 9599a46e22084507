"""Runs an application on uvicorn, and turns signals into draining."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from types import FrameType

import structlog
import uvicorn

from serinus_server.app import Application
from serinus_server.connection import guarded_protocol
from serinus_server.crowd import Crowd, most_connections, raise_file_limit
from serinus_server.settings import Settings
from serinus_server.telemetry.logs import Logs
from serinus_server.telemetry.observer import Observer
from serinus_server.telemetry.tracing import TracesImpossible, wants_traces

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
        with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended already
            self._loop.call_soon_threadsafe(self._drain, signal.Signals(sig))

    def take_signals(self) -> None:
        """Handle signals from now on, and until the process ends.

        uvicorn does so only while it serves; before and after that, there are files to remove.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.handle_exit)

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


def _observer(settings: Settings, logs: Logs | None) -> Observer:
    """The access log and traces. What is wrong with those keeps no model from being served."""
    traces = None
    try:
        if wants_traces(os.environ):
            from serinus_server.telemetry.traces import Traces  # only who wants them pays for them

            traces = Traces(settings.model_name, settings.model_version, settings.revision)
    except TracesImpossible as error:
        _log.warning("no traces", reason=str(error))
    except ImportError as error:
        _log.warning("no traces: install serinus[tracing]", missing=error.name)
    except Exception as error:  # noqa: BLE001 - what the SDK makes of its variables
        _log.warning("no traces", reason=f"{type(error).__name__}: {error}")
    return Observer(settings.access_log_sample, logs, traces)


async def serve(
    settings: Settings, listener: socket.socket, logs: Logs | None = None
) -> str | None:
    """Serve until told to stop (None), or until the model turns out unservable (the reason).

    Raises:
        OSError: the port for gRPC cannot be listened on.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    crowd = Crowd(most_connections(settings.max_connections, raise_file_limit()))
    application = Application(settings, observer=_observer(settings, logs))
    server = _Server(
        uvicorn.Config(
            application.asgi,
            http=guarded_protocol(settings.request_timeout, application.lanes, crowd),
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
    server.take_signals()
    try:
        async with _grpc_beside(application):
            application.start()
            await server.run_until_ended(listener)
    finally:
        application.stop()
    return None if application.failure is None else str(application.failure)
