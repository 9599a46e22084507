"""What is measured, in the order in which it is: one fleet that grows from size to size."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from bench.operator.cluster import eventually, server_cpu_seconds
from bench.operator.fleet import Fleet, observed, ready, serving
from bench.operator.process import OperatorProcess
from bench.proc import cpu_seconds, resident_mib
from serinus.sandbox.objects import Object

_LAG = "serinus_operator_loop_lag_seconds_bucket"
_RECONCILES = "serinus_operator_reconcile_seconds_count"
_RESYNCS = "serinus_operator_resyncs_total"
_REQUESTS = "serinus_operator_api_requests_total"
_WRITES = "serinus_operator_writes_total"


@dataclass(frozen=True, slots=True)
class Options:
    """``canaries`` advance at a time; the time at rest is measured for ``seconds``."""

    sizes: tuple[int, ...]
    canaries: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Load:
    """The operator's process over some time. ``lag_p99`` is the upper end of the histogram's bucket that
    the 99th percentile is in, in seconds."""

    seconds: float
    cpu: float  # seconds per second
    rss_mib: float
    lag_p99: float
    reconciles: float  # per second
    requests: float  # per second, without the watches
    writes: float  # per second, without the Lease
    server_cpu: float  # of the API server, seconds per second; NaN when it does not say


@dataclass(frozen=True, slots=True)
class Result:
    """One size. Times in seconds."""

    size: int
    new_ready: float  # from creating the missing ones until all serve
    new: int  # how many were missing
    start_to_observed: float  # from the process' start until the changed spec of all is observed
    first_observed: float
    rest: Load
    advance: Load  # from the canaries' start until the last is promoted
    acted_p50: float  # from a change of the spec until its canary is in the status
    acted_max: float
    promoted_p50: float
    promoted_max: float


async def measure(
    fleet: Fleet, operator: OperatorProcess, options: Options, say: Callable[[str], None]
) -> list[Result]:
    """Raises NotInTimeError when the operator does not do its work."""
    found = []
    for turn, size in enumerate(options.sizes):
        if operator.running:
            operator.stop()
        operator.start()
        await eventually("the operator leads", operator.leads, 120)
        new, began = size - len(fleet.keys), time.monotonic()
        await fleet.grow(size)
        await fleet.seconds_until("ready", fleet.keys, ready, 1800)
        new_ready = time.monotonic() - began
        say(f"{size}: {new} new ones ready after {new_ready:.1f} s")
        await _at_rest(operator, fleet)
        operator.stop()
        delay = f"{31 + turn}s"  # of no consequence, but a new generation
        await fleet.change(fleet.keys, {"rollout": {"scaleDownDelay": delay}})
        operator.start()
        took = await fleet.seconds_until("observed", fleet.keys, _with(delay), 1800)
        say(
            f"{size}: all observed {took[-1]:.1f} s after the start, the first after {took[0]:.1f} s"
        )
        await _at_rest(operator, fleet)
        await eventually("a later resync has begun", lambda: _resynced(operator), 120)
        begin = await _Moment.of(operator, fleet)
        await asyncio.sleep(options.seconds)
        rest = (await _Moment.of(operator, fleet)).since(begin)
        say(f"{size}: at rest {rest}")
        acted, promoted, advance = await _advance(fleet, operator, options)
        say(f"{size}: {options.canaries} canaries {advance}")
        found.append(
            Result(
                size=size,
                new_ready=new_ready,
                new=new,
                start_to_observed=took[-1],
                first_observed=took[0],
                rest=rest,
                advance=advance,
                acted_p50=median(acted),
                acted_max=max(acted),
                promoted_p50=median(promoted),
                promoted_max=max(promoted),
            )
        )
    return found


def _with(delay: str) -> Callable[[Object], bool]:
    """Whether this very spec is observed; the watch may still show the one before."""
    return lambda obj: observed(obj) and obj["spec"]["rollout"]["scaleDownDelay"] == delay


async def _advance(
    fleet: Fleet, operator: OperatorProcess, options: Options
) -> tuple[list[float], list[float], Load]:
    """Canaries of resources spread over all, until all are promoted."""
    stride = len(fleet.keys) // options.canaries
    keys = fleet.keys[stride // 2 :: stride][: options.canaries]
    uri = fleet.model(f"for-{len(fleet.keys)}")

    def canary(obj: Object) -> bool:
        return ((obj.get("status") or {}).get("canary") or {}).get("modelURI") == uri

    begin = await _Moment.of(operator, fleet)
    async with asyncio.TaskGroup() as group:
        acted = group.create_task(fleet.seconds_until("canaries", keys, canary, 300))
        promoted = group.create_task(fleet.seconds_until("promoted", keys, serving(uri), 900))
        await fleet.change(keys, {"model": {"uri": uri}})
    load = (await _Moment.of(operator, fleet)).since(begin)
    return acted.result(), promoted.result(), load


async def _at_rest(operator: OperatorProcess, fleet: Fleet) -> None:
    """No more writes for a while."""
    last = -1.0

    async def quiet() -> bool:
        nonlocal last
        before, last = last, (await _Moment.of(operator, fleet)).writes
        return last == before

    await eventually("the operator rests", quiet, 300, poll=5.0)


async def _resynced(operator: OperatorProcess) -> bool:
    """Only from the second listing on, objects have their turns spread over the interval."""
    found = {(name, labels.get("result")): n for name, labels, n in await operator.samples()}
    return found.get((_RESYNCS, "ok"), 0) >= 2


@dataclass(frozen=True, slots=True)
class _Moment:
    """What the process has done so far."""

    at: float
    cpu: float
    rss_mib: float
    lag: dict[float, float]  # bucket -> observations
    reconciles: float
    requests: float
    writes: float
    server_cpu: float

    @classmethod
    async def of(cls, operator: OperatorProcess, fleet: Fleet) -> _Moment:
        lag: dict[float, float] = {}
        total = {_RECONCILES: 0.0, _REQUESTS: 0.0, _WRITES: 0.0}
        for name, labels, value in await operator.samples():
            if name == _LAG:
                lag[float(labels["le"])] = value
            elif name in total and labels.get("resource") != "leases":
                total[name] += value
        return cls(
            at=time.monotonic(),
            cpu=cpu_seconds(operator.pid),
            rss_mib=resident_mib(operator.pid),
            lag=lag,
            reconciles=total[_RECONCILES],
            requests=total[_REQUESTS],
            writes=total[_WRITES],
            server_cpu=await server_cpu_seconds(fleet.admin),
        )

    def since(self, begin: _Moment) -> Load:
        seconds = self.at - begin.at
        counts = {bound: n - begin.lag.get(bound, 0.0) for bound, n in self.lag.items()}
        return Load(
            seconds=seconds,
            cpu=(self.cpu - begin.cpu) / seconds,
            rss_mib=self.rss_mib,
            lag_p99=quantile_bucket(0.99, counts),
            reconciles=(self.reconciles - begin.reconciles) / seconds,
            requests=(self.requests - begin.requests) / seconds,
            writes=(self.writes - begin.writes) / seconds,
            server_cpu=(self.server_cpu - begin.server_cpu) / seconds,
        )


def quantile_bucket(share: float, counts: dict[float, float]) -> float:
    """Upper bound of the bucket with this quantile; NaN without observations."""
    total = counts.get(math.inf, 0.0)
    if not total:
        return math.nan
    return min(bound for bound, count in counts.items() if count >= share * total)
