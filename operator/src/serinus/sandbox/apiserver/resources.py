"""The table of kinds that the server serves: built-in ones here, custom ones added at run time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Schema: TypeAlias = Mapping[str, Any]

CRD_GROUP = "apiextensions.k8s.io"
GroupResource = tuple[str, str]  # (group, plural): the storage key, shared by all versions
NAMESPACES: GroupResource = ("", "namespaces")
PODS: GroupResource = ("", "pods")
EVENTS: GroupResource = ("", "events")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of ``kubectl get``; ``json_path`` is empty for computed built-in columns."""

    name: str
    type: str  # string | integer | number | boolean | date
    json_path: str = ""
    priority: int = 0  # above 0: shown by -o wide only
    description: str = ""
    format: str = ""


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a scalable kind keeps its replicas; paths like ``.spec.replicas``."""

    spec_path: str
    status_path: str
    selector_path: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """One served kind in one version."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    has_status: bool = False
    scale: Scale | None = None
    custom: bool = False  # defined by a CustomResourceDefinition
    schema: Schema | None = field(default=None, compare=False, repr=False)
    columns: tuple[Column, ...] = field(default=(), repr=False)
    storage_version: str = ""
    selectable_fields: frozenset[str] = frozenset()
    dns_subdomain_names: bool = True
    has_generation: bool = False  # built-ins whose generation counts changes of spec

    @property
    def key(self) -> GroupResource:
        """The storage key; two groups show the same events."""
        return EVENTS if self.plural == "events" and not self.custom else (self.group, self.plural)

    @property
    def api_version(self) -> str:
        """``apps/v1``, or ``v1`` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version


_COMMON_FIELDS = frozenset({"metadata.name", "metadata.namespace"})
_INVOLVED = frozenset(
    f"involvedObject.{name}"
    for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
)
_EVENT_FIELDS = _COMMON_FIELDS | _INVOLVED | {"reason", "reportingComponent", "source", "type"}
_POD_FIELDS = _COMMON_FIELDS | {
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
}
_WORKLOAD_SCALE = Scale(".spec.replicas", ".status.replicas", ".spec.selector")


def _builtin(group: str, kind: str, plural: str, short: str = "", **more: Any) -> Resource:
    more.setdefault("selectable_fields", _COMMON_FIELDS)
    version = more.pop("version", "v1")
    return Resource(
        group=group,
        version=version,
        kind=kind,
        plural=plural,
        singular=kind.lower(),
        short_names=tuple(short.split()),
        storage_version=version,
        **more,
    )


_ALL = ("all",)
_RBAC = "rbac.authorization.k8s.io"
BUILTINS: tuple[Resource, ...] = (
    _builtin("", "Namespace", "namespaces", "ns", namespaced=False, has_status=True,
             selectable_fields=_COMMON_FIELDS | {"status.phase"}, dns_subdomain_names=False),
    _builtin("", "Node", "nodes", "no", namespaced=False, has_status=True,
             selectable_fields=_COMMON_FIELDS | {"spec.unschedulable"}),
    _builtin("", "Pod", "pods", "po", categories=_ALL, has_status=True,
             selectable_fields=_POD_FIELDS, has_generation=False),
    _builtin("", "Service", "services", "svc", categories=_ALL, has_status=True,
             dns_subdomain_names=False),
    _builtin("", "Endpoints", "endpoints", "ep"),
    _builtin("", "ConfigMap", "configmaps", "cm"),
    _builtin("", "Secret", "secrets", selectable_fields=_COMMON_FIELDS | {"type"}),
    _builtin("", "ServiceAccount", "serviceaccounts", "sa"),
    _builtin("", "Event", "events", "ev", selectable_fields=_EVENT_FIELDS),
    _builtin("apps", "Deployment", "deployments", "deploy", categories=_ALL, has_status=True,
             scale=_WORKLOAD_SCALE, has_generation=True),
    _builtin("apps", "ReplicaSet", "replicasets", "rs", categories=_ALL, has_status=True,
             scale=_WORKLOAD_SCALE, has_generation=True,
             selectable_fields=_COMMON_FIELDS | {"status.replicas"}),
    _builtin("batch", "Job", "jobs", categories=_ALL, has_status=True, has_generation=True,
             selectable_fields=_COMMON_FIELDS | {"status.successful"}),
    _builtin("discovery.k8s.io", "EndpointSlice", "endpointslices", has_generation=True),
    _builtin("coordination.k8s.io", "Lease", "leases"),
    _builtin("events.k8s.io", "Event", "events", "ev"),
    _builtin("networking.k8s.io", "Ingress", "ingresses", "ing", has_status=True,
             has_generation=True),
    _builtin("networking.k8s.io", "IngressClass", "ingressclasses", namespaced=False,
             has_generation=True),
    _builtin("policy", "PodDisruptionBudget", "poddisruptionbudgets", "pdb", has_status=True,
             has_generation=True),
    _builtin("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa",
             version="v2", categories=_ALL, has_status=True),
    _builtin(_RBAC, "ClusterRole", "clusterroles", namespaced=False),
    _builtin(_RBAC, "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    _builtin(_RBAC, "Role", "roles"),
    _builtin(_RBAC, "RoleBinding", "rolebindings"),
    _builtin(CRD_GROUP, "CustomResourceDefinition", "customresourcedefinitions", "crd crds",
             namespaced=False, has_status=True, categories=("api-extensions",),
             has_generation=True),
)  # fmt: skip


class Registry:
    """Which resources exist right now."""

    def __init__(self, builtins: tuple[Resource, ...] = BUILTINS) -> None:
        self._by_path: dict[tuple[str, str, str], Resource] = {}
        for resource in builtins:
            self.add(resource)

    def add(self, resource: Resource) -> None:
        """Serve ``resource``, or replace what is served at its path."""
        self._by_path[resource.group, resource.version, resource.plural] = resource

    def remove(self, key: GroupResource) -> None:
        """Stop serving every version of a resource."""
        self._by_path = {path: res for path, res in self._by_path.items() if res.key != key}

    def get(self, group: str, version: str, plural: str) -> Resource | None:
        """Return the resource served at ``/apis/<group>/<version>/<plural>``."""
        return self._by_path.get((group, version, plural))

    def versions_of(self, key: GroupResource) -> list[Resource]:
        """Return every served version of one resource."""
        return [res for res in self._by_path.values() if res.key == key]

    def __iter__(self) -> Iterator[Resource]:
        return iter(tuple(self._by_path.values()))

    def group_versions(self) -> dict[str, list[str]]:
        """Return the served versions per group, most preferred first."""
        groups: dict[str, list[str]] = {}
        for resource in self:
            versions = groups.setdefault(resource.group, [])
            if resource.version not in versions:
                versions.append(resource.version)
        return {group: sorted(versions, key=_preference) for group, versions in groups.items()}


def _preference(version: str) -> tuple[int, int, int]:
    """Order v2, v1, v1beta2, v1beta1, v1alpha1."""
    for rank, word in enumerate(("beta", "alpha"), start=1):
        major, found, minor = version.partition(word)
        if found:
            return (rank, -int(major[1:] or 0), -int(minor or 0))
    return (0, -int(version[1:] or 0), 0) if version[1:].isdigit() else (3, 0, 0)
