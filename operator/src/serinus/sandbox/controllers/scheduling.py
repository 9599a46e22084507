"""Where a pod goes: the first node that takes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from serinus.sandbox.objects import (
    Object,
    condition_is_true,
    is_deleting,
    labels_of,
    matches,
    name_of,
)

SCHEDULER = "default-scheduler"


@dataclass(frozen=True, slots=True)
class Bind:
    """Put the pod on this node."""

    node: str


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """No node takes the pod; the message says why, as `kubectl describe pod` shows it."""

    message: str


def decide(pod: Object, nodes: Iterable[Object]) -> Bind | Unschedulable | None:
    """None when the pod is none of our business."""
    spec = pod["spec"]
    if spec.get("nodeName") or is_deleting(pod):
        return None
    if spec.get("schedulerName", SCHEDULER) != SCHEDULER:
        return None
    every = sorted(nodes, key=name_of)
    if not every:
        return Unschedulable("no nodes available to schedule pods")
    problems: dict[str, int] = {}
    for node in every:
        problem = _problem(pod, node)
        if problem is None:
            return Bind(name_of(node))
        problems[problem] = problems.get(problem, 0) + 1
    reasons = ", ".join(f"{count} {problem}" for problem, count in sorted(problems.items()))
    return Unschedulable(f"0/{len(every)} nodes are available: {reasons}.")


def _problem(pod: Object, node: Object) -> str | None:
    if node["spec"].get("unschedulable"):
        return "node(s) were unschedulable"
    if not condition_is_true(node, "Ready"):
        return "node(s) were not ready"
    selector = pod["spec"].get("nodeSelector") or {}
    if not matches({"matchLabels": selector}, labels_of(node)):
        return "node(s) didn't match the pod's node selector"
    return None
