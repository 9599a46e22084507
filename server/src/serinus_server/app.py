"""The composition root: builds every part once, wires them, and walks through the lifecycle.

Everything here runs on the event loop, except the loading of the model, which has a thread of
its own so that health is answered meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serinus_server import garbage
from serinus_server.artifacts.limits import Limits as ModelLimits
from serinus_server.errors import LoadFailed, LoadTimeout, StartupError
from serinus_server.lane import Lanes
from serinus_server.protocols.codec import Request, answer
from serinus_server.protocols.endpoint import Limits
from serinus_server.protocols.mlflow import MlflowCodec
from serinus_server.protocols.openapi import Bounds, Documentation
from serinus_server.protocols.routes import Predictions, Service, routes, server_version
from serinus_server.runtimes.base import Runtime
from serinus_server.service.inference import Inference
from serinus_server.service.lifecycle import Event, Lifecycle, State
from serinus_server.service.limiter import Limiter
from serinus_server.service.loading import Loader, Source, warm_up
from serinus_server.service.model import Identity, ServedModel
from serinus_server.settings import Settings
from serinus_server.telemetry.metrics import Metrics
from serinus_server.telemetry.observer import Observer
from serinus_server.telemetry.stopwatch import Stopwatch

_log = structlog.stdlib.get_logger(__name__)

_TELL_SECONDS = 2.0  # for the last traces to be sent, at the process' end
_REMOVALS = 100


def load_mlflow(folder: Path, *, fast_paths: bool = True) -> Runtime:
    """The runtime for MLflow models; imported when it is needed, because that takes seconds."""
    import mlflow.pyfunc  # noqa: F401 - the largest part, and none of the model's

    from serinus_server.runtimes.load import load

    garbage.keep_imports()
    return load(folder, fast_paths=fast_paths)


class Application:
    """One server: its parts, its state, and the ASGI application that it is to the outside."""

    def __init__(
        self,
        settings: Settings,
        load_runtime: Callable[[Path], Runtime] | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.settings = settings
        self.failure: StartupError | None = None
        self._identity = Identity(settings.model_name, settings.model_version, settings.revision)
        self._observer = observer or Observer(0, None)
        self.metrics = Metrics(settings.model_name, settings.revision, settings.latency_bounds)
        self.lifecycle = Lifecycle(_log_change)
        limiter = Limiter(settings.max_concurrency)
        self.metrics.watch_in_flight(lambda: limiter.used)
        self.inference = Inference(self.lifecycle, limiter, settings.max_batch_rows)
        self.inference.timed = self._observer.watches
        self._load_runtime = load_runtime or partial(load_mlflow, fast_paths=settings.fast_paths)
        self._workspace: Path | None = None
        self._ended = asyncio.Event()
        self._watch = Stopwatch.start()
        self.service = service = Service(
            self.lifecycle,
            self.inference,
            self.metrics,
            self._identity,
            Limits(settings.max_request_bytes, settings.request_timeout, settings.max_elements),
            self._observer,
            Documentation(),
        )
        predictions = Predictions.of(service)
        self.lanes = Lanes(predictions.paths(self._identity))
        starlette = Starlette(routes=routes(service, predictions))
        starlette.router.redirect_slashes = False
        self.asgi: ASGIApp = _CloseWhenDraining(starlette, self.lifecycle)

    def start(self) -> None:
        """Begin to load the model; returns at once. Call it on the running event loop."""
        if not self.lifecycle.can(Event.LOAD):  # told to stop before it could begin
            return
        loop = asyncio.get_running_loop()
        self.lifecycle.apply(Event.LOAD)
        self._workspace = Path(tempfile.mkdtemp(prefix="serinus-model-"))  # mode 0700
        timeout = self.settings.load_timeout
        loop.call_later(
            timeout,
            self._fail,
            LoadTimeout(f"the model was not ready within the load timeout of {timeout:g} s"),
        )
        threading.Thread(
            target=self._load, args=(loop, self._workspace), name="load", daemon=True
        ).start()

    async def drain(self) -> None:
        """Ask for no more traffic, serve on for the drain time, then end."""
        if not self.lifecycle.can(Event.DRAIN):
            return
        was_serving = self.lifecycle.state is State.READY
        self.lifecycle.apply(Event.DRAIN)
        if was_serving:
            await asyncio.sleep(self.settings.drain_seconds)
        self._ended.set()

    @property
    def has_ended(self) -> bool:
        """Whether the server should stop listening."""
        return self._ended.is_set()

    async def wait_ended(self) -> None:
        """Wait until the server should stop listening: it drained, or it failed."""
        await self._ended.wait()

    def stop(self) -> None:
        """Let go of everything. After this only the process' end is left."""
        if self.lifecycle.can(Event.STOP):
            self.lifecycle.apply(Event.STOP)
        self.inference.close()
        self._observer.close(_TELL_SECONDS)
        if self._workspace is not None:
            _remove(self._workspace)

    def _load(self, loop: asyncio.AbstractEventLoop, workspace: Path) -> None:
        """Thread: load and warm up. Reports every step to the event loop, and waits for nothing."""
        settings = self.settings
        try:
            runtime, example = Loader(
                Source(
                    settings.model_uri,
                    settings.model_digest,
                    settings.allow_custom_code,
                    settings.tracking_uri,
                    ModelLimits(settings.max_model_bytes),
                    settings.load_timeout,
                ),
                self._identity.version,
                workspace,
                self.metrics,
                self._load_runtime,
            ).load()
            self._report(loop, self._advance, Event.LOADED)
            self._warm_up(runtime, example)
            self._describe(runtime, example)
            garbage.resume()
            self._report(loop, self._become_ready, runtime)
        except StartupError as error:
            self._report(loop, self._fail, error)
        except BaseException as error:  # noqa: BLE001 - the thread must never die silently
            _log.exception("unexpected error while loading")
            failure = LoadFailed(f"unexpected {type(error).__name__} while loading the model")
            self._report(loop, self._fail, failure)

    @staticmethod
    def _report(
        loop: asyncio.AbstractEventLoop, step: Callable[..., None], *arguments: object
    ) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the server has ended
            loop.call_soon_threadsafe(step, *arguments)

    def _warm_up(self, runtime: Runtime, example: bytes | None) -> None:
        if example is None:
            _log.warning("no warm-up: the model was logged without an input example")
            return
        codec = MlflowCodec()
        model = ServedModel(runtime, self._identity, lambda _: None)  # no live rows
        request = Request(example)
        warm_up(lambda: answer(codec, model, request), self.settings.warmup_requests, self.metrics)

    def _describe(self, runtime: Runtime, example: bytes | None) -> None:
        settings = self.settings
        model = ServedModel(runtime, self._identity, lambda _: None)  # no live rows
        bounds = Bounds(self.service.limits, settings.max_concurrency)
        self.service.documentation.describe(
            model, bounds, server_version(), example, ask=settings.warmup_requests > 0
        )

    def _advance(self, event: Event) -> None:
        """Loading goes on, unless the server was told to stop or ran out of time meanwhile."""
        if self.lifecycle.can(event):
            self.lifecycle.apply(event)

    def _become_ready(self, runtime: Runtime) -> None:
        if self.lifecycle.state is not State.WARMING:
            return
        self.inference.open(ServedModel(runtime, self._identity, self.metrics.observe_rows))
        self.metrics.model_ready(self._watch.seconds)
        self.lifecycle.apply(Event.WARMED)

    def _fail(self, failure: StartupError) -> None:
        if not self.lifecycle.can(Event.FAIL):
            return
        self.failure = failure
        self.lifecycle.apply(Event.FAIL)
        self._ended.set()


class _CloseWhenDraining:
    """Tells clients of a draining server to use another connection, and with it another pod."""

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle) -> None:
        self._app = app
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and self._lifecycle.state is State.DRAINING:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, closing)


def _remove(folder: Path) -> None:
    """Remove ``folder``, in which a loading thread, which cannot be interrupted, may still write."""
    for _ in range(_REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
    _log.warning("the model's files are left behind")


def _log_change(old: State, new: State) -> None:
    _log.info("state changed", old=str(old), new=str(new))
