"""What a ReplicaSet needs next: pods to create or delete, and its status."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from serinus.sandbox.clock import parse
from serinus.sandbox.objects import (
    Object,
    condition,
    condition_is_true,
    is_deleting,
    labels_of,
    matches,
    name_of,
    namespace_of,
    owner_reference,
)
from serinus.sandbox.resources import REPLICA_SETS


@dataclass(frozen=True, slots=True)
class ReplicaSetPlan:
    """Create so many pods, delete these, write this status, look again after that time."""

    create: int
    delete: tuple[Object, ...]
    status: Object
    look_again: timedelta | None


def is_active(pod: Object) -> bool:
    """Whether a pod counts as a replica: not finished and not on its way out."""
    phase = (pod.get("status") or {}).get("phase")
    return phase not in {"Succeeded", "Failed"} and not is_deleting(pod)


def available_since(pod: Object) -> datetime | None:
    """When the pod became ready, if it is."""
    ready = condition((pod.get("status") or {}).get("conditions"), "Ready")
    if ready is None or ready.get("status") != "True":
        return None
    return parse(ready["lastTransitionTime"])


def decide(replica_set: Object, pods: Iterable[Object], now: datetime) -> ReplicaSetPlan:
    """The next step of a ReplicaSet, given the pods that it controls."""
    spec = replica_set["spec"]
    wanted = spec.get("replicas", 1)
    patience = timedelta(seconds=spec.get("minReadySeconds", 0))
    active = [pod for pod in pods if is_active(pod)]
    excess = len(active) - wanted
    delete = tuple(sorted(active, key=_least_valuable)[:excess]) if excess > 0 else ()

    ready = [since for pod in active if (since := available_since(pod))]
    due = [since + patience for since in ready if since + patience > now]
    template = spec["template"]["metadata"].get("labels") or {}
    status = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(
            1 for pod in active if matches({"matchLabels": template}, labels_of(pod))
        ),
        "readyReplicas": len(ready),
        "availableReplicas": len(ready) - len(due),
        "observedGeneration": replica_set["metadata"].get("generation", 0),
    }
    if is_deleting(replica_set):
        return ReplicaSetPlan(0, (), status, None)
    look_again = min(due) - now if due else None
    return ReplicaSetPlan(max(-excess, 0), delete, status, look_again)


def _least_valuable(pod: Object) -> tuple[Any, ...]:
    """Sort key of deletion: unscheduled, pending, not ready, restarting, then young pods."""
    status = pod.get("status") or {}
    phase = {"Pending": 0, "Unknown": 1}.get(status.get("phase", "Pending"), 2)
    restarts = max(
        (c.get("restartCount", 0) for c in status.get("containerStatuses") or []), default=0
    )
    since = available_since(pod)
    created = parse(pod["metadata"]["creationTimestamp"])
    return (
        bool(pod["spec"].get("nodeName")),
        phase,
        condition_is_true(pod, "Ready"),
        -since.timestamp() if since else 0.0,
        -restarts,
        -created.timestamp(),
        name_of(pod),
    )


def make_pod(replica_set: Object) -> Object:
    """A new pod of the ReplicaSet's template."""
    template = replica_set["spec"]["template"]
    meta = template.get("metadata") or {}
    return {
        "metadata": {
            "generateName": f"{name_of(replica_set)[:57]}-",
            "namespace": namespace_of(replica_set),
            "labels": dict(meta.get("labels") or {}),
            "annotations": dict(meta.get("annotations") or {}),
            "ownerReferences": [owner_reference(replica_set, REPLICA_SETS)],
        },
        "spec": template["spec"],
    }
