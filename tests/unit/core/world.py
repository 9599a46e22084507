"""A world of pure state for the core: applies plans at once, counts requests, moves time by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from serinus.api.spec import GatewayRef, ModelDeploymentSpec
from serinus.api.status import ModelDeploymentStatus, PinnedModel
from serinus.core import analysis
from serinus.core.decide import decide
from serinus.core.observed import (
    Commands,
    Defaults,
    Invalid,
    Measurement,
    Observed,
    QueryFailed,
    Reading,
    ResolveFailed,
    RouteSeen,
    Series,
    Workload,
)
from serinus.core.plan import (
    EnsureRoute,
    EnsureService,
    EnsureWorkload,
    Event,
    Plan,
    RemoveRevision,
    Reweigh,
)
from serinus.core.revision import short
from serinus_server import contract

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)

SPEC = {
    "model": {"uri": "models:/churn/1"},
    "server": {"replicas": 2},
    "traffic": {"hostnames": ["churn.example.com"]},
    "rollout": {
        "steps": [{"weight": 10, "hold": "30s"}, {"weight": 50, "hold": "30s"}],
        "progressDeadline": "2m",
        "scaleDownDelay": "20s",
    },
    "analysis": {
        "interval": "10s",
        "failureThreshold": 3,
        "minRequests": 50,
        "metrics": [
            {"name": "errors", "type": "ErrorRate", "max": "0.01"},
            {"name": "latency", "type": "Latency", "max": "250ms"},
        ],
    },
}


@dataclass
class Behaviour:
    """How pods of one model version answer: shares of errors and of slow answers."""

    errors: float = 0.0
    slow: float = 0.0
    ready: bool = True
    at_most: int | None = None  # pods that get ready


@dataclass
class World:
    """One ModelDeployment and everything around it."""

    spec: dict = field(default_factory=lambda: {**SPEC})
    now: datetime = START
    status: ModelDeploymentStatus = field(default_factory=ModelDeploymentStatus)
    behaviour: dict[str, Behaviour] = field(default_factory=dict)  # by model version
    rate: float = 100.0  # requests per second
    replicas: dict[str, int] = field(default_factory=dict)
    services: set[str] = field(default_factory=set)
    weights: dict[str, int] | None = None
    fence: str = ""
    route_drifted: bool = False  # somebody else wrote to the route
    confirmed: bool = True
    source_down: bool = False
    second_source: bool = False  # the pods can be asked themselves, and answer
    commands: Commands = field(default_factory=Commands)
    rival: str = ""
    epoch: int = 0
    clock_skew: timedelta = timedelta(0)
    invalid: str = ""  # why the spec cannot be read
    unregistered: set[str] = field(default_factory=set)
    versions: dict[str, str] = field(default_factory=dict)  # short -> model version
    samples: dict[str, list[tuple[datetime, float, float, float]]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    trace: list[dict[str, int] | None] = field(default_factory=list)
    writes: int = 0

    def model(self, version: str) -> None:
        """The user asks for another model version."""
        self.spec = {**self.spec, "model": {"uri": f"models:/churn/{version}"}}

    def version(self, key: str) -> Behaviour:
        return self.behaviour.setdefault(self.versions.get(key, "?"), Behaviour())

    def ready(self, key: str) -> int:
        how = self.version(key)
        wanted = self.replicas.get(key, 0) if how.ready else 0
        return wanted if how.at_most is None else min(wanted, how.at_most)

    def observe(self) -> Observed:
        spec = ModelDeploymentSpec.model_validate(self.spec)
        return Observed(
            name="churn",
            namespace="ml",
            uid="u1",
            generation=1,
            deleting=False,
            spec=Invalid(self.invalid) if self.invalid else spec,
            status=self.status,
            resolution=self._resolve(spec),
            workloads={k: Workload(k, n, self.ready(k)) for k, n in self.replicas.items()},
            services=frozenset(self.services),
            endpoints={k: self.ready(k) for k in self.replicas},
            route=None
            if self.weights is None
            else RouteSeen(
                dict(self.weights), self.confirmed, fence=self.fence, drifted=self.route_drifted
            ),
            route_conflict="",
            measurement=self._measure(spec),
            write_problem="",
            defaults=Defaults("image:1", GatewayRef(name="public"), timedelta(seconds=30)),
            commands=self.commands,
            rival=self.rival,
            epoch=self.epoch,
            clock_skew=self.clock_skew,
        )

    def _resolve(self, spec: ModelDeploymentSpec) -> PinnedModel | ResolveFailed | None:
        if self.status.target is not None and self.status.target.uri == spec.model.uri:
            return None
        version = spec.model.uri.rpartition("/")[2]
        if version in self.unregistered:
            return ResolveFailed("ModelNotFound", f"version {version} is not registered")
        return PinnedModel(
            uri=spec.model.uri,
            pinned_uri=spec.model.uri,
            name="churn",
            version=version,
            digest=f"sha256:{version}",
        )

    def _measure(self, spec: ModelDeploymentSpec) -> Measurement | None:
        window = analysis.due(spec, self.status, self.now)
        if window is None or self.status.canary is None or self.status.stable is None:
            return None
        arms = [short(arm.revision) for arm in (self.status.canary, self.status.stable)]
        if not self.source_down:
            return Measurement(window, *(self._series(key) for key in arms))
        gone = QueryFailed("connection refused")
        backup = (self._series(arms[0]), self._series(arms[1])) if self.second_source else None
        return Measurement(window, gone, gone, backup)

    def _series(self, key: str) -> Reading:
        rows = self.samples.get(key, [])
        requests, bucket = contract.METRIC_REQUESTS, f"{contract.METRIC_DURATION}_bucket"
        return (
            Series(requests, {"code": "2xx"}, tuple((t, n - e) for t, n, e, _ in rows)),
            Series(requests, {"code": "5xx"}, tuple((t, e) for t, _, e, _ in rows)),
            Series(bucket, {"le": "0.25"}, tuple((t, n - s) for t, n, _, s in rows)),
            Series(bucket, {"le": "+Inf"}, tuple((t, n) for t, n, _, _ in rows)),
        )

    def look(self) -> Plan:
        """One pass: observe, decide, carry out."""
        plan = decide(self.observe(), self.now)
        if plan.status is not None and plan.status != self.status:
            self.status = plan.status
            self.writes += 1
        for arm in (self.status.stable, self.status.canary):
            if arm is not None:
                self.versions[short(arm.revision)] = arm.resolved_version
        for intent in plan.intents:
            match intent:
                case EnsureService(arm):
                    self.services.add(short(arm.revision))
                case EnsureWorkload(arm, replicas, _):
                    self.replicas[short(arm.revision)] = replicas
                case EnsureRoute(weights, fence) | Reweigh(weights, fence):
                    for key, weight in weights:
                        assert weight == 0 or key in self.services, "weight without a Service"
                    self.weights, self.fence, self.route_drifted = dict(weights), fence, False
                case RemoveRevision(key):
                    assert key not in (self.weights or {}), "removed while the route names it"
                    self.services.discard(key)
                    self.replicas.pop(key, None)
        self.events += plan.events
        self.trace.append(self.by_version())
        return plan

    def by_version(self) -> dict[str, int] | None:
        """The route's weights by model version."""
        if self.weights is None:
            return None
        return {self.versions[key]: weight for key, weight in self.weights.items()}

    def pass_time(self, by: timedelta = SECOND) -> None:
        """Requests flow for a second; every pod is scraped at its end."""
        self.now += by
        for key in self.replicas:
            weight = (self.weights or {}).get(key, 0)
            rows = self.samples.setdefault(key, [(self.now - by, 0.0, 0.0, 0.0)])
            _, n, e, s = rows[-1]
            new = self.rate * weight / 100 * by.total_seconds()
            how = self.version(key)
            rows.append((self.now, n + new, e + new * how.errors, s + new * how.slow))

    def run(self, until: Callable[[World], bool], limit: int = 600) -> World:
        """Looks once a second, and again at once while there is more to do, until a condition holds."""
        for _ in range(limit):
            for _ in range(10):
                plan = self.look()
                if until(self):
                    return self
                if plan.requeue_after != timedelta(0):
                    break
            self.pass_time()
        raise AssertionError(f"not within {limit} s; the story so far: {self.story()}")

    def run_for(self, seconds: int) -> World:
        end = self.now + timedelta(seconds=seconds)
        return self.run(lambda w: w.now >= end, limit=seconds + 1)

    def story(self) -> list[str]:
        return [event.reason for event in self.events]

    def serving(self) -> World:
        """The world with version 1 in service."""
        return self.run(lambda w: w.status.phase == "Ready" and w.by_version() == {"1": 100})


def ended(world: World) -> bool:
    return world.status.rollout is None and world.status.phase in {"Ready", "RolledBack"}


def weights_of(world: World, version: str) -> list[int]:
    """Distinct weights of a version, in the order in which the route had them."""
    out: list[int] = []
    for weights in world.trace:
        weight = (weights or {}).get(version, 0)
        if not out or out[-1] != weight:
            out.append(weight)
    return out
