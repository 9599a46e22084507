"""An API server in a dictionary, for the shell: fresh reads, compare-and-set, refusals on demand."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from serinus.api import names
from serinus.api.spec import GatewayRef
from serinus.api.status import PinnedModel
from serinus.core.observed import Defaults, QueryFailed, Reading
from serinus.ports import ApiError, Conflict, Kind, Manifest, NotFound, Ref, SeriesQuery
from serinus.reconcile import kinds
from serinus.reconcile.deps import Deps, Key
from serinus.reconcile.loop import reconcile

KEY = Key("ml", "churn")
CR = Ref(kinds.MODEL_DEPLOYMENT, "ml", "churn")
ROUTE = Ref(kinds.HTTP_ROUTE, "ml", "churn")


class MemoryKube:
    """Implements ``ports.KubeApi``; ``refuse`` maps (verb, kind) to the error to raise."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.writes: list[tuple[str, str, str]] = []
        self.refuse: dict[tuple[str, str], ApiError] = {}
        self.version = 0

    def __getitem__(self, ref: Ref) -> dict[str, Any]:
        return self.objects[ref.kind.plural, ref.namespace, ref.name]

    def put(self, ref: Ref, manifest: Mapping[str, Any]) -> dict[str, Any]:
        self.version += 1
        old = self.objects.get((ref.kind.plural, ref.namespace, ref.name), {})
        made = copy.deepcopy(dict(manifest))
        meta = made.setdefault("metadata", {})
        before = old.get("metadata", {})
        meta |= {
            "name": ref.name,
            "namespace": ref.namespace,
            "uid": before.get("uid", f"uid-{self.version}"),
            "resourceVersion": str(self.version),
            "generation": before.get("generation", 0) + 1,
        }
        if "status" in old:
            made.setdefault("status", old["status"])
        self.objects[ref.kind.plural, ref.namespace, ref.name] = made
        return made

    async def get(self, ref: Ref) -> Manifest | None:
        return copy.deepcopy(self.objects.get((ref.kind.plural, ref.namespace, ref.name)))

    async def list(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str]
    ) -> Sequence[Manifest]:
        """Items of a list do not say of what kind they are."""
        return [
            {k: copy.deepcopy(v) for k, v in item.items() if k not in ("apiVersion", "kind")}
            for (plural, space, _), item in self.objects.items()
            if plural == kind.plural
            and namespace in (None, space)
            and labels.items() <= (item["metadata"].get("labels") or {}).items()
        ]

    def _wrote(self, verb: str, ref: Ref) -> None:
        self.writes.append((verb, ref.kind.kind, ref.name))
        if (verb, ref.kind.kind) in self.refuse:
            raise self.refuse[verb, ref.kind.kind]

    async def patch(self, ref: Ref, patch: Manifest, subresource: str = "") -> Manifest:
        self._wrote(f"patch {subresource}".strip(), ref)
        live = self.objects.get((ref.kind.plural, ref.namespace, ref.name))
        if live is None:
            raise NotFound(404, "NotFound", f"{ref.name} not found")
        if patch["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", "the object has been modified")
        meta = patch["metadata"]
        body = {k: v for k, v in patch.items() if k != "metadata"}
        body["metadata"] = {k: meta[k] for k in ("annotations", "labels") if k in meta}
        before = copy.deepcopy(live)
        _merge(live, body)
        if live != before:
            self.version += 1
            live["metadata"]["resourceVersion"] = str(self.version)
            if live.get("spec") != before.get("spec"):
                live["metadata"]["generation"] += 1
        return copy.deepcopy(live)

    async def create(self, ref: Ref, manifest: Manifest) -> Manifest:
        name = ref.name or manifest["metadata"]["name"]
        self._wrote("create", Ref(ref.kind, ref.namespace, name))
        if (ref.kind.plural, ref.namespace, name) in self.objects:
            raise Conflict(409, "AlreadyExists", f"{name} already exists")
        return copy.deepcopy(self.put(Ref(ref.kind, ref.namespace, name), manifest))

    async def delete(self, ref: Ref, uid: str, resource_version: str = "") -> None:
        self._wrote("delete", ref)
        at = (ref.kind.plural, ref.namespace, ref.name)
        live = self.objects.get(at)
        if live is None:
            return
        meta = live["metadata"]
        if meta["uid"] != uid or resource_version not in ("", meta["resourceVersion"]):
            raise Conflict(409, "Conflict", "the precondition does not hold")
        del self.objects[at]

    def settle(self) -> None:
        """Controllers and Gateway do their part: every pod is ready, every route is taken."""
        for (plural, namespace, name), item in list(self.objects.items()):
            if plural == "deployments":
                replicas = item["spec"]["replicas"]
                item["status"] = {"readyReplicas": replicas}
                service = self.objects.get(("services", namespace, name))
                owner = service["metadata"]["uid"] if service else "nobody"
                self.objects["endpointslices", namespace, name] = {
                    "metadata": {
                        "labels": item["metadata"].get("labels", {}),
                        "ownerReferences": [{"uid": owner}],
                    },
                    "endpoints": [{"addresses": [f"10.0.0.{i}"]} for i in range(replicas)],
                }
            if plural == "httproutes":
                generation = item["metadata"]["generation"]
                conditions = [
                    {"type": kind, "status": "True", "observedGeneration": generation}
                    for kind in ("Accepted", "ResolvedRefs")
                ]
                for ref in item["spec"].get("parentRefs", ()):
                    item["status"] = {"parents": [{"parentRef": ref, "conditions": conditions}]}


def _merge(target: dict[str, Any], patch: Mapping[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, Mapping):
            if not isinstance(target.get(key), dict):
                target[key] = {}
            _merge(target[key], value)
        else:
            target[key] = value


class _Registry:
    async def resolve(self, uri: str) -> PinnedModel:
        version = uri.rpartition("/")[2]
        return PinnedModel(uri=uri, pinned_uri=uri, name="churn", version=version, digest=version)


class _Metrics:
    async def read(self, query: SeriesQuery) -> Reading:
        return QueryFailed("there is none")


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


class Shell:
    """The real reconcile over the memory, one second after the other."""

    def __init__(self) -> None:
        self.kube = MemoryKube()
        self.clock = Clock()
        defaults = Defaults("server:1", GatewayRef(name="public"), timedelta(seconds=30))
        self.deps = Deps(self.kube, _Metrics(), _Registry(), self.clock, defaults, "")
        self.kube.put(CR, {"spec": {"model": {"uri": "models:/churn/1"}}})

    def model(self, version: str) -> None:
        self.kube[CR]["spec"]["model"]["uri"] = f"models:/churn/{version}"
        self.kube.put(CR, self.kube[CR])

    @property
    def status(self) -> dict[str, Any]:
        return self.kube[CR]["status"]

    def weights(self) -> list[int]:
        return [ref["weight"] for ref in self.kube[ROUTE]["spec"]["rules"][0]["backendRefs"]]

    async def run(self, passes: int = 12) -> None:
        for _ in range(passes):
            with contextlib.suppress(ApiError):  # the worker looks again
                await reconcile(KEY, self.deps)
            self.kube.settle()
            self.clock.time += timedelta(seconds=1)

    def child(self, kind: Kind, arm: str) -> Ref:
        key = self.status[arm]["revision"].removeprefix("v1:")[:8]
        return Ref(kind, "ml", names.child_name("churn", key))
