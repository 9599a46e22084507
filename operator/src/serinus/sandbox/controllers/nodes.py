"""What follows when a node has not been heard of: neither it nor its pods count as ready."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from serinus.sandbox.clock import parse
from serinus.sandbox.objects import (
    Object,
    condition,
    condition_is_true,
    name_of,
    with_condition,
)

GRACE = timedelta(seconds=40)  # as the real node controller's


@dataclass(frozen=True, slots=True)
class Lost:
    """The node's new conditions (None: they say it already), and those of pods on it."""

    conditions: list[Object] | None
    pods: tuple[tuple[Object, list[Object]], ...]


def decide(node: Object, pods: Iterable[Object], now: datetime) -> Lost | None:
    """None while the node is heard of."""
    conditions = (node.get("status") or {}).get("conditions") or []
    ready = condition(conditions, "Ready")
    if ready is None or now - parse(ready["lastHeartbeatTime"]) <= GRACE:
        return None
    unknown = {
        **ready,
        "status": "Unknown",
        "reason": "NodeStatusUnknown",
        "message": "Kubelet stopped posting node status.",
    }
    changed = None
    if ready["status"] != "Unknown":
        changed = with_condition(conditions, unknown, now)
    not_ready = {"type": "Ready", "status": "False", "reason": "NodeNotReady"}
    affected = tuple(
        (pod, with_condition(pod["status"]["conditions"], not_ready, now))
        for pod in pods
        if pod["spec"].get("nodeName") == name_of(node) and condition_is_true(pod, "Ready")
    )
    return Lost(changed, affected) if changed is not None or affected else None
