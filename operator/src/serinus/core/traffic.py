"""Arithmetic of weights and replicas."""

from __future__ import annotations

from math import ceil

from serinus.api.spec import ModelDeploymentSpec


def canary_replicas(replicas: int, weight: int) -> int:
    """Pods that a canary needs for its share: ``ceil(replicas * weight / 100)``, at least one.

    >>> [canary_replicas(10, w) for w in (1, 5, 10, 25, 100)]
    [1, 1, 1, 3, 10]
    >>> canary_replicas(1, 5)
    1
    """
    return max(1, ceil(replicas * weight / 100))


def step_weight(spec: ModelDeploymentSpec, step: int) -> int:
    """Weight of the step with this index; past the last step it is 100."""
    steps = spec.rollout.steps
    return steps[step].weight if step < len(steps) else 100


def is_final(spec: ModelDeploymentSpec, step: int) -> bool:
    """Whether this index stands for the promotion itself, after the last step."""
    return step >= len(spec.rollout.steps)
