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
    drifted: bool = False  # somebody else changed its size or its pods' template
    admitted: str = ""  # which admission of its revision it was made for; empty: it does not say


@dataclass(frozen=True, slots=True)
class RouteSeen:
    """The route read back. ``confirmed``: the router took exactly this generation of it."""

    weights: Mapping[str, int]  # short revision -> weight
    confirmed: bool
    problem: str = ""
    fence: str = ""  # the commit that it was written for, see core.fence
    drifted: bool = False  # somebody else changed what we had written


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
    """What the metric source said about both arms over the same window.

    ``backup`` is what the pods said themselves, canary and stable, asked for while the source is
    unreachable; None where there is no second source or no need for it.
    """

    window: Window
    canary: Reading
    stable: Reading
    backup: tuple[Reading, Reading] | None = None


@dataclass(frozen=True, slots=True)
class Commands:
    """What people ask for by annotation; empty: nothing."""

    abort: str = ""
    promote: str = ""
    pause: str = ""


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
    commands: Commands = Commands()
    rival: str = ""  # which resource has claimed our host name and path before us, or empty
    epoch: int = 0  # of the leader that looks; 0 without leader election
    clock_skew: timedelta = timedelta(0)  # how far our clock is from the API server's

    def ready(self, short: str) -> int:
        """Pods of a revision that are ready *and* known to routers."""
        workload = self.workloads.get(short)
        return min(workload.ready if workload else 0, self.endpoints.get(short, 0))
