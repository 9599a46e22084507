"""Reads the metrics that are due, and asks the pods themselves while their source does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

from serinus.api.spec import ModelDeploymentSpec
from serinus.api.status import Arm, ModelDeploymentStatus
from serinus.core import analysis
from serinus.core.observed import Measurement, QueryFailed, Reading
from serinus.core.revision import latency_bounds, short
from serinus.ports import MetricSource, SeriesQuery
from serinus.reconcile.deps import Deps, Key
from serinus_server import contract

BASELINE_AGE = timedelta(minutes=5)

_Arms = tuple[Reading, Reading]  # canary, stable


async def measure(
    deps: Deps,
    key: Key,
    spec: ModelDeploymentSpec,
    status: ModelDeploymentStatus,
    endpoints: Mapping[str, tuple[str, ...]],
    now: datetime,
) -> Measurement | None:
    """Both arms over the window that is due, if one is; ``endpoints`` are addresses by short revision.

    While the source is known not to answer, both sources are asked at the same time. At its first
    failure the pods are asked right after it: a pod only tells what it has counted so far, so the
    sooner the first sample, the sooner there is a difference.
    """
    window = analysis.due(spec, status, now)
    canary, stable, rollout = status.canary, status.stable, status.rollout
    if window is None or canary is None or stable is None or rollout is None:
        return None
    # Older samples than a staleness before the slot cannot be its baseline.
    start = max(window.floor, window.start - BASELINE_AGE)
    bounds = latency_bounds(spec)

    def query(arm: Arm) -> SeriesQuery:
        revision = short(arm.revision)
        targets = tuple(_host_port(a) for a in endpoints.get(revision, ()))
        return SeriesQuery(key.namespace, key.name, revision, start, window.end, targets, bounds)

    async def ask(source: MetricSource) -> _Arms:
        first, second = await asyncio.gather(
            _read(source, query(canary)), _read(source, query(stable))
        )
        return first, second

    backup: _Arms | None = None
    if deps.second is not None and rollout.unavailable_since is not None:
        told, backup = await asyncio.gather(ask(deps.metrics), ask(deps.second))
    else:
        told = await ask(deps.metrics)
        if deps.second is not None and any(isinstance(arm, QueryFailed) for arm in told):
            backup = await ask(deps.second)
    return Measurement(window=window, canary=told[0], stable=told[1], backup=backup)


async def _read(source: MetricSource, query: SeriesQuery) -> Reading:
    try:
        return await source.read(query)
    except Exception as e:  # noqa: BLE001  whatever a source does, guards and deadlines go on
        return QueryFailed(f"the metric source failed: {type(e).__name__}: {e}"[:300])


def _host_port(address: str) -> str:
    return f"[{address}]:{contract.PORT}" if ":" in address else f"{address}:{contract.PORT}"
