"""The only reader: one consistent picture of a ModelDeployment and its world, by fresh reads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from serinus.api import names
from serinus.api.spec import GatewayRef, ModelDeploymentSpec, RouterKind
from serinus.api.status import ModelDeploymentStatus, PinnedModel
from serinus.core.observed import (
    Invalid,
    Measurement,
    Observed,
    ResolveFailed,
    RouteSeen,
    Workload,
)
from serinus.ports import Manifest, Ref
from serinus.reconcile import claims, kinds
from serinus.reconcile.deps import Deps, Key
from serinus.reconcile.measure import measure
from serinus.reconcile.pods import problem_of
from serinus.reconcile.read import read_commands, read_spec, read_status
from serinus.render.drift import resized, retemplated
from serinus.render.meta import Owner
from serinus.render.routes import ROUTERS
from serinus.render.routes.base import Target
from serinus.render.stamp import annotation

# What calls and the clocks' rates may add up to; a clock that is set by less does no harm.
_CLOCK_SET = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The picture for the decision, and the live objects that the writer compares with."""

    seen: Observed
    owner: Owner
    resource_version: str
    status: Mapping[str, Any]  # as stored
    workloads: Mapping[str, Manifest]  # by short revision
    services: Mapping[str, Manifest]
    route: Manifest | None


async def observe(key: Key, deps: Deps, now: datetime, write_problem: str = "") -> Snapshot | None:
    """Reads everything that a decision needs; None when the object is gone.

    Raises:
        ApiError: when the Kubernetes API cannot be read. Other sources' failures are values.
    """
    began = asyncio.get_running_loop().time()
    found = await deps.kube.get(Ref(kinds.MODEL_DEPLOYMENT, key.namespace, key.name))
    if found is None:
        deps.claims.drop(key)
        return None
    deps.claims.put(found)
    meta = found["metadata"]
    owner = Owner(key.name, key.namespace, meta["uid"])
    spec, status = read_spec(found.get("spec")), read_status(found.get("status"))
    (deployments, services, slices), route = await asyncio.gather(
        _children(key, deps),
        deps.kube.get(Ref(kinds.HTTP_ROUTE, key.namespace, names.route_name(key.name))),
    )
    own_deployments = _owned(owner, deployments)
    own_services = _owned(owner, services)
    pods = await _pods(key, deps, own_deployments)
    endpoints = ready_addresses(slices, {s["metadata"]["uid"] for s in own_services.values()})
    route_seen, conflict = _read_route(deps, owner, spec, route)
    moving = not conflict and _moving(deps, owner, spec, status, route, reachable=bool(endpoints))
    rival = await claims.rival_of(key, deps, found, moving=moving)
    resolution, measurement = await asyncio.gather(  # neither of them raises
        _resolve(deps, spec, status), _measure(deps, key, spec, status, endpoints, now)
    )
    seen = Observed(
        name=key.name,
        namespace=key.namespace,
        uid=meta["uid"],
        generation=int(meta.get("generation", 0)),
        deleting="deletionTimestamp" in meta,
        spec=spec,
        status=status,
        resolution=resolution,
        workloads={k: _workload(k, d, pods) for k, d in own_deployments.items()},
        services=frozenset(own_services),
        endpoints={k: len(addresses) for k, addresses in endpoints.items()},
        route=route_seen,
        route_conflict=conflict,
        measurement=measurement,
        write_problem=write_problem,
        defaults=deps.defaults,
        commands=read_commands(meta),
        rival=rival,
        epoch=deps.epoch(),
        clock_skew=_skew(deps, now, began),
    )
    return Snapshot(
        seen=seen,
        owner=owner,
        resource_version=str(meta["resourceVersion"]),
        status=found.get("status") or {},
        workloads=own_deployments,
        services=own_services,
        route=None if conflict else route,
    )


def _skew(deps: Deps, now: datetime, began: float) -> timedelta:
    """How far off the clock was when ``now`` was read, at the loop's time ``began``.

    What is known is how far off it is by the end: where it was set meanwhile, ``now`` is of before.
    """
    took = timedelta(seconds=asyncio.get_running_loop().time() - began)
    moved = deps.clock.now() - now - took
    return deps.clock_skew() - (moved if abs(moved) >= _CLOCK_SET else timedelta(0))


async def _children(key: Key, deps: Deps) -> list[Sequence[Manifest]]:
    """Deployments, Services and EndpointSlices with our labels."""
    labels = names.owner_labels(key.name)
    listed = (kinds.DEPLOYMENT, kinds.SERVICE, kinds.ENDPOINT_SLICE)
    return await asyncio.gather(*(deps.kube.list(kind, key.namespace, labels) for kind in listed))


async def _pods(key: Key, deps: Deps, deployments: Mapping[str, Manifest]) -> Sequence[Manifest]:
    """The pods, where one is missing: they are asked for nothing but why they are not ready."""
    if all(_ready(live) >= _desired(live) for live in deployments.values()):
        return ()
    return await deps.kube.list(kinds.POD, key.namespace, names.owner_labels(key.name))


def _desired(deployment: Manifest) -> int:
    return int(deployment["spec"].get("replicas", 1))


def _ready(deployment: Manifest) -> int:
    return int((deployment.get("status") or {}).get("readyReplicas") or 0)


def target_of(owner: Owner, spec: ModelDeploymentSpec, default: GatewayRef | None) -> Target | None:
    """What the router works on; None when no Gateway is named anywhere."""
    gateway = spec.traffic.gateway or default
    return Target(owner, spec.traffic, gateway) if gateway is not None else None


def ready_addresses(
    slices: Sequence[Manifest], services: AbstractSet[str]
) -> dict[str, tuple[str, ...]]:
    """Short revision -> addresses of its ready endpoints, by the slices of our own Services (uids)."""
    out: dict[str, list[str]] = {}
    for item in slices:
        owners = {ref["uid"] for ref in item["metadata"].get("ownerReferences") or ()}
        if not owners & services:
            continue
        key = item["metadata"].get("labels", {}).get(names.LABEL_REVISION)
        if not key:
            continue
        for endpoint in item.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            if conditions.get("ready", True) and endpoint.get("addresses"):
                out.setdefault(key, []).append(endpoint["addresses"][0])
    return {key: tuple(sorted(set(addresses))) for key, addresses in out.items()}


def _owned(owner: Owner, items: Sequence[Manifest]) -> dict[str, Manifest]:
    """Ours alone, by short revision: labels can be copied, owner references name us by uid."""
    out = {}
    for item in items:
        key = item["metadata"].get("labels", {}).get(names.LABEL_REVISION)
        if key and owner.owns(item) and "deletionTimestamp" not in item["metadata"]:
            out[key] = item
    return out


def _workload(key: str, deployment: Manifest, pods: Sequence[Manifest]) -> Workload:
    own = [p for p in pods if p["metadata"].get("labels", {}).get(names.LABEL_REVISION) == key]
    return Workload(
        short=key,
        desired=_desired(deployment),
        ready=_ready(deployment),
        problem=problem_of(deployment, own),
        drifted=resized(deployment) or retemplated(deployment),
        admitted=annotation(deployment, names.ANNOTATION_ADMITTED),
    )


async def _resolve(
    deps: Deps,
    spec: ModelDeploymentSpec | Invalid,
    status: ModelDeploymentStatus | Invalid,
) -> PinnedModel | ResolveFailed | None:
    """Asks the registry once per URI: what a URI stood for when first seen is what it stands for."""
    if isinstance(spec, Invalid) or isinstance(status, Invalid):
        return None
    if status.target is not None and status.target.uri == spec.model.uri:
        return None
    try:
        return await deps.registry.resolve(spec.model.uri)
    except Exception as e:  # noqa: BLE001  whatever a registry does, the running rollout goes on
        return ResolveFailed(
            "RegistryUnavailable", f"the registry failed: {type(e).__name__}: {e}"[:300]
        )


async def _measure(
    deps: Deps,
    key: Key,
    spec: ModelDeploymentSpec | Invalid,
    status: ModelDeploymentStatus | Invalid,
    endpoints: Mapping[str, tuple[str, ...]],
    now: datetime,
) -> Measurement | None:
    if isinstance(spec, Invalid) or isinstance(status, Invalid):
        return None
    return await measure(deps, key, spec, status, endpoints, now)


def _moving(
    deps: Deps,
    owner: Owner,
    spec: ModelDeploymentSpec | Invalid,
    status: ModelDeploymentStatus | Invalid,
    route: Manifest | None,
    *,
    reachable: bool,
) -> bool:
    """Whether this pass may put new addresses on record, or let a route answer at them.

    ``reachable``: some revision has ready pods. Before that no route is made.
    """
    if isinstance(spec, Invalid) or isinstance(status, Invalid):
        return False
    target = target_of(owner, spec, deps.defaults.gateway)
    if target is None:
        return False
    if route is not None:
        return not ROUTERS[spec.traffic.router].answers(target, route)
    return reachable or not claims.on_record(spec, status, owner.namespace, target.gateway)


def _read_route(
    deps: Deps, owner: Owner, spec: ModelDeploymentSpec | Invalid, route: Manifest | None
) -> tuple[RouteSeen | None, str]:
    """The route read back, and why it is not ours, when it is not."""
    if route is None:
        return None, ""
    if not owner.owns(route):
        name = route["metadata"]["name"]
        return None, f"an HTTPRoute {name} that is not ours is already there: rename or delete it"
    if isinstance(spec, Invalid):
        return ROUTERS[RouterKind.GATEWAY].unconfirmed(owner, route, "the spec is invalid"), ""
    router = ROUTERS[spec.traffic.router]
    target = target_of(owner, spec, deps.defaults.gateway)
    if target is None:
        return router.unconfirmed(owner, route, "no Gateway is named"), ""
    return router.observed(target, route), ""
