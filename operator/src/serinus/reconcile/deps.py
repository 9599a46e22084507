"""What a reconcile works with: the ports and the platform's settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from serinus.core.observed import Defaults
from serinus.ports import Clock, KubeApi, MetricSource, Registry


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


@dataclass(frozen=True, slots=True)
class Deps:
    """
    Attributes:
        epoch: of the Lease as it is now: a higher one is a later leader's; 0 when no Lease is used.
    """

    kube: KubeApi
    metrics: MetricSource
    registry: Registry
    clock: Clock
    defaults: Defaults
    tracking_uri: str  # what the pods are told; may differ from the operator's own way there
    epoch: Callable[[], int] = no_lease
