"""The operator's composition root: settings, ports, workers, watches, one supervisor.

Everything runs under one TaskGroup: when any part ends, the process does, and Kubernetes starts a
fresh one, which goes on from the status.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import httpx2
import structlog
from prometheus_client import disable_created_metrics
from pydantic import ValidationError

from serinus import __version__
from serinus.app.lease import Lease, LeaseLost, lease_ref
from serinus.app.logs import configure_logging
from serinus.app.probes import serve_probes, watch_lag
from serinus.app.resolver import BackgroundRegistry
from serinus.app.resync import resync
from serinus.app.settings import Settings, usage
from serinus.app.startup import stop_on_signals
from serinus.app.telemetry import Telemetry
from serinus.app.watch import Watch
from serinus.app.worker import Worker
from serinus.app.workqueue import WorkQueue
from serinus.core.observed import Defaults
from serinus.kube.client import connect
from serinus.kube.fence import Deposed, FencedKube
from serinus.kube.metered import MeteredKube
from serinus.metrics.prometheus import PrometheusSource
from serinus.metrics.scrape import ScrapeSource
from serinus.ports import ApiError, KubeApi, MetricSource, Registry
from serinus.reconcile.deps import Deps, Key, no_lease, no_rank, no_skew
from serinus.reconcile.gate import Gate
from serinus.registry.mlflow import MlflowRegistry

log = structlog.get_logger("serinus")

METRICS_TIMEOUT = 5.0
REGISTRY_TIMEOUT = 10.0
LAST_SECONDS = 10  # after the lead is lost; nothing is written in them


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
    settings: Settings,
    kube: KubeApi,
    metrics_http: httpx2.AsyncClient,
    registry: Registry,
    lease: Lease | None = None,
    clock_skew: Callable[[], timedelta] = no_skew,
) -> Deps:
    """The ports as the settings choose them. The pods are the second source behind Prometheus."""
    source: MetricSource = ScrapeSource(metrics_http)
    second: MetricSource | None = None
    if settings.prometheus_url:
        label = settings.prometheus_namespace_label
        source, second = PrometheusSource(settings.prometheus_url, metrics_http, label), source
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
        epoch=(lambda: lease.epoch) if lease is not None else no_lease,
        outrank=lease.outrank if lease is not None else no_rank,
        second=second,
        namespaces=settings.namespace_list,
        clock_skew=clock_skew,
    )


async def run(settings: Settings) -> None:
    """Runs until a signal or a failure.

    Raises:
        ApiError: no credentials, or the API server cannot be reached at the start.
        ExceptionGroup: what ended a part of it, and so the whole.
    """
    telemetry = Telemetry()
    stop = asyncio.Event()
    stop_on_signals(stop)
    client = await connect(settings.kubeconfig, clock=SystemClock())
    kube = MeteredKube(client, telemetry.request)
    lease = _make_lease(settings, kube)
    telemetry.watch_lease(lease)
    telemetry.watch_skew(client.skew)
    async with (
        httpx2.AsyncClient(timeout=METRICS_TIMEOUT) as metrics_http,
        httpx2.AsyncClient(timeout=REGISTRY_TIMEOUT) as http,
    ):
        registry = BackgroundRegistry(make_registry_client(settings, http))
        writer = FencedKube(kube, lease.fresh) if lease is not None else kube
        gate = Gate(writer)
        deps = make_deps(settings, gate, metrics_http, registry, lease, client.skew)
        watch = Watch(settings, client, deps.claims, gate, stop)
        work = _work(settings, deps, watch, telemetry, lease)
        try:
            await _supervise(settings, telemetry, stop, lease, work)
            if lease is not None:
                await lease.release()  # every writer has ended
        finally:
            await registry.close()
            await client.close()


def _make_lease(settings: Settings, kube: KubeApi) -> Lease | None:
    if not settings.leader_election:
        return None
    identity = f"{socket.gethostname()}_{secrets.token_hex(4)}"  # a restart is another candidate
    ref = lease_ref(settings.lease_place(), settings.instance)
    return Lease(kube, ref, identity, SystemClock(), settings.lease_times)


async def _supervise(
    settings: Settings,
    telemetry: Telemetry,
    stop: asyncio.Event,
    lease: Lease | None,
    work: Coroutine[Any, Any, None],
) -> None:
    """Everything under one TaskGroup: when a part fails, the rest is cancelled and the failure raised."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(watch_lag(telemetry))
            if settings.probe_port:
                group.create_task(serve_probes(settings, telemetry, lease))
            group.create_task(_until(stop))
            group.create_task(work)
    except* _Stopped:
        log.info("the operator stops")


async def _until(stop: asyncio.Event) -> NoReturn:
    await stop.wait()
    raise _Stopped


async def _work(
    settings: Settings, deps: Deps, watch: Watch, telemetry: Telemetry, lease: Lease | None
) -> None:
    """What only one operator does at a time: waits for its turn, then watches and reconciles."""
    if lease is not None:
        log.info("waiting for the Lease", lease=str(lease))
        await lease.acquire()
    telemetry.health.begun()
    queue: WorkQueue[Key] = WorkQueue()
    telemetry.watch_queue(queue)
    worker = Worker(queue, deps, telemetry)
    async with asyncio.TaskGroup() as group:
        if lease is not None:
            group.create_task(_or_die(lease.hold()))
        for _ in range(settings.workers):
            group.create_task(_or_die(worker.run()))
        group.create_task(resync(queue, deps, deps.namespaces, telemetry, deps.claims.replace))
        group.create_task(_watch(watch, queue))
        log.info("the operator runs", version=__version__, metrics=_source(settings))


async def _watch(watch: Watch, queue: WorkQueue[Key]) -> None:
    await watch.run(queue)
    raise _Stopped


async def _or_die(part: Coroutine[Any, Any, Any]) -> None:
    """When the lead is lost the process ends, even if another part does not let itself be cancelled."""
    try:
        await part
    except (LeaseLost, Deposed):
        signal.alarm(LAST_SECONDS)
        raise


def _source(settings: Settings) -> str:
    return settings.prometheus_url or "the pods, scraped directly"


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
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nobody asks for
    try:
        asyncio.run(run(settings))
    except ApiError as e:
        log.exception("the operator cannot start", error=str(e))
        return 1
    except ExceptionGroup as failures:
        for failure in _flat(failures):
            if isinstance(failure, LeaseLost | Deposed):
                log.error("another operator may lead now: this one ends", error=str(failure))  # noqa: TRY400  no trace
            else:
                log.exception("a part of the operator failed", exc_info=failure)
        return 1
    return 0


def _flat(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for failure in group.exceptions:
        if isinstance(failure, BaseExceptionGroup):
            yield from _flat(failure)
        else:
            yield failure
