"""The operator's composition root: settings, ports, workers, watches, one supervisor.

Everything runs under one TaskGroup: when any part ends, the process does, and Kubernetes starts a
fresh one, which goes on from the status.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

import httpx2
import kopf
import structlog
from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from pydantic import ValidationError

from serinus import __version__
from serinus.app.handlers import make_registry, make_settings
from serinus.app.resolver import BackgroundRegistry
from serinus.app.settings import Settings, usage
from serinus.app.startup import kinds_are_served, stop_on_signals
from serinus.app.telemetry import Telemetry, configure_logging
from serinus.app.worker import Worker, resync
from serinus.app.workqueue import WorkQueue
from serinus.core.observed import Defaults
from serinus.kube.client import KubeClient, connect
from serinus.metrics.prometheus import PrometheusSource
from serinus.metrics.scrape import ScrapeSource
from serinus.ports import ApiError, KubeApi, MetricSource, Registry
from serinus.reconcile.deps import Deps, Key
from serinus.registry.mlflow import MlflowRegistry

log = structlog.get_logger("serinus")

METRICS_TIMEOUT = 5.0
REGISTRY_TIMEOUT = 10.0


class SystemClock:
    """The only clock of the operator."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251


class _Stopped(Exception):
    """The end was asked for by a signal, or kopf ended by itself."""


def make_registry_client(settings: Settings, http: httpx2.AsyncClient) -> MlflowRegistry:
    """The registry that the settings name."""
    return MlflowRegistry(
        settings.mlflow_tracking_uri,
        http,
        settings.digest_limit,
        allow_files=settings.allow_file_uris,
    )


def make_deps(
    settings: Settings, kube: KubeApi, metrics_http: httpx2.AsyncClient, registry: Registry
) -> Deps:
    """The ports as the settings choose them."""
    source: MetricSource
    if settings.prometheus_url:
        label = settings.prometheus_namespace_label
        source = PrometheusSource(settings.prometheus_url, metrics_http, label)
    else:
        source = ScrapeSource(metrics_http)
    return Deps(
        kube=kube,
        metrics=source,
        registry=registry,
        clock=SystemClock(),
        defaults=Defaults(
            server_image=settings.server_image,
            gateway=settings.default_gateway,
            resync=settings.resync_interval,
        ),
        tracking_uri=settings.mlflow_tracking_uri_for_pods or settings.mlflow_tracking_uri or "",
    )


async def run(settings: Settings) -> None:
    """Runs until a signal or a failure.

    Raises:
        ApiError: no credentials, or the API server cannot be reached at the start.
    """
    telemetry = Telemetry()
    stop = asyncio.Event()
    stop_on_signals(stop)
    kube = await connect(settings.kubeconfig)
    async with (
        httpx2.AsyncClient(timeout=METRICS_TIMEOUT) as metrics_http,
        httpx2.AsyncClient(timeout=REGISTRY_TIMEOUT) as http,
    ):
        registry = BackgroundRegistry(make_registry_client(settings, http))
        deps = make_deps(settings, kube, metrics_http, registry)
        queue: WorkQueue[Key] = WorkQueue()
        worker = Worker(queue, deps, telemetry)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(settings.workers):
                    group.create_task(worker.run())
                group.create_task(resync(queue, deps, settings.namespace_list, telemetry))
                if settings.probe_port:
                    group.create_task(serve_probes(settings, telemetry))
                group.create_task(_watch(queue, settings, kube, stop))
                log.info("the operator runs", version=__version__, metrics=_source(settings))
        except* _Stopped:
            log.info("the operator stops")
        finally:
            await registry.close()
            await kube.close()


def _source(settings: Settings) -> str:
    return settings.prometheus_url or "the pods, scraped directly"


async def _watch(
    queue: WorkQueue[Key], settings: Settings, kube: KubeClient, stop: asyncio.Event
) -> None:
    if await kinds_are_served(kube, settings.namespace_list, stop):
        await _run_kopf(queue, settings, stop)
    raise _Stopped


async def _run_kopf(queue: WorkQueue[Key], settings: Settings, stop: asyncio.Event) -> None:
    """Runs the watches until ``stop``.

    Its own way to stop would first wait five seconds for every task of the process that it does not
    know, open connections to the probes among them; when cancelled it does not.
    """
    namespaces = settings.namespace_list
    stopping = asyncio.create_task(stop.wait())
    others = asyncio.all_tasks()  # with ``stopping``: kopf ends what is not among them
    tasks = await kopf.spawn_tasks(
        registry=make_registry(queue, settings),
        settings=make_settings(),
        standalone=True,
        clusterwide=not namespaces,
        namespaces=namespaces,
    )
    stop_on_signals(stop)  # instead of kopf's handlers, which it has just installed
    running = asyncio.create_task(kopf.run_tasks(tasks, ignored=others))
    try:
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        running.cancel()
        await asyncio.wait({running, stopping})
    if not running.cancelled():
        running.result()  # raises what ended it


async def serve_probes(settings: Settings, telemetry: Telemetry) -> None:
    """``/healthz`` says that the loop makes progress; ``/metrics`` tells the rest."""
    limit = 4 * settings.resync_interval.total_seconds() + 30

    async def healthz(_: web.Request) -> web.Response:
        trouble = telemetry.trouble(limit)
        return web.Response(status=503 if trouble else 200, text=f"{trouble or 'ok'}\n")

    async def metrics(_: web.Request) -> web.Response:
        body = generate_latest(telemetry.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.probe_host, settings.probe_port).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def main(argv: list[str] | None = None) -> int:
    """``python -m serinus.app``. Exit codes: 0 stopped, 1 failed, 2 bad settings."""
    args = sys.argv[1:] if argv is None else argv
    if args in (["-h"], ["--help"]):
        print(f"Settings come from the environment:\n\n{usage()}")  # noqa: T201
        return 0
    if args:
        print("no arguments are taken; see --help", file=sys.stderr)  # noqa: T201
        return 2
    try:
        settings = Settings()
    except ValidationError as e:
        for item in e.errors(include_url=False):
            name = "_".join(str(part) for part in item["loc"]).upper()
            variable = name if name == "KUBECONFIG" else f"SERINUS_{name}"
            print(f"{variable}: {item['msg'].removeprefix('Value error, ')}", file=sys.stderr)  # noqa: T201
        return 2
    configure_logging(settings)
    try:
        asyncio.run(run(settings))
    except ApiError as e:
        log.exception("the operator cannot start", error=str(e))
        return 1
    except ExceptionGroup as failures:
        for failure in failures.exceptions:
            log.exception("a part of the operator failed", exc_info=failure)
        return 1
    return 0
