"""The columns of built-in kinds in ``kubectl get``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from serinus.sandbox.apiserver import rows
from serinus.sandbox.apiserver.resources import Column, Resource

Object: TypeAlias = dict[str, Any]
Cells: TypeAlias = Callable[[Object, float], list[Any]]

_RBAC = "rbac.authorization.k8s.io"

_TABLES: dict[tuple[str, str], tuple[str, Cells]] = {
    ("", "Pod"): (
        "Ready Status Restarts Age IP* Node* Nominated_Node* Readiness_Gates*", rows.pod),
    ("apps", "Deployment"): (
        "Ready Up-to-date Available Age Containers* Images* Selector*", rows.deployment),
    ("apps", "ReplicaSet"): (
        "Desired# Current# Ready# Age Containers* Images* Selector*", rows.replica_set),
    ("", "Service"): ("Type Cluster-IP External-IP Port(s) Age Selector*", rows.service),
    ("", "Namespace"): (
        "Status Age", lambda obj, now: [obj.get("status", {}).get("phase"), rows.age_of(obj, now)]),
    ("", "Node"): (
        "Status Roles Age Version Internal-IP* External-IP* OS-Image* Kernel-Version* Runtime*",
        rows.node),
    ("", "Event"): (
        "Last_Seen Type Reason Object Subobject* Source* Message First_Seen* Count#* Name*",
        rows.event),
    ("events.k8s.io", "Event"): (
        "Last_Seen Type Reason Object Subobject* Source* Message First_Seen* Count#* Name*",
        rows.event),
    ("", "Endpoints"): ("Endpoints Age", rows.endpoints),
    ("discovery.k8s.io", "EndpointSlice"): ("AddressType Ports Endpoints Age", rows.endpoint_slice),
    ("", "ConfigMap"): (
        "Data Age",
        lambda obj, now: [len(obj.get("data") or {}) + len(obj.get("binaryData") or {}),
                          rows.age_of(obj, now)]),
    ("", "Secret"): (
        "Type Data Age",
        lambda obj, now: [obj.get("type", ""), len(obj.get("data") or {}), rows.age_of(obj, now)]),
    ("", "ServiceAccount"): (
        "Secrets# Age", lambda obj, now: [len(obj.get("secrets") or []), rows.age_of(obj, now)]),
    ("batch", "Job"): (
        "Status Completions Duration Age Containers* Images* Selector*", rows.job),
    ("coordination.k8s.io", "Lease"): (
        "Holder Age",
        lambda obj, now: [(obj.get("spec") or {}).get("holderIdentity", ""), rows.age_of(obj, now)]),
    ("networking.k8s.io", "Ingress"): ("Class Hosts Address Ports Age", rows.ingress),
    ("networking.k8s.io", "IngressClass"): (
        "Controller Age",
        lambda obj, now: [(obj.get("spec") or {}).get("controller", ""), rows.age_of(obj, now)]),
    ("policy", "PodDisruptionBudget"): (
        "Min_Available Max_Unavailable Allowed_Disruptions# Age", rows.disruption_budget),
    ("autoscaling", "HorizontalPodAutoscaler"): (
        "Reference MinPods MaxPods Replicas# Age", rows.autoscaler),
    (_RBAC, "ClusterRole"): ("Created_At", rows.created),
    (_RBAC, "Role"): ("Created_At", rows.created),
    (_RBAC, "ClusterRoleBinding"): ("Role Age Users* Groups* ServiceAccounts*", rows.binding),
    (_RBAC, "RoleBinding"): ("Role Age Users* Groups* ServiceAccounts*", rows.binding),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): ("Created_At", rows.created),
}  # fmt: skip


def _column(word: str) -> Column:
    """``Name*`` is shown by -o wide only, ``Name#`` is a number."""
    name = word.strip("*#").replace("_", " ")
    kind = "integer" if "#" in word else "string"
    return Column(name, kind, priority=int(word.endswith("*")))


_DEFINITIONS: dict[tuple[str, str], tuple[Column, ...]] = {
    key: (Column("Name", "string", format="name"), *map(_column, words.split()))
    for key, (words, _) in _TABLES.items()
}


def definitions(resource: Resource) -> tuple[Column, ...]:
    """Return the columns of a built-in kind, ``Name`` first; empty when it has only an age."""
    if resource.kind == "Event":  # events are looked up by time, their names say nothing
        return _DEFINITIONS[resource.group, "Event"][1:]
    return _DEFINITIONS.get((resource.group, resource.kind), ())


def cells(resource: Resource, obj: Object, now: float) -> list[Any]:
    """Return the cells after the name."""
    return _TABLES[resource.group, resource.kind][1](obj, now)
