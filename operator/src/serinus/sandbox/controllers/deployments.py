"""What a Deployment needs next: ReplicaSets to create, scale and forget, and its status."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from serinus.sandbox.clock import parse
from serinus.sandbox.controllers import deployment_status
from serinus.sandbox.objects import (
    Object,
    annotations_of,
    is_deleting,
    name_of,
    namespace_of,
    owner_reference,
)
from serinus.sandbox.resources import DEPLOYMENTS

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX = "deployment.kubernetes.io/max-replicas"
_SAFE = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: no words in names


@dataclass(frozen=True, slots=True)
class Scale:
    """Set a ReplicaSet's replicas."""

    replica_set: Object
    replicas: int


@dataclass(frozen=True, slots=True)
class DeploymentPlan:
    """One step. ``annotations`` go onto the Deployment, ``revision`` onto the new ReplicaSet."""

    create: Object | None
    scales: tuple[Scale, ...]
    forget: tuple[Object, ...]
    revision: str | None
    annotations: dict[str, str]
    status: Object
    look_again: timedelta | None


def template_hash(deployment: Object) -> str:
    """The pod-template-hash of the Deployment's template."""
    collisions = (deployment.get("status") or {}).get("collisionCount", 0)
    text = json.dumps([deployment["spec"]["template"], collisions], sort_keys=True)
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    digits = []
    for _ in range(10):
        number, digit = divmod(number, len(_SAFE))
        digits.append(_SAFE[digit])
    return "".join(digits)


def _bare_template(owner: Object) -> Object:
    template: Object = json.loads(json.dumps(owner["spec"]["template"]))
    (template.get("metadata") or {}).get("labels", {}).pop(HASH_LABEL, None)
    (template.get("metadata") or {}).pop("creationTimestamp", None)
    return template


def find_new(deployment: Object, owned: Iterable[Object]) -> Object | None:
    """The ReplicaSet of the Deployment's present template; the oldest, should there be two."""
    wanted = _bare_template(deployment)
    name = f"{name_of(deployment)}-{template_hash(deployment)}"
    found = [rs for rs in owned if name_of(rs) == name or _bare_template(rs) == wanted]
    return min(found, key=_age, default=None)


def _age(replica_set: Object) -> tuple[datetime, str]:
    return parse(replica_set["metadata"]["creationTimestamp"]), name_of(replica_set)


def replicas_of(replica_set: Object) -> int:
    return int(replica_set["spec"].get("replicas", 1))


def _count(replica_set: Object, field: str) -> int:
    return int((replica_set.get("status") or {}).get(field) or 0)


def _revision(replica_set: Object) -> int:
    return int(annotations_of(replica_set).get(REVISION, "0"))


def bounds(deployment: Object) -> tuple[int, int]:
    """maxSurge and maxUnavailable as numbers of pods; never both 0."""
    spec = deployment["spec"]
    replicas = spec.get("replicas", 1)
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 0, replicas
    rolling = strategy.get("rollingUpdate") or {}
    surge = _resolve(rolling.get("maxSurge", "25%"), replicas, up=True)
    unavailable = _resolve(rolling.get("maxUnavailable", "25%"), replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, replicas)


def _resolve(value: int | str, total: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    percent = int(value.removesuffix("%"))
    return -(-total * percent // 100) if up else total * percent // 100


def decide(deployment: Object, owned: Sequence[Object], now: datetime) -> DeploymentPlan:
    """The next step of a Deployment, given the ReplicaSets that it controls."""
    live = [rs for rs in owned if not is_deleting(rs)]
    new = find_new(deployment, live)
    old = sorted((rs for rs in live if rs is not new), key=_age)
    spec = deployment["spec"]
    newest_old = max((_revision(rs) for rs in old), default=0)
    revision = str(max(newest_old + 1, _revision(new) if new else 0))

    create: Object | None = None
    scales: tuple[Scale, ...] = ()
    stopped = is_deleting(deployment)
    resized = _resized(deployment, live)
    if stopped:
        pass
    elif spec.get("paused") or resized:
        scales = _scale_in_proportion(deployment, new, old)
    elif new is None:
        if _recreates(deployment) and any(_count(rs, "replicas") for rs in old):
            scales = tuple(Scale(rs, 0) for rs in old if replicas_of(rs))
        else:
            create = make_replica_set(deployment, revision, _first_size(deployment, old))
    elif _recreates(deployment):
        scales = _recreate(deployment, new, old)
    else:
        scales = _roll(deployment, new, old)

    status, look_again = deployment_status.decide(deployment, new, old, bounds(deployment)[1], now)
    tell = None if new is None or stopped else revision
    annotate = tell is not None and annotations_of(deployment).get(REVISION) != revision
    return DeploymentPlan(
        create=create,
        scales=scales,
        forget=() if stopped else _beyond_history(deployment, old),
        revision=tell if new is not None and str(_revision(new)) != revision else None,
        annotations={REVISION: revision} if annotate else {},
        status=status,
        look_again=look_again,
    )


def make_replica_set(deployment: Object, revision: str, replicas: int) -> Object:
    """The ReplicaSet of the Deployment's present template."""
    suffix = template_hash(deployment)
    spec = deployment["spec"]
    template = _bare_template(deployment)
    meta = template.setdefault("metadata", {})
    meta["labels"] = {**(meta.get("labels") or {}), HASH_LABEL: suffix}
    selector = json.loads(json.dumps(spec["selector"]))
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: suffix}
    return {
        "metadata": {
            "name": f"{name_of(deployment)}-{suffix}",
            "namespace": namespace_of(deployment),
            "labels": meta["labels"],
            "annotations": {**size_annotations(deployment), REVISION: revision},
            "ownerReferences": [owner_reference(deployment, DEPLOYMENTS)],
        },
        "spec": {
            "replicas": replicas,
            "minReadySeconds": spec.get("minReadySeconds", 0),
            "selector": selector,
            "template": template,
        },
    }


def size_annotations(deployment: Object) -> dict[str, str]:
    """What a ReplicaSet remembers of the Deployment's size, to notice that it was scaled."""
    replicas = deployment["spec"].get("replicas", 1)
    return {DESIRED: str(replicas), MAX: str(replicas + bounds(deployment)[0])}


def _recreates(deployment: Object) -> bool:
    return bool((deployment["spec"].get("strategy") or {}).get("type") == "Recreate")


def _first_size(deployment: Object, old: Iterable[Object]) -> int:
    wanted: int = deployment["spec"].get("replicas", 1)
    room = wanted + bounds(deployment)[0] - sum(replicas_of(rs) for rs in old)
    return wanted if _recreates(deployment) else max(0, min(wanted, room))


def _recreate(deployment: Object, new: Object, old: Sequence[Object]) -> tuple[Scale, ...]:
    if any(replicas_of(rs) for rs in old):
        return tuple(Scale(rs, 0) for rs in old if replicas_of(rs))
    if any(_count(rs, "replicas") for rs in old):
        return ()
    wanted = deployment["spec"].get("replicas", 1)
    return () if replicas_of(new) == wanted else (Scale(new, wanted),)


def _roll(deployment: Object, new: Object, old: Sequence[Object]) -> tuple[Scale, ...]:
    """Grow the new ReplicaSet as far as the surge allows, else shrink the old ones."""
    wanted = deployment["spec"].get("replicas", 1)
    surge, unavailable = bounds(deployment)
    total = replicas_of(new) + sum(replicas_of(rs) for rs in old)
    if replicas_of(new) > wanted:
        return (Scale(new, wanted),)
    grow = min(wanted + surge - total, wanted - replicas_of(new))
    if grow > 0:
        return (Scale(new, replicas_of(new) + grow),)

    floor = wanted - unavailable
    not_yet = max(replicas_of(new) - _count(new, "availableReplicas"), 0)
    room = total - floor - not_yet
    sizes = {name_of(rs): replicas_of(rs) for rs in old}
    for rs in old:  # replicas that never became available are no loss
        drop = min(max(room, 0), sizes[name_of(rs)] - _count(rs, "availableReplicas"))
        if drop > 0:
            sizes[name_of(rs)] -= drop
            room -= drop
    for rs in old:
        drop = min(max(room, 0), sizes[name_of(rs)])
        sizes[name_of(rs)] -= drop
        room -= drop
    return tuple(
        Scale(rs, sizes[name_of(rs)]) for rs in old if sizes[name_of(rs)] != replicas_of(rs)
    )


def _resized(deployment: Object, live: Iterable[Object]) -> bool:
    wanted = str(deployment["spec"].get("replicas", 1))
    return any(replicas_of(rs) and annotations_of(rs).get(DESIRED, wanted) != wanted for rs in live)


def _scale_in_proportion(
    deployment: Object, new: Object | None, old: Sequence[Object]
) -> tuple[Scale, ...]:
    """Spread a changed size over the ReplicaSets that have pods; rounding goes to the newest."""
    every = [*old, new] if new is not None else list(old)
    active = [rs for rs in every if replicas_of(rs)] or ([new] if new is not None else [])
    wanted = deployment["spec"].get("replicas", 1)
    if not active:
        return ()
    total = sum(replicas_of(rs) for rs in active)
    rolls = not _recreates(deployment)
    goal = wanted + (bounds(deployment)[0] if rolls and wanted and len(active) > 1 else 0)
    sizes = [replicas_of(rs) * goal // total if total else 0 for rs in active]
    sizes[-1] += goal - sum(sizes)
    stale = size_annotations(deployment)[DESIRED]
    return tuple(
        Scale(rs, size)
        for rs, size in zip(active, sizes, strict=True)
        if size != replicas_of(rs) or annotations_of(rs).get(DESIRED) != stale
    )


def _beyond_history(deployment: Object, old: Sequence[Object]) -> tuple[Object, ...]:
    limit = deployment["spec"].get("revisionHistoryLimit", 10)
    spent = [rs for rs in old if replicas_of(rs) == 0 and _count(rs, "replicas") == 0]
    excess = len(spent) - limit
    return tuple(sorted(spent, key=_revision)[:excess]) if excess > 0 else ()
