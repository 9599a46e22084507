"""Two stories of one rollout each, what is left at their end, and what must hold all the way.

The promotion's new model never fails, the rollback's fails in three of ten requests. How a story ends
depends on nothing else, so a run with kills must end like one without.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.operator.cluster import MODEL_DEPLOYMENTS
from bench.operator.traffic import Behaviour

from serinus.api import names
from serinus.sandbox.client import KubeClient
from serinus.sandbox.informer import Informer
from serinus.sandbox.objects import Key, Object, key_of
from serinus.sandbox.resources import DEPLOYMENTS, HTTP_ROUTES, SERVICES

BEHAVIOURS = {"bad": Behaviour(errors=0.3)}
STEPS = (20, 50)
PROMOTION, ROLLBACK = "promotion", "rollback"
NEW_MODEL = {PROMOTION: "good", ROLLBACK: "bad"}


def make_models(folder: Path) -> dict[str, str]:
    """Three models that differ; their URIs by name."""
    out = {}
    for name in ("first", "good", "bad"):
        (folder / name).mkdir()
        (folder / name / "MLmodel").write_text(f"flavors: {{}}\n# {name}\n")
        out[name] = f"file://{folder / name}"
    return out


def model_deployment(key: Key, uri: str) -> Object:
    namespace, name = key
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "model": {"uri": uri},
            "server": {"replicas": 2},
            "traffic": {"hostnames": [f"{name}.{namespace}.example.com"]},
            "rollout": {
                "steps": [{"weight": weight, "hold": "3s"} for weight in STEPS],
                "scaleDownDelay": "2s",
            },
            "analysis": {"interval": "1s", "failureThreshold": 2, "minRequests": 20},
        },
    }


def serves(obj: Object | None) -> bool:
    conditions = ((obj or {}).get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def outcomes(obj: Object | None) -> list[str]:
    history = ((obj or {}).get("status") or {}).get("history") or ()
    return [entry["outcome"] for entry in history]


async def is_over(client: KubeClient, key: Key) -> bool:
    """The rollout has an outcome, and the loser's objects are gone."""
    found = await client.find(MODEL_DEPLOYMENTS, key[1], key[0])
    status = (found or {}).get("status") or {}
    if not outcomes(found) or status.get("canary") or status.get("retiring"):
        return False
    left = await client.list(DEPLOYMENTS, key[0], labelSelector=f"{names.LABEL_NAME}={key[1]}")
    return len(left.items) == 1 and bool(left.items[0].get("status", {}).get("readyReplicas"))


async def facts(client: KubeClient, key: Key) -> dict[str, Any]:
    """The terminal facts: everything that must not depend on who was killed when."""
    namespace, name = key
    found = await client.get(MODEL_DEPLOYMENTS, name, namespace)
    status = found["status"]
    failed, stable = status.get("failed") or {}, status["stable"]
    route = await client.get(HTTP_ROUTES, name, namespace)
    selector = f"{names.LABEL_NAME}={name}"
    deployments = (await client.list(DEPLOYMENTS, namespace, labelSelector=selector)).items
    services = (await client.list(SERVICES, namespace, labelSelector=selector)).items
    return {
        "phase": status["phase"],
        "stable": (stable["revision"], stable["modelURI"], stable["requestedWeight"]),
        "failed": (failed.get("revision"), failed.get("modelURI")),
        "history": [(h["revision"], h["outcome"]) for h in status["history"]],
        "conditions": sorted((c["type"], c["status"]) for c in status["conditions"]),
        "generation": (found["metadata"]["generation"], status["observedGeneration"]),
        "weights": weights_of(route),
        "deployments": {d["metadata"]["name"]: d["spec"]["replicas"] for d in deployments},
        "services": sorted(s["metadata"]["name"] for s in services),
    }


def turning_point(obj: Object) -> tuple[Any, ...]:
    """Where the story stands: two statuses with the same one differ in verdicts and times only."""
    status = obj["status"]
    rollout, canary = status.get("rollout") or {}, status.get("canary") or {}
    stable = status.get("stable") or {}
    return (
        stable.get("modelURI", "").rpartition("/")[2],
        stable.get("requestedWeight"),
        canary.get("requestedWeight"),
        rollout.get("stage"),
        rollout.get("step"),
        bool(rollout.get("breach")),
        len(status.get("retiring") or ()),
        len(status.get("history") or ()),
    )


def weights_of(route: Object) -> dict[str, Any]:
    """Backend -> weight as it stands there; None where it is left out."""
    (rule,) = route["spec"]["rules"]
    return {ref["name"]: ref.get("weight") for ref in rule["backendRefs"]}


@dataclass
class Witness:
    """Every version of every route and status, as the API server's watches tell them, in its order."""

    routes: dict[Key, list[Object]] = field(default_factory=dict)
    statuses: dict[Key, list[Object]] = field(default_factory=dict)

    def watch(self, routes: Informer, objects: Informer) -> None:
        routes.on_change(lambda _, after: _keep(self.routes, after))
        objects.on_change(lambda _, after: _keep(self.statuses, after))

    def violations(self, key: Key) -> Iterator[str]:
        """What must never be seen: each as a sentence."""
        name = key[1]
        allowed = {(100,), (0, 100)}
        allowed |= {tuple(sorted((weight, 100 - weight))) for weight in STEPS}
        for route in self.routes.get(key, ()):
            weights = weights_of(route)
            if any(type(w) is not int for w in weights.values()):
                yield f"{name}: a weight is no integer: {weights}"
            elif sum(weights.values()) != 100:
                yield f"{name}: the weights do not sum to 100: {weights}"
            elif tuple(sorted(weights.values())) not in allowed:
                yield f"{name}: nobody configured these weights: {weights}"
        yield from self._raised_after_the_latch(key)

    def _raised_after_the_latch(self, key: Key) -> Iterator[str]:
        latched: dict[str, int] = {}
        for obj in self.statuses.get(key, ()):
            for revision in _latched(obj):
                latched.setdefault(revision, _version(obj))
        for revision, since in latched.items():
            backend = names.child_name(key[1], revision)
            before = 0
            for route in self.routes.get(key, ()):
                weight = weights_of(route).get(backend) or 0
                if _version(route) > since and weight > before:
                    yield f"{key[1]}: {backend} went from {before} to {weight} after its breach"
                before = weight

    def latched(self, key: Key) -> bool:
        return any(list(_latched(obj)) for obj in self.statuses.get(key, ()))


def _latched(obj: Object) -> Iterator[str]:
    """Short revisions of which this status says that they have failed."""
    status = obj.get("status") or {}
    if (status.get("rollout") or {}).get("breach"):
        yield status["canary"]["revision"].partition(":")[2][:8]
    if status.get("failed"):
        yield status["failed"]["revision"].partition(":")[2][:8]


def _keep(where: dict[Key, list[Object]], after: Object | None) -> None:
    if after is not None:
        where.setdefault(key_of(after), []).append(after)


def _version(obj: Object) -> int:
    """The API server counts every write in one sequence, so versions of all kinds compare."""
    return int(obj["metadata"]["resourceVersion"])
