"""What follows from commits inside the server: CRDs start and stop being served, namespaces empty.

In Kubernetes these are controllers; here they run right after the commit that causes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from serinus.sandbox.apiserver.options import DeleteOptions, rfc3339
from serinus.sandbox.apiserver.resources import (
    CRD_GROUP,
    NAMESPACES,
    Column,
    Registry,
    Resource,
    Scale,
)
from serinus.sandbox.apiserver.schema import clone, with_metadata
from serinus.sandbox.apiserver.store import Change, Object, Store
from serinus.sandbox.apiserver.verbs import Verbs

CRDS = (CRD_GROUP, "customresourcedefinitions")
CRD_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


def custom_resources(crd: Object) -> list[Resource]:
    """Return the resources that a CustomResourceDefinition defines, one per served version."""
    spec, names = crd["spec"], crd["spec"]["names"]
    storage = next(version["name"] for version in spec["versions"] if version.get("storage"))
    return [
        _custom_resource(spec, names, version, storage)
        for version in spec["versions"]
        if version.get("served", True)
    ]


def _custom_resource(spec: Object, names: Object, version: Object, storage: str) -> Resource:
    subresources = version.get("subresources") or {}
    scale = subresources.get("scale")
    selectable = {field["jsonPath"].lstrip(".") for field in version.get("selectableFields") or []}
    return Resource(
        group=spec["group"],
        version=version["name"],
        kind=names["kind"],
        plural=names["plural"],
        singular=names["singular"],
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        has_status="status" in subresources,
        scale=_scale(scale) if scale else None,
        custom=True,
        schema=with_metadata(version["schema"]["openAPIV3Schema"]),
        columns=tuple(_column(col) for col in version.get("additionalPrinterColumns") or ()),
        storage_version=storage,
        selectable_fields=frozenset({"metadata.name", "metadata.namespace", *selectable}),
        has_generation=True,
    )


def _scale(given: Object) -> Scale:
    selector = given.get("labelSelectorPath", "")
    return Scale(given["specReplicasPath"], given["statusReplicasPath"], selector)


def _column(given: Object) -> Column:
    return Column(
        name=given["name"],
        type=given["type"],
        json_path=given["jsonPath"],
        priority=given.get("priority", 0),
        description=given.get("description", ""),
        format=given.get("format", ""),
    )


class Lifecycle:
    """Listens to the store and does the follow-up work."""

    def __init__(
        self,
        verbs: Verbs,
        registry: Registry,
        defer: Callable[..., object],
        now: Callable[[], float],
    ) -> None:
        self._verbs = verbs
        self._store: Store = verbs.store
        self._registry = registry
        self._defer = defer
        self._now = now
        self._store.listen(self._on_change)

    def _on_change(self, change: Change) -> None:
        if change.resource == CRDS:
            self._on_crd(change)
        elif change.resource == NAMESPACES and _is_going(change.after):
            self._defer(self._empty_namespace, change.last["metadata"]["name"])
        if change.after is None:
            self._on_removal(change)

    def _on_removal(self, change: Change) -> None:
        if namespace := change.last["metadata"].get("namespace"):
            owner = self._store.get(NAMESPACES, "", namespace)
            if owner is not None and "deletionTimestamp" in owner["metadata"]:
                self._defer(self._finish_namespace, namespace)
        crd = self._store.get(CRDS, "", f"{change.resource[1]}.{change.resource[0]}")
        if crd is not None and "deletionTimestamp" in crd["metadata"]:
            self._defer(self._finish_crd, crd["metadata"]["name"])

    # Namespaces

    def _contents(self, namespace: str) -> list[tuple[Resource, Object]]:
        seen = {res.key: res for res in self._registry if res.namespaced}
        return [
            (res, obj) for res in seen.values() for obj in self._store.objects(res.key, namespace)
        ]

    def _empty_namespace(self, namespace: str) -> None:
        for resource, obj in self._contents(namespace):
            metadata = obj["metadata"]
            if "deletionTimestamp" not in metadata:
                self._verbs.delete(resource, namespace, metadata["name"], DeleteOptions())
        self._finish_namespace(namespace)

    def _finish_namespace(self, namespace: str) -> None:
        found = self._store.get(NAMESPACES, "", namespace)
        if found is None or "deletionTimestamp" not in found["metadata"]:
            return
        if self._contents(namespace) or found["metadata"].get("finalizers"):
            return
        if found["spec"].get("finalizers"):
            found = clone(found)
            found["spec"] = {}
        self._store.remove(NAMESPACES, "", namespace)

    # CustomResourceDefinitions

    def _on_crd(self, change: Change) -> None:
        crd = change.last
        key = (crd["spec"]["group"], crd["spec"]["names"]["plural"])
        if change.after is None:
            self._registry.remove(key)
        elif "deletionTimestamp" in crd["metadata"]:
            self._defer(self._delete_instances, crd["metadata"]["name"])
        else:
            self._registry.remove(key)
            for resource in custom_resources(crd):
                self._registry.add(resource)
            if not _is_established(crd):
                self._defer(self._establish, crd["metadata"]["name"])

    def _establish(self, name: str) -> None:
        crd = self._store.get(CRDS, "", name)
        if crd is None or _is_established(crd):
            return
        crd = clone(crd)
        now = rfc3339(self._now())
        crd["status"] = {
            "conditions": [
                _condition("NamesAccepted", "NoConflicts", "no conflicts found", now),
                _condition("Established", "InitialNamesAccepted",
                           "the initial names have been accepted", now),
            ],
            "acceptedNames": crd["spec"]["names"],
            "storedVersions": [v["name"] for v in crd["spec"]["versions"] if v.get("storage")],
        }  # fmt: skip
        finalizers = crd["metadata"].get("finalizers") or []
        if CRD_FINALIZER not in finalizers:
            crd["metadata"]["finalizers"] = [*finalizers, CRD_FINALIZER]
        self._store.put(CRDS, crd)

    def _delete_instances(self, name: str) -> None:
        crd = self._store.get(CRDS, "", name)
        if crd is None:
            return
        for resource in custom_resources(crd)[:1]:
            for obj in list(self._store.objects(resource.key)):
                metadata = obj["metadata"]
                if "deletionTimestamp" not in metadata:
                    namespace = metadata.get("namespace", "")
                    self._verbs.delete(resource, namespace, metadata["name"], DeleteOptions())
        self._finish_crd(name)

    def _finish_crd(self, name: str) -> None:
        crd = self._store.get(CRDS, "", name)
        if crd is None or "deletionTimestamp" not in crd["metadata"]:
            return
        key = (crd["spec"]["group"], crd["spec"]["names"]["plural"])
        if any(True for _ in self._store.objects(key)):
            return
        rest = [n for n in crd["metadata"].get("finalizers") or [] if n != CRD_FINALIZER]
        if not rest:
            self._store.remove(CRDS, "", name)


def _condition(kind: str, reason: str, message: str, now: str) -> dict[str, Any]:
    return {
        "type": kind,
        "status": "True",
        "lastTransitionTime": now,
        "reason": reason,
        "message": message,
    }


def _is_going(obj: Object | None) -> bool:
    return obj is not None and "deletionTimestamp" in obj["metadata"]


def _is_established(crd: Object) -> bool:
    conditions = (crd.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)
