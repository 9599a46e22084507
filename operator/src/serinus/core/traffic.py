"""Arithmetic of weights and replicas."""

from __future__ import annotations

from datetime import timedelta
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


def step_after(spec: ModelDeploymentSpec, weight: int) -> int:
    """Index of the first step above a weight, which is where a canary with that weight goes next.

    By weight, not by counting: steps may change in the middle of a rollout, and none is left out.
    """
    steps = spec.rollout.steps
    return next((i for i, step in enumerate(steps) if step.weight > weight), len(steps))


def hold_at(spec: ModelDeploymentSpec, weight: int) -> timedelta:
    """How long a canary keeps this weight; nothing where no step has it (any more)."""
    holds = (step.hold for step in spec.rollout.steps if step.weight == weight)
    return next(holds, timedelta(0))


def step_at(spec: ModelDeploymentSpec, weight: int) -> int:
    """Index of the step that a canary with this weight has reached; 0 before the first."""
    return max(0, step_after(spec, weight) - 1)


def is_final(spec: ModelDeploymentSpec, step: int) -> bool:
    """Whether this index stands for the promotion itself, after the last step."""
    return step >= len(spec.rollout.steps)
