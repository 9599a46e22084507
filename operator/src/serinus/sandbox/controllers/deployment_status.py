"""A Deployment's status: counts, and the conditions that say how a rollout is going."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from serinus.sandbox.clock import parse, stamp
from serinus.sandbox.objects import Object, condition, name_of, with_condition

NO_DEADLINE = 2**31 - 1  # Kubernetes' way to say: never


def decide(
    deployment: Object,
    new: Object | None,
    old: Sequence[Object],
    max_unavailable: int,
    now: datetime,
) -> tuple[Object, timedelta | None]:
    """The status, and when the progress deadline has to be looked at again."""
    before = deployment.get("status") or {}
    counts = _counts(deployment, new, old)
    conditions, look_again = _conditions(deployment, new, counts, max_unavailable, now)
    status = {k: v for k, v in before.items() if k not in _COUNTS}
    status |= counts | {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "conditions": conditions,
    }
    return status, look_again


_COUNTS = (
    "replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas",
)  # fmt: skip


def _sum(sets: Sequence[Object], field: str) -> int:
    return sum(int((rs.get("status") or {}).get(field) or 0) for rs in sets)


def _counts(deployment: Object, new: Object | None, old: Sequence[Object]) -> Object:
    every = [*old, new] if new is not None else list(old)
    wanted = max(
        sum(rs["spec"].get("replicas", 1) for rs in every), deployment["spec"].get("replicas", 1)
    )
    available = _sum(every, "availableReplicas")
    return {
        "replicas": _sum(every, "replicas"),
        "updatedReplicas": _sum([new], "replicas") if new is not None else 0,
        "readyReplicas": _sum(every, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(wanted - available, 0),
    }


def _conditions(
    deployment: Object, new: Object | None, counts: Object, max_unavailable: int, now: datetime
) -> tuple[list[Object], timedelta | None]:
    before = deployment.get("status") or {}
    conditions: list[Object] = list(before.get("conditions") or [])
    wanted = deployment["spec"].get("replicas", 1)
    if counts["availableReplicas"] >= wanted - max_unavailable:
        text = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        text = (
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )
    conditions = _set(conditions, "Available", *text, now=now, update=False)

    deadline = deployment["spec"].get("progressDeadlineSeconds", 600)
    if deployment["spec"].get("paused"):
        text = ("Unknown", "DeploymentPaused", "Deployment is paused")
        return _set(conditions, "Progressing", *text, now=now, update=False), None
    progressing = condition(conditions, "Progressing")
    if progressing is not None and progressing.get("reason") == "DeploymentPaused":
        text = ("Unknown", "DeploymentResumed", "Deployment is resumed")
        conditions = _set(conditions, "Progressing", *text, now=now, update=True)
        progressing = condition(conditions, "Progressing")
    if new is None:
        return conditions, None
    return _progress(deployment, new, counts, conditions, progressing, deadline, now)


def _progress(
    deployment: Object,
    new: Object,
    counts: Object,
    conditions: list[Object],
    progressing: Object | None,
    deadline: int,
    now: datetime,
) -> tuple[list[Object], timedelta | None]:
    before = deployment.get("status") or {}
    wanted = deployment["spec"].get("replicas", 1)
    name = name_of(new)
    observed = before.get("observedGeneration") == deployment["metadata"].get("generation")
    complete = (
        counts["updatedReplicas"] == wanted
        and counts["replicas"] == wanted
        and counts["availableReplicas"] == wanted
    )
    if complete:
        text = f'ReplicaSet "{name}" has successfully progressed.'
        done = ("True", "NewReplicaSetAvailable", text)
        return _set(conditions, "Progressing", *done, now=now, update=False), None
    fresh = progressing is None or f'"{name}"' not in progressing.get("message", "")
    if fresh:
        text = f'Created new replica set "{name}"'
        begun = ("True", "NewReplicaSetCreated", text)
        conditions = _set(conditions, "Progressing", *begun, now=now, update=True)
    elif _moved(before, counts):
        text = f'ReplicaSet "{name}" is progressing.'
        moving = ("True", "ReplicaSetUpdated", text)
        conditions = _set(conditions, "Progressing", *moving, now=now, update=True)
    if deadline == NO_DEADLINE:
        return conditions, None
    present = condition(conditions, "Progressing") or {}
    reason = present.get("reason")
    if reason == "ProgressDeadlineExceeded" or (reason == "NewReplicaSetAvailable" and observed):
        return conditions, None  # settled: losing a pod later is not a failed rollout
    since = parse(present.get("lastUpdateTime") or stamp(now))
    left = since + timedelta(seconds=deadline) - now
    if left > timedelta(0):
        return conditions, left
    text = f'ReplicaSet "{name}" has timed out progressing.'
    late = ("False", "ProgressDeadlineExceeded", text)
    return _set(conditions, "Progressing", *late, now=now, update=True), None


def _moved(before: Object, counts: Object) -> bool:
    """Whether the rollout came nearer to its end since the last status."""

    def old_pods(of: Object) -> int:
        return int(of.get("replicas") or 0) - int(of.get("updatedReplicas") or 0)

    grew = any(
        counts[field] > int(before.get(field) or 0)
        for field in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )
    return grew or old_pods(counts) < old_pods(before)


def _set(
    conditions: list[Object],
    kind: str,
    status: str,
    reason: str,
    message: str,
    *,
    now: datetime,
    update: bool,
) -> list[Object]:
    """Set a condition. ``update``: an unchanged one gets a new lastUpdateTime all the same."""
    old = condition(conditions, kind)
    if (
        old is not None
        and not update
        and (old.get("status"), old.get("reason")) == (status, reason)
    ):
        return conditions
    new = {"type": kind, "status": status, "reason": reason, "message": message}
    return with_condition(conditions, {**new, "lastUpdateTime": stamp(now)}, now)
