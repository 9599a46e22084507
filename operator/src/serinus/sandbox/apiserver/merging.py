"""How lists and maps of the built-in types are merged: the Kubernetes API conventions, as a table.

The Kubernetes client's models say which fields there are and of which type, not what identifies
an item of a list. Strategic merge patches and server-side apply need to know; lists that are not
here are replaced as a whole. Types are named without their version: they do not differ in this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CONTAINER = {
    "env": "name",
    "ports": "containerPort protocol",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
}
_CONDITIONS = {"conditions": "type"}

# Items with keys. Strategic merge patches know one key only, the first.
_KEYED: Mapping[str, Mapping[str, str]] = {
    "Container": _CONTAINER,
    "ContainerStatus": {"allocatedResourcesStatus": "name", "volumeMounts": "mountPath"},
    "CustomResourceDefinitionStatus": _CONDITIONS,
    "DeploymentStatus": _CONDITIONS,
    "EphemeralContainer": _CONTAINER,
    "HorizontalPodAutoscalerStatus": _CONDITIONS,
    "JSONSchemaProps": {"x-kubernetes-validations": "rule"},
    "JobStatus": _CONDITIONS,
    "NamespaceStatus": _CONDITIONS,
    "NodeStatus": {**_CONDITIONS, "addresses": "type"},
    "ObjectMeta": {"ownerReferences": "uid"},
    "PodDisruptionBudgetStatus": _CONDITIONS,
    "PodSpec": {
        "containers": "name",
        "ephemeralContainers": "name",
        "hostAliases": "ip",
        "imagePullSecrets": "name",
        "initContainers": "name",
        "resourceClaims": "name",
        "schedulingGates": "name",
        "topologySpreadConstraints": "topologyKey whenUnsatisfiable",
        "volumes": "name",
    },
    "PodStatus": {
        **_CONDITIONS,
        "hostIPs": "ip",
        "podIPs": "ip",
        "resourceClaimStatuses": "name",
    },
    "ReplicaSetStatus": _CONDITIONS,
    "ResourceRequirements": {"claims": "name"},
    "ServiceAccount": {"secrets": "name"},
    "ServiceSpec": {"ports": "port protocol"},
    "ServiceStatus": _CONDITIONS,
}

# Items that are their own key.
_SETS: Mapping[str, frozenset[str]] = {
    "Endpoint": frozenset({"addresses"}),
    "NodeSpec": frozenset({"podCIDRs"}),
    "ObjectMeta": frozenset({"finalizers"}),
    "PodFailurePolicyOnExitCodesRequirement": frozenset({"values"}),
    "UncountedTerminatedPods": frozenset({"failed", "succeeded"}),
}
# Sets for server-side apply that a strategic merge patch replaces all the same.
_REPLACED = frozenset({
    "Endpoint.addresses",
    "PodFailurePolicyOnExitCodesRequirement.values",
    "UncountedTerminatedPods.failed",
    "UncountedTerminatedPods.succeeded",
    "ResourceRequirements.claims",
    "CustomResourceDefinitionStatus.conditions",
    "HorizontalPodAutoscalerStatus.conditions",
})  # fmt: skip

# Unions: a patch says which members stay ($retainKeys), so that the others go.
_RETAIN_KEYS = frozenset({
    "DeploymentSpec.strategy",
    "PodSpec.resourceClaims",
    "PodSpec.volumes",
    "PodStatus.resourceClaimStatuses",
})  # fmt: skip

# Maps and structures with one owner as a whole.
_ATOMIC_FIELDS = frozenset({"PodSpec.nodeSelector", "ServiceSpec.selector"})
_ATOMIC_TYPES = frozenset({
    "ConfigMapKeySelector", "EndpointAddress", "FileKeySelector", "LabelSelector",
    "LocalObjectReference", "NodeSelector", "NodeSelectorTerm", "ObjectFieldSelector",
    "ObjectReference", "OwnerReference", "ResourceFieldSelector", "RoleRef", "SecretKeySelector",
    "Subject", "TypedLocalObjectReference",
})  # fmt: skip

# Keys must have a value: these have one when nobody gives it.
_DEFAULTS = {"ContainerPort.protocol": "TCP", "ServicePort.protocol": "TCP"}


def of_type(name: str) -> dict[str, Any]:
    """Return the schema extensions of a type."""
    return {"x-kubernetes-map-type": "atomic"} if name in _ATOMIC_TYPES else {}


def of_field(owner: str, name: str) -> dict[str, Any]:
    """Return the schema extensions of a field, ``name`` as JSON calls it."""
    path = f"{owner}.{name}"
    found: dict[str, Any] = {}
    strategy = []
    if keys := _KEYED.get(owner, {}).get(name, "").split():
        found["x-kubernetes-list-type"] = "map"
        found["x-kubernetes-list-map-keys"] = keys
        strategy = ["merge"]
    elif name in _SETS.get(owner, ()):
        found["x-kubernetes-list-type"] = "set"
        strategy = ["merge"]
    if path in _REPLACED:
        strategy = []
    elif keys:
        found["x-kubernetes-patch-merge-key"] = keys[0]
    if path in _RETAIN_KEYS:
        strategy.append("retainKeys")
    if strategy:
        found["x-kubernetes-patch-strategy"] = ",".join(strategy)
    if path in _ATOMIC_FIELDS:
        found["x-kubernetes-map-type"] = "atomic"
    if path in _DEFAULTS:
        found["default"] = _DEFAULTS[path]
    return found
