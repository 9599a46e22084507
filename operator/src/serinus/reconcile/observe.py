"""The only reader: one consistent picture of a ModelDeployment and its world, by fresh reads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from serinus.api import names
from serinus.api.spec import GatewayRef, ModelDeploymentSpec, RouterKind
from serinus.api.status import Arm, ModelDeploymentStatus, PinnedModel
from serinus.core import analysis
from serinus.core.observed import (
    Commands,
    Invalid,
    Measurement,
    Observed,
    QueryFailed,
    Reading,
    ResolveFailed,
    RouteSeen,
    Window,
    Workload,
)
from serinus.core.revision import short
from serinus.ports import Manifest, Ref, SeriesQuery
from serinus.reconcile import kinds
from serinus.reconcile.deps import Deps, Key
from serinus.reconcile.pods import problem_of
from serinus.render.drift import resized, retemplated
from serinus.render.meta import Owner
from serinus.render.routes import ROUTERS
from serinus.render.routes.base import Target
from serinus_server import contract

BASELINE_AGE = timedelta(minutes=5)
MAX_COMMAND = 100  # characters; a whole revision has 67


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
    found = await deps.kube.get(Ref(kinds.MODEL_DEPLOYMENT, key.namespace, key.name))
    if found is None:
        return None
    meta = found["metadata"]
    owner = Owner(key.name, key.namespace, meta["uid"])
    spec, status = read_spec(found.get("spec")), read_status(found.get("status"))
    labels = names.owner_labels(key.name)
    deployments, services, slices, pods, route = await asyncio.gather(
        deps.kube.list(kinds.DEPLOYMENT, key.namespace, labels),
        deps.kube.list(kinds.SERVICE, key.namespace, labels),
        deps.kube.list(kinds.ENDPOINT_SLICE, key.namespace, labels),
        deps.kube.list(kinds.POD, key.namespace, labels),
        deps.kube.get(Ref(kinds.HTTP_ROUTE, key.namespace, names.route_name(key.name))),
    )
    own_deployments = _owned(owner, deployments)
    own_services = _owned(owner, services)
    endpoints = ready_addresses(slices, {s["metadata"]["uid"] for s in own_services.values()})
    resolution = await _resolve(deps, spec, status)
    measurement = await _measure(deps, key, spec, status, endpoints, now)
    route_seen, conflict = _read_route(deps, owner, spec, route)
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
        epoch=deps.epoch(),
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


def read_spec(spec: Any) -> ModelDeploymentSpec | Invalid:
    """The spec, or what is wrong with it, field by field."""
    try:
        return ModelDeploymentSpec.model_validate(spec or {})
    except ValidationError as e:
        return Invalid(explain("spec", e))


def read_status(status: Any) -> ModelDeploymentStatus | Invalid:
    """The state of the rollout, or why it cannot be read."""
    try:
        return ModelDeploymentStatus.model_validate(status or {})
    except ValidationError as e:
        return Invalid(explain("status", e))


def read_commands(metadata: Mapping[str, Any]) -> Commands:
    """What people ask for by annotation. A value that can be no revision's name asks for nothing."""
    annotations = metadata.get("annotations") or {}

    def asked(name: str) -> str:
        value = annotations.get(name)
        text = value.strip() if isinstance(value, str) else ""
        return text if len(text) <= MAX_COMMAND else ""

    return Commands(
        abort=asked(names.ANNOTATION_ABORT),
        promote=asked(names.ANNOTATION_PROMOTE),
        pause=asked(names.ANNOTATION_PAUSE),
    )


def explain(root: str, error: ValidationError) -> str:
    """A validation error as Kubernetes prints it: path, then what is wrong."""
    parts = []
    for item in error.errors(include_url=False, include_context=False)[:5]:
        path = root + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in item["loc"])
        parts.append(f"{path}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(parts)


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


def _host_port(address: str) -> str:
    return f"[{address}]:{contract.PORT}" if ":" in address else f"{address}:{contract.PORT}"


def _owned(owner: Owner, items: Sequence[Manifest]) -> dict[str, Manifest]:
    """Ours alone, by short revision: labels can be copied, owner references name us by uid."""
    out = {}
    for item in items:
        key = item["metadata"].get("labels", {}).get(names.LABEL_REVISION)
        if key and owner.owns(item) and "deletionTimestamp" not in item["metadata"]:
            out[key] = item
    return out


def _workload(key: str, deployment: Manifest, pods: Sequence[Manifest]) -> Workload:
    status = deployment.get("status") or {}
    own = [p for p in pods if p["metadata"].get("labels", {}).get(names.LABEL_REVISION) == key]
    return Workload(
        short=key,
        desired=int(deployment["spec"].get("replicas", 1)),
        ready=int(status.get("readyReplicas") or 0),
        problem=problem_of(deployment, own),
        drifted=resized(deployment) or retemplated(deployment),
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
    """Both arms over the window that is due, if one is."""
    if isinstance(spec, Invalid) or isinstance(status, Invalid):
        return None
    window = analysis.due(spec, status, now)
    if window is None or status.canary is None or status.stable is None:
        return None

    # Older samples than a staleness before the slot cannot be its baseline.
    start = max(window.floor, window.start - BASELINE_AGE)

    async def read(arm: Arm, window: Window) -> Reading:
        revision = short(arm.revision)
        targets = tuple(_host_port(a) for a in endpoints.get(revision, ()))
        query = SeriesQuery(key.namespace, key.name, revision, start, window.end, targets)
        try:
            return await deps.metrics.read(query)
        except Exception as e:  # noqa: BLE001  whatever a source does, guards and deadlines go on
            return QueryFailed(f"the metric source failed: {type(e).__name__}: {e}"[:300])

    canary, stable = await asyncio.gather(read(status.canary, window), read(status.stable, window))
    return Measurement(window=window, canary=canary, stable=stable)


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
