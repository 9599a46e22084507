"""How an object goes: at once, after a grace period, or when its last finalizer is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serinus.sandbox.apiserver.options import DeleteOptions, rfc3339
from serinus.sandbox.apiserver.resources import NAMESPACES, PODS, Resource
from serinus.sandbox.apiserver.store import Object


def mark_deleted(resource: Resource, obj: Object, grace: int, now: float) -> None:
    metadata = obj["metadata"]
    shorter = grace < metadata.get("deletionGracePeriodSeconds", grace + 1)
    if "deletionTimestamp" not in metadata or shorter:
        if "generation" in metadata and "deletionTimestamp" not in metadata:
            metadata["generation"] += 1
        metadata["deletionTimestamp"] = rfc3339(now + grace)
        metadata["deletionGracePeriodSeconds"] = grace
    if resource.key == NAMESPACES:
        obj["status"] = {**obj.get("status", {}), "phase": "Terminating"}
        metadata.pop("deletionGracePeriodSeconds", None)


def finalizers(metadata: Mapping[str, Any], options: DeleteOptions) -> list[str]:
    have = [
        name
        for name in metadata.get("finalizers") or []
        if options.propagation is None or name not in ("foregroundDeletion", "orphan")
    ]
    if options.propagation == "Foreground":
        have.append("foregroundDeletion")
    elif options.propagation == "Orphan":
        have.append("orphan")
    return have


def grace_seconds(resource: Resource, live: Object, options: DeleteOptions) -> int:
    if resource.key != PODS:
        return 0
    unscheduled = not live["spec"].get("nodeName")
    if unscheduled or live.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    if options.grace_seconds is not None:
        return options.grace_seconds
    already = live["metadata"].get("deletionGracePeriodSeconds")
    period = live["spec"].get("terminationGracePeriodSeconds", 30)
    return int(already if already is not None else period)


def holds_contents(resource: Resource, live: Object) -> bool:
    """Namespaces stay until everything in them is gone."""
    return resource.key == NAMESPACES and bool(live["spec"].get("finalizers"))


def may_go(resource: Resource, obj: Object) -> bool:
    metadata = obj["metadata"]
    graceful = resource.key == PODS and metadata.get("deletionGracePeriodSeconds")
    return not (metadata.get("finalizers") or graceful or holds_contents(resource, obj))
