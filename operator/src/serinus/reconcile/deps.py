"""What a reconcile works with: the ports and the platform's settings."""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class Deps:
    kube: KubeApi
    metrics: MetricSource
    registry: Registry
    clock: Clock
    defaults: Defaults
    tracking_uri: str  # what the pods are told; may differ from the operator's own way there
