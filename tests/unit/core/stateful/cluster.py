"""A hostile world: versions and compare-and-set, crashes between writes, wrong clocks, sources that lie.

Writes are as the operator sends them: each lands on exactly the version that was looked at, or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import inf, nan

from world import Behaviour, World

from serinus.api.status import ModelDeploymentStatus
from serinus.core.decide import decide
from serinus.core.observed import NoData, Observed, Reading, Workload
from serinus.core.plan import (
    EnsureRoute,
    EnsureService,
    EnsureWorkload,
    Intent,
    Plan,
    RemoveRevision,
    Reweigh,
)
from serinus.core.revision import short
from serinus.reconcile.act import stored

SCRAPED = timedelta(seconds=5)
RESYNC = timedelta(seconds=30)
KEPT = 400  # scrapes of each revision
GARBAGE = {"nan": nan, "negative": -1.0, "infinite": inf}
ROUTE = "route"


@dataclass(frozen=True)
class Snapshot:
    """What one pass read: the observation, and the version of everything that it may write to."""

    seen: Observed
    now: datetime
    resource_version: int  # of the ModelDeployment
    objects: Mapping[str, int]
    admitted: Mapping[str, str]
    source: str  # what is wrong with the metric source, or empty


@dataclass(frozen=True)
class Write:
    """One request: what to make true, and the versions that it is for; none: the object is made."""

    intent: Intent
    expected: Mapping[str, int]


@dataclass
class Cluster(World):
    """The world with everything in it that may go wrong."""

    offset: timedelta = timedelta(0)  # how far the operator's clock is ahead
    offset_known: bool = True
    image: str = "image:1"
    fault: str = ""  # of the metric source
    frozen_at: datetime | None = None  # fault "stale": it knows no sample after it
    resource_version: int = 1
    counter: int = 1
    objects: dict[str, int] = field(default_factory=dict)  # "kind key" -> version
    told: dict[str, int] = field(default_factory=dict)  # replicas as we wrote them
    admitted: dict[str, str] = field(default_factory=dict)
    truth: dict[str, list[tuple[datetime, float, float]]] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)  # model version -> short revision
    text: str = "{}"  # the status as it is stored

    @property
    def true_now(self) -> datetime:
        return self.now - self.offset

    def behaviour_of(self, version: str) -> Behaviour:
        return self.behaviour.setdefault(version, Behaviour())

    # What others do

    def change_spec(self, **parts: object) -> None:
        self.spec = {**self.spec, **parts}
        self.edited()

    def edited(self) -> None:
        """The ModelDeployment is another version from now on."""
        self.counter += 1
        self.resource_version = self.counter

    def touch(self, what: str) -> None:
        self.counter += 1
        self.objects[what] = self.counter

    def delete(self, what: str) -> None:
        kind, _, key = what.partition(" ")
        self.objects.pop(what, None)
        self.counter += 1
        if what == ROUTE:
            self.weights, self.fence, self.route_drifted = None, "", False
        elif kind == "deployment":
            for of in (self.replicas, self.told, self.admitted):
                of.pop(key, None)
        else:
            self.services.discard(key)

    def set_clock(self, offset: timedelta, *, known: bool) -> None:
        """``known``: the operator sees it by the times in the API server's answers."""
        self.now += offset - self.offset
        self.offset, self.offset_known = offset, known

    def restart_pods(self, key: str) -> None:
        self.samples.setdefault(key, []).append((self.true_now, 0.0, 0.0, 0.0))

    def pass_time(self, by: timedelta = SCRAPED) -> None:
        """Requests flow; every pod is scraped every five seconds, and at the end."""
        while by > timedelta(0):
            chunk = min(by, SCRAPED)
            self.now += chunk
            by -= chunk
            for key in self.replicas:
                self._serve(key, chunk)

    def _serve(self, key: str, chunk: timedelta) -> None:
        at, how = self.true_now, self.version(key)
        share = (self.weights or {}).get(key, 0) / 100 if self.reachable(key) else 0
        new = self.rate * share * chunk.total_seconds()
        rows = self.samples.setdefault(key, [(at - chunk, 0.0, 0.0, 0.0)])
        _, n, e, s = rows[-1]
        rows.append((at, n + new, e + new * how.errors, s + new * how.slow))
        true = self.truth.setdefault(key, [(at - chunk, 0.0, 0.0)])
        true.append((at, true[-1][1] + new, true[-1][2] + new * max(how.errors, how.slow)))
        for kept in (rows, true):
            if len(kept) > KEPT:
                del kept[: -KEPT // 2]

    def answered(self, key: str, since: datetime, until: datetime) -> tuple[float, float]:
        """Requests of a revision that were scraped in this time, and how many of them were bad."""
        before, last = (0.0, 0.0), (0.0, 0.0)
        rows = self.truth.get(key, ())
        for at, n, bad in rows:
            if at <= since:
                before = (n, bad)
            if at <= until:
                last = (n, bad)
        return max(last[0] - before[0], 0.0), max(last[1] - before[1], 0.0)

    def reachable(self, key: str) -> int:
        """Ready endpoints."""
        return self.ready(key) if key in self.services else 0

    # What the operator sees

    def _series(self, key: str) -> Reading:
        if self.fault == "nodata":
            return NoData("the source has no series")
        rows = self.samples.get(key, [])
        if self.fault == "stale" and self.frozen_at is not None:
            rows = [row for row in rows if row[0] <= self.frozen_at]
        if self.fault in GARBAGE and rows:
            rows = [*rows[:-1], (rows[-1][0], GARBAGE[self.fault], *rows[-1][2:])]
        if self.fault != "pods":
            return self._pod(rows, 1.0)
        return (*self._pod(rows, 0.25), *self._pod(rows, 0.75))

    def _pod(self, rows: Sequence[tuple[datetime, float, float, float]], part: float):
        whole, self.samples = self.samples, {"pod": [(t, *(part * x for x in r)) for t, *r in rows]}
        try:
            return super()._series("pod")
        finally:
            self.samples = whole

    def observe(self) -> Observed:
        seen = super().observe()
        invalid = bool(self.invalid)
        route = seen.route
        return replace(
            seen,
            workloads={
                key: Workload(key, n, self.ready(key), drifted=self.told.get(key) != n)
                for key, n in self.replicas.items()
            },
            endpoints={key: self.reachable(key) for key in self.replicas},
            defaults=replace(seen.defaults, server_image=self.image),
            clock_skew=self.offset if self.offset_known else timedelta(0),
            resolution=None if invalid else seen.resolution,
            measurement=None if invalid else seen.measurement,
            route=replace(route, confirmed=False) if route and invalid else route,
        )

    def snapshot(self) -> Snapshot:
        source = self.fault
        if self.source_down:
            source = "second" if self.second_source else "down"
        return Snapshot(
            seen=self.observe(),
            now=self.now,
            resource_version=self.resource_version,
            objects=dict(self.objects),
            admitted=dict(self.admitted),
            source=source,
        )

    # What the operator does

    def decide(self, snapshot: Snapshot) -> Plan:
        return decide(snapshot.seen, snapshot.now)

    def look(self) -> Plan:
        """One pass, undisturbed."""
        snapshot = self.snapshot()
        plan = self.decide(snapshot)
        if self.commit(plan, snapshot):
            for write in self.writes_of(plan, snapshot):
                self.send(write)
        self.events += plan.events
        self.trace.append(self.by_version())
        return plan

    def commit(self, plan: Plan, snapshot: Snapshot) -> bool:
        """Compare-and-set of the status; False: refused, nothing of the plan may be carried out."""
        if plan.status is None or snapshot.resource_version != self.resource_version:
            return False
        if plan.status != self.status:
            text = as_stored(plan.status)
            status = ModelDeploymentStatus.model_validate_json(text)
            assert as_stored(status) == text, "the status is not read as it was written"
            if text != self.text:
                self.text, self.status = text, status
                self.writes += 1
                self.edited()
        for arm in (self.status.stable, self.status.canary):
            if arm is not None:
                self.versions[short(arm.revision)] = arm.resolved_version
                self.known[arm.resolved_version] = short(arm.revision)
        return True

    def writes_of(self, plan: Plan, snapshot: Snapshot) -> list[Write]:
        """What must be sent to make the intents true; what is true already needs no write."""
        out = []
        for intent in plan.intents:
            needed = self._needed(intent, snapshot)
            if needed is not None:
                expected = {what: snapshot.objects[what] for what in needed}
                out.append(Write(intent, expected))
        return out

    @staticmethod
    def _needed(intent: Intent, snapshot: Snapshot) -> Sequence[str] | None:
        """The live objects that a write is for; None: there is nothing to write."""
        seen, live = snapshot.seen, snapshot.objects
        match intent:
            case EnsureService(arm):
                return None if short(arm.revision) in seen.services else ()
            case EnsureWorkload(arm, replicas, admitted):
                key = short(arm.revision)
                found = seen.workloads.get(key)
                if found is None:
                    return ()
                same = found.desired == replicas and not found.drifted
                told = not admitted or snapshot.admitted.get(key) == admitted
                return None if same and told else (f"deployment {key}",)
            case EnsureRoute(weights, fence) | Reweigh(weights, fence):
                route = seen.route
                if route is None:
                    return () if isinstance(intent, EnsureRoute) else None
                same = dict(route.weights) == dict(weights) and route.fence == fence
                return None if same and not route.drifted else (ROUTE,)
            case RemoveRevision(key):
                found = [w for w in (f"deployment {key}", f"service {key}") if w in live]
                return found or None

    def send(self, write: Write) -> bool:
        """One request; False: refused, because the object is another version by now."""
        if any(self.objects.get(what) != version for what, version in write.expected.items()):
            return False
        made = not write.expected
        match write.intent:
            case EnsureService(arm):
                if short(arm.revision) not in self.services:
                    self.services.add(short(arm.revision))
                    self.touch(f"service {short(arm.revision)}")
            case EnsureWorkload(arm, replicas, admitted):
                key = short(arm.revision)
                if made and key in self.replicas:
                    return True  # somebody was faster: only its labels are mended
                self.replicas[key] = self.told[key] = replicas
                self.admitted[key] = admitted or self.admitted.get(key, "")
                self.touch(f"deployment {key}")
            case EnsureRoute(weights, fence) | Reweigh(weights, fence):
                if made and self.weights is not None:
                    return False
                self.weights, self.fence, self.route_drifted = dict(weights), fence, False
                self.touch(ROUTE)
            case RemoveRevision():
                for what in write.expected:
                    self.delete(what)
        return True


def as_stored(status: ModelDeploymentStatus) -> str:
    """The status as the API server keeps it."""
    return json.dumps(stored(status), sort_keys=True)
