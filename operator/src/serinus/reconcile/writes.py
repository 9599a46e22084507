"""From intents to writes: what must be sent so that the world becomes what was committed.

Each write lands on exactly the object that was looked at: creating fails when somebody was faster,
changing and deleting fail when the object is another version by now. So a write that was delayed on
its way, of a process that hangs or of an earlier leader, changes nothing that a later one has made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from serinus.api import names
from serinus.api.spec import RouterKind
from serinus.core.observed import Invalid as InvalidSpec
from serinus.core.plan import (
    EnsureRoute,
    EnsureService,
    EnsureWorkload,
    Intent,
    RemoveRevision,
    Reweigh,
)
from serinus.core.revision import short
from serinus.ports import Conflict, Invalid, Kind, Manifest, NotFound, Ref
from serinus.reconcile import kinds
from serinus.reconcile.deps import Deps
from serinus.reconcile.observe import Snapshot, target_of
from serinus.render.drift import mend_template, retemplated
from serinus.render.meta import Owner
from serinus.render.routes import ROUTERS
from serinus.render.service import make_service
from serinus.render.stamp import annotation, canonical, stamped_template
from serinus.render.subset import covers
from serinus.render.workload import make_workload


class Make:
    """Creates an object that is not among ours, or gives one of ours its labels back."""

    def __init__(self, ref: Ref, manifest: Manifest, owner: Owner) -> None:
        self.ref, self.manifest, self.owner = ref, manifest, owner

    async def send(self, deps: Deps) -> None:
        found = await deps.kube.get(self.ref)
        if found is None:
            await deps.kube.create(self.ref, self.manifest)
            return
        what = f"{self.ref.kind.kind} {self.ref.name}"
        if not self.owner.owns(found):
            raise Invalid(0, "NotOurs", f"{what} is there and not ours: rename or delete it")
        if "deletionTimestamp" in found["metadata"]:
            raise Conflict(0, "Terminating", f"{what} is being deleted")
        told = annotation(found, names.ANNOTATION_ADMITTED)
        if told and told != annotation(self.manifest, names.ANNOTATION_ADMITTED) != "":
            raise Conflict(0, "EarlierTry", f"{what} is of an earlier try, and has to go first")
        labels = {"labels": self.manifest["metadata"]["labels"]}
        await deps.kube.patch(self.ref, {"metadata": {**_version(found), **labels}})


class Change:
    """Merge patch on exactly the version that was looked at.

    Not server-side apply: that leaves what others have added, to a list of containers or to a selector,
    so that what they did could be seen at every look and never set right.
    """

    def __init__(self, ref: Ref, patch: Manifest, live: Manifest) -> None:
        metadata = {**patch.get("metadata", {}), **_version(live)}
        self.ref, self.patch = ref, {**patch, "metadata": metadata}

    async def send(self, deps: Deps) -> None:
        try:
            await deps.kube.patch(self.ref, self.patch)
        except NotFound as e:
            raise Conflict(e.status, "Gone", e.message) from e  # since it was looked at: look again


class Route:
    """The route, made or changed. It alone waits for what it refers to."""

    def __init__(self, ref: Ref, manifest: Manifest, live: Manifest | None) -> None:
        self.ref, self.manifest, self.live = ref, manifest, live

    async def send(self, deps: Deps) -> None:
        if self.live is None:
            await deps.kube.create(self.ref, self.manifest)
            return
        spec = without_others(self.live.get("spec") or {}, self.manifest["spec"])
        patch = {"metadata": _marks(self.manifest), "spec": spec}
        await Change(self.ref, patch, self.live).send(deps)


class Delete:
    """The objects of a revision, if they are still exactly what was looked at."""

    def __init__(self, found: Sequence[tuple[Ref, Manifest]]) -> None:
        self.found = found

    async def send(self, deps: Deps) -> None:
        for ref, live in self.found:
            meta = live["metadata"]
            await deps.kube.delete(ref, meta["uid"], str(meta["resourceVersion"]))


Write = Make | Change | Route | Delete


def write_for(intent: Intent, snapshot: Snapshot, deps: Deps) -> Write | None:
    """The write that makes an intent true; None when it is true already."""
    match intent:
        case EnsureService(arm):
            return _service(make_service(snapshot.owner, arm), short(arm.revision), snapshot)
        case EnsureWorkload():
            return _workload(intent, snapshot, deps)
        case EnsureRoute():
            return _route(intent, snapshot, deps)
        case Reweigh():
            return _reweigh(intent, snapshot)
        case RemoveRevision(key):
            return _remove(key, snapshot)
        case _:
            assert_never(intent)


def _service(manifest: Manifest, key: str, snapshot: Snapshot) -> Write | None:
    ref, live = _ref(kinds.SERVICE, manifest), snapshot.services.get(key)
    if live is None:
        return Make(ref, manifest, snapshot.owner)
    spec = manifest["spec"]
    # One label too much in a selector, and the pods are gone for every router.
    same_pods = live["spec"].get("selector") == spec["selector"]
    marks = _marks(manifest)
    if same_pods and covers(live["spec"], spec) and covers(live["metadata"], marks):
        return None
    selector = without_others(live["spec"].get("selector") or {}, spec["selector"])
    return Change(ref, {"metadata": marks, "spec": {**spec, "selector": selector}}, live)


def _workload(intent: EnsureWorkload, snapshot: Snapshot, deps: Deps) -> Write | None:
    arm, replicas, admitted = intent.arm, intent.replicas, intent.admitted
    live = snapshot.workloads.get(short(arm.revision))
    if live is None:
        manifest = make_workload(snapshot.owner, arm, replicas, deps.tracking_uri, admitted)
        return Make(_ref(kinds.DEPLOYMENT, manifest), manifest, snapshot.owner)
    if _of_an_earlier_try(intent, live):
        return Delete([(_ref(kinds.DEPLOYMENT, live), live)])
    patch = workload_patch(live, replicas, admitted)
    return Change(_ref(kinds.DEPLOYMENT, live), patch, live) if patch else None


def _of_an_earlier_try(intent: EnsureWorkload, live: Manifest) -> bool:
    """A Deployment that a stale view did not show when its revision was admitted again: it was made
    with the defaults of then. One with traffic, or without a mark, is kept whatever it is."""
    told = annotation(live, names.ANNOTATION_ADMITTED)
    return intent.arm.requested_weight == 0 and bool(told) and told != intent.admitted != ""


def workload_patch(live: Manifest, replicas: int, admitted: str) -> dict[str, Any]:
    """What a live Deployment lacks of its size, its admission and the template it was made with.

    The template is never rendered anew: one that carries none, of an earlier release, keeps the one
    that it has.
    """
    told = {names.ANNOTATION_REPLICAS: str(replicas)}
    if admitted:
        told[names.ANNOTATION_ADMITTED] = admitted
    spec: dict[str, Any] = {}
    template = live["spec"].get("template") or {}
    wanted = stamped_template(live)
    if wanted is None:
        told[names.ANNOTATION_TEMPLATE] = canonical(template)
    elif retemplated(live):
        spec["template"] = mend_template(template, wanted)
    if live["spec"].get("replicas", 1) != replicas:
        spec["replicas"] = replicas
    changed = {name: text for name, text in told.items() if annotation(live, name) != text}
    patch: dict[str, Any] = {"spec": spec} if spec else {}
    return {**patch, "metadata": {"annotations": changed}} if changed else patch


def _route(intent: EnsureRoute, snapshot: Snapshot, deps: Deps) -> Write | None:
    spec = snapshot.seen.spec
    if isinstance(spec, InvalidSpec) or snapshot.seen.route_conflict:
        return None
    target = target_of(snapshot.owner, spec, deps.defaults.gateway)
    if target is None:
        return None
    router = ROUTERS[spec.traffic.router]
    manifest = router.render(target, intent.weights, intent.fence)
    if snapshot.route is not None and router.same(snapshot.route, manifest):
        return None
    return Route(_ref(kinds.HTTP_ROUTE, manifest), manifest, snapshot.route)


def _reweigh(intent: Reweigh, snapshot: Snapshot) -> Write | None:
    if snapshot.route is None:
        return None
    router, owner, live = ROUTERS[RouterKind.GATEWAY], snapshot.owner, snapshot.route
    manifest = router.reweigh(owner, live, intent.weights, intent.fence)
    if router.same(live, manifest):
        return None
    return Route(_ref(kinds.HTTP_ROUTE, manifest), manifest, live)


def _remove(key: str, snapshot: Snapshot) -> Write | None:
    found = (
        (kinds.DEPLOYMENT, snapshot.workloads.get(key)),
        (kinds.SERVICE, snapshot.services.get(key)),
    )
    present = [(_ref(kind, live), live) for kind, live in found if live is not None]
    return Delete(present) if present else None


def without_others(live: Manifest, wanted: Manifest) -> dict[str, Any]:
    """The merge patch of ``wanted`` that takes out what else is in ``live``."""
    return {**wanted, **{key: None for key in live if key not in wanted}}


def _marks(manifest: Manifest) -> dict[str, Any]:
    """What of the metadata is ours to set. Owners are not compared: whose it is was looked at before."""
    meta = manifest["metadata"]
    return {key: meta[key] for key in ("labels", "annotations") if key in meta}


def _version(live: Mapping[str, Any]) -> dict[str, str]:
    return {"resourceVersion": str(live["metadata"]["resourceVersion"])}


def _ref(kind: Kind, manifest: Manifest) -> Ref:
    return Ref(kind, manifest["metadata"]["namespace"], manifest["metadata"]["name"])
