"""What a reconcile works with: the ports and the platform's settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

from serinus.core.observed import Defaults
from serinus.ports import Clock, KubeApi, MetricSource, Registry
from serinus.reconcile.claims import ClaimIndex


@dataclass(frozen=True, slots=True)
class Key:
    """Which ModelDeployment."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def no_lease() -> int:
    """The epoch of an operator that runs without leader election."""
    return 0


async def no_rank(_: int) -> None:
    """Without leader election there are no epochs."""


def no_skew() -> timedelta:
    """The skew of a clock that is compared with no other."""
    return timedelta(0)


@dataclass(frozen=True, slots=True)
class Deps:
    """
    Attributes:
        epoch: of the Lease as it is now: a higher one is a later leader's; 0 when no Lease is used.
        outrank: an object says that a leader of this epoch has written to it, and ours is lower: whoever
            really leads raises its own above that.
        second: asked while ``metrics`` does not answer; None where there is no other source.
        claims: what every ModelDeployment asks for, shared by all reconciles.
        namespaces: that the operator watches; empty: all.
        clock_skew: how far the clock is ahead of the API server's; negative: behind.
    """

    kube: KubeApi
    metrics: MetricSource
    registry: Registry
    clock: Clock
    defaults: Defaults
    tracking_uri: str  # what the pods are told; may differ from the operator's own way there
    epoch: Callable[[], int] = no_lease
    outrank: Callable[[int], Awaitable[None]] = no_rank
    second: MetricSource | None = None
    claims: ClaimIndex = field(default_factory=ClaimIndex)
    namespaces: tuple[str, ...] = ()
    clock_skew: Callable[[], timedelta] = no_skew
