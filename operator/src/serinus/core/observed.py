"""Everything that a decision may look at: one consistent picture of the world.

``reconcile.observe`` fills it in with fresh reads. A source that failed is a value in here, never
an exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from serinus.api.spec import GatewayRef, ModelDeploymentSpec
from serinus.api.status import ModelDeploymentStatus, PinnedModel


@dataclass(frozen=True, slots=True)
class Invalid:
    """An input that could not be read, and why, in words for the user."""

    message: str


RESOLVING = "Resolving"  # not an answer yet


@dataclass(frozen=True, slots=True)
class ResolveFailed:
    """The registry could not say what a model URI stands for."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Workload:
    """The Deployment of one revision and what its pods say."""

    short: str
    desired: int
    ready: int
    problem: str = ""  # why pods are not ready, as the kubelet says it


@dataclass(frozen=True, slots=True)
class RouteSeen:
    """The route read back. ``confirmed``: the router took exactly this generation of it."""

    weights: Mapping[str, int]  # short revision -> weight
    confirmed: bool
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """Raw samples of one counter of one pod, ascending in time."""

    name: str
    labels: Mapping[str, str]
    points: tuple[tuple[datetime, float], ...]


@dataclass(frozen=True, slots=True)
class QueryFailed:
    """The metric source could not be asked or did not answer usably."""

    message: str


@dataclass(frozen=True, slots=True)
class NoData:
    """The metric source answered, but not with evidence that may be used."""

    message: str


Reading = tuple[Series, ...] | NoData | QueryFailed


@dataclass(frozen=True, slots=True)
class Window:
    """A slot to be judged: requests after ``start`` up to ``end``; no sample before ``floor``."""

    start: datetime
    end: datetime
    floor: datetime


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the metric source said about both arms over the same window."""

    window: Window
    canary: Reading
    stable: Reading


@dataclass(frozen=True, slots=True)
class Defaults:
    """The platform's settings that decisions depend on."""

    server_image: str
    gateway: GatewayRef | None
    resync: timedelta


@dataclass(frozen=True, slots=True)
class Observed:
    name: str
    namespace: str
    uid: str
    generation: int
    deleting: bool
    spec: ModelDeploymentSpec | Invalid
    status: ModelDeploymentStatus | Invalid
    resolution: PinnedModel | ResolveFailed | None  # None: status.target still holds
    workloads: Mapping[str, Workload]  # by short revision
    services: frozenset[str]  # short revisions that have their Service
    endpoints: Mapping[str, int]  # short revision -> ready endpoints
    route: RouteSeen | None
    route_conflict: str  # why the route's name is not ours to write, or empty
    measurement: Measurement | None
    write_problem: str  # why the last pass's writes were refused, or empty
    defaults: Defaults

    def ready(self, short: str) -> int:
        """Pods of a revision that are ready *and* known to routers."""
        workload = self.workloads.get(short)
        return min(workload.ready if workload else 0, self.endpoints.get(short, 0))
