"""The only writer: commits the status, then makes the world follow, then tells the story.

Effects are derived from the committed status and change nothing that already is as wanted, so that
a crash anywhere in here heals on the next pass and an object at rest causes no writes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from serinus.api import names
from serinus.api.spec import RouterKind
from serinus.api.status import ModelDeploymentStatus
from serinus.api.types import format_time
from serinus.core.observed import Invalid as InvalidSpec
from serinus.core.plan import (
    EnsureRoute,
    EnsureService,
    EnsureWorkload,
    Event,
    Intent,
    Plan,
    RemoveRevision,
    Reweigh,
)
from serinus.core.revision import short
from serinus.ports import ApiError, Conflict, Invalid, Kind, Manifest, Ref
from serinus.reconcile import kinds
from serinus.reconcile.deps import Deps
from serinus.reconcile.observe import Snapshot, target_of
from serinus.render.meta import Owner
from serinus.render.routes import ROUTERS
from serinus.render.routes.base import Weights
from serinus.render.service import make_service
from serinus.render.subset import covers
from serinus.render.workload import make_workload


async def act(plan: Plan, snapshot: Snapshot, deps: Deps) -> None:
    """Commits and carries out a plan.

    Writes that do not depend on each other are all tried: a Deployment that is refused does not keep
    the traffic from going back. Only a route that gives a canary more waits for what it refers to.

    Raises:
        Conflict: the object has changed since it was observed; nothing was written.
        ApiError: the first write that failed; a later pass carries out what was committed.
    """
    if plan.status is None:
        return
    writes = [w for intent in plan.intents if (w := _write(intent, snapshot, deps)) is not None]
    await _commit(plan, snapshot, deps, needed=bool(writes))
    failure: ApiError | None = None
    for index, write in enumerate(writes):
        if failure is not None and index > 0 and isinstance(write, _Route):
            continue
        try:
            await write.send(deps)
        except ApiError as e:
            failure = failure or e
    for number, event in enumerate(plan.events):
        await _tell(event, number, snapshot, deps)
    if failure is not None:
        raise failure


async def _commit(plan: Plan, snapshot: Snapshot, deps: Deps, *, needed: bool) -> None:
    """Compare-and-set of the status. Before any effect it is written even when nothing in it
    changed: only so a stale observation is found out."""
    if plan.status is None:
        return
    wanted = stored(plan.status)
    if plan.conditions_only:
        wanted = {**snapshot.status, "conditions": wanted["conditions"]}
    patch = merge_patch(snapshot.status, wanted)
    if not patch and not needed:
        return
    ref = Ref(kinds.MODEL_DEPLOYMENT, snapshot.owner.namespace, snapshot.owner.name)
    body = {
        "metadata": {"resourceVersion": snapshot.resource_version, "uid": snapshot.owner.uid},
        "status": patch,
    }
    await deps.kube.patch(ref, body, subresource="status")


def stored(status: ModelDeploymentStatus) -> dict[str, Any]:
    """The status as it is written. Empty strings are left out: old API servers read them as null."""
    written: dict[str, Any] = _without_empty(
        status.model_dump(mode="json", by_alias=True, exclude_none=True)
    )
    return written


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_empty(v) for k, v in value.items() if v != ""}
    return [_without_empty(v) for v in value] if isinstance(value, list) else value


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch that turns ``before`` into ``after``: null removes a key."""
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            inner = merge_patch(old, value)
            if inner:
                patch[key] = inner
        elif old != value:
            patch[key] = value
    return patch


class _Apply:
    """Server-side apply of an object that is ours, or that nobody has yet."""

    def __init__(self, ref: Ref, manifest: Manifest, owner: Owner) -> None:
        self.ref, self.manifest, self.owner = ref, manifest, owner

    async def send(self, deps: Deps) -> None:
        found = await deps.kube.get(self.ref)
        if found is not None and not self.owner.owns(found):
            text = (
                f"{self.ref.kind.kind} {self.ref.name} is there and not ours: rename or delete it"
            )
            raise Invalid(0, "NotOurs", text)
        if found is not None and "deletionTimestamp" in found["metadata"]:
            raise Conflict(
                0, "Terminating", f"{self.ref.kind.kind} {self.ref.name} is being deleted"
            )
        await deps.kube.apply(self.ref, self.manifest)


class _Route:
    """Server-side apply of the route, on exactly the version of it that was looked at: a write that
    was delayed on its way never lands on top of a newer one."""

    def __init__(self, ref: Ref, manifest: Manifest, live: Manifest | None) -> None:
        version = live["metadata"]["resourceVersion"] if live is not None else None
        metadata = {**manifest["metadata"], **({"resourceVersion": version} if version else {})}
        self.ref, self.manifest = ref, {**manifest, "metadata": metadata}

    async def send(self, deps: Deps) -> None:
        await deps.kube.apply(self.ref, self.manifest)


class _Scale:
    def __init__(self, ref: Ref, live: Manifest, replicas: int) -> None:
        self.ref, self.live, self.replicas = ref, live, replicas

    async def send(self, deps: Deps) -> None:
        meta = {"resourceVersion": self.live["metadata"]["resourceVersion"]}
        await deps.kube.patch(self.ref, {"metadata": meta, "spec": {"replicas": self.replicas}})


class _Delete:
    def __init__(self, refs: Sequence[tuple[Ref, str]]) -> None:
        self.refs = refs

    async def send(self, deps: Deps) -> None:
        for ref, uid in self.refs:
            await deps.kube.delete(ref, uid)


_Write = _Apply | _Route | _Scale | _Delete


def _write(intent: Intent, snapshot: Snapshot, deps: Deps) -> _Write | None:
    """The write that makes an intent true; None when it is true already."""
    owner = snapshot.owner
    match intent:
        case EnsureService(arm):
            manifest = make_service(owner, arm)
            live = snapshot.services.get(short(arm.revision))
            if live is not None and covers(live, manifest):
                return None
            return _Apply(_ref(kinds.SERVICE, manifest), manifest, owner)
        case EnsureWorkload(arm, replicas):
            manifest = make_workload(owner, arm, replicas, deps.tracking_uri)
            ref = _ref(kinds.DEPLOYMENT, manifest)
            live = snapshot.workloads.get(short(arm.revision))
            if live is None:
                return _Apply(ref, manifest, owner)
            if live["spec"].get("replicas") == replicas:
                return None
            return _Scale(ref, live, replicas)
        case EnsureRoute(weights):
            return _route(weights, snapshot, deps)
        case Reweigh(weights):
            return _reweigh(weights, snapshot)
        case RemoveRevision(key):
            return _remove(key, snapshot)
        case _:
            assert_never(intent)


def _route(weights: Weights, snapshot: Snapshot, deps: Deps) -> _Route | None:
    spec = snapshot.seen.spec
    if isinstance(spec, InvalidSpec) or snapshot.seen.route_conflict:
        return None
    target = target_of(snapshot.owner, spec, deps.defaults.gateway)
    if target is None:
        return None
    router = ROUTERS[spec.traffic.router]
    manifest = router.render(target, weights)
    if snapshot.route is not None and router.same(snapshot.route, manifest):
        return None
    return _Route(_ref(kinds.HTTP_ROUTE, manifest), manifest, snapshot.route)


def _reweigh(weights: Weights, snapshot: Snapshot) -> _Route | None:
    if snapshot.route is None:
        return None
    manifest = ROUTERS[RouterKind.GATEWAY].reweigh(snapshot.owner, snapshot.route, weights)
    return _Route(_ref(kinds.HTTP_ROUTE, manifest), manifest, snapshot.route)


def _remove(key: str, snapshot: Snapshot) -> _Delete | None:
    found = (
        (kinds.DEPLOYMENT, snapshot.workloads.get(key)),
        (kinds.SERVICE, snapshot.services.get(key)),
    )
    refs = [(_ref(kind, live), live["metadata"]["uid"]) for kind, live in found if live is not None]
    return _Delete(refs) if refs else None


def _ref(kind: Kind, manifest: Manifest) -> Ref:
    return Ref(kind, manifest["metadata"]["namespace"], manifest["metadata"]["name"])


async def _tell(event: Event, number: int, snapshot: Snapshot, deps: Deps) -> None:
    """One Event. The story is for people: that it could not be told never stops the rollout.

    Its times have seconds only; the name keeps the order of those that share one.
    """
    owner, now = snapshot.owner, deps.clock.now()
    at = format_time(now.replace(microsecond=0))
    name = f"{owner.name}.{int(now.timestamp() * 1e6):x}{number:x}"
    manifest = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": owner.namespace},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": owner.name,
            "namespace": owner.namespace,
            "uid": owner.uid,
        },
        "type": event.type,
        "reason": event.reason,
        "message": event.message[:1000],
        "source": {"component": "serinus"},
        "reportingComponent": "serinus",
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
    with contextlib.suppress(ApiError):
        await deps.kube.create(Ref(kinds.EVENT, owner.namespace, ""), manifest)
