"""What the server knows about single built-in kinds: defaults, first status, own rules."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, TypeAlias

import orjson

from serinus.sandbox.apiserver.errors import Cause
from serinus.sandbox.apiserver.resources import Resource

Object: TypeAlias = dict[str, Any]


def _default_container(container: Object) -> None:
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("resources", {})
    image = container.get("image", "")
    tag = image.rsplit("/", 1)[-1].partition(":")[2]
    latest = "@" not in image and tag in ("", "latest")
    container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
    for port in container.get("ports") or []:
        port.setdefault("protocol", "TCP")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe := container.get(name):
            probe.setdefault("timeoutSeconds", 1)
            probe.setdefault("periodSeconds", 10)
            probe.setdefault("successThreshold", 1)
            probe.setdefault("failureThreshold", 3)
            if get := probe.get("httpGet"):
                get.setdefault("path", "/")
                get.setdefault("scheme", "HTTP")
    for variable in container.get("env") or []:
        if ref := (variable.get("valueFrom") or {}).get("fieldRef"):
            ref.setdefault("apiVersion", "v1")


def _default_pod_spec(spec: Object) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    if "serviceAccountName" in spec:
        spec.setdefault("serviceAccount", spec["serviceAccountName"])
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        _default_container(container)
    for volume in spec.get("volumes") or []:
        for source in ("secret", "configMap", "downwardAPI", "projected"):
            if source in volume:
                volume[source].setdefault("defaultMode", 0o644)


def _default_pod(pod: Object) -> None:
    spec = pod.setdefault("spec", {})
    _default_pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)


def _default_deployment(deployment: Object) -> None:
    spec = deployment.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxSurge", "25%")
        rolling.setdefault("maxUnavailable", "25%")
    if pod_spec := spec.get("template", {}).get("spec"):
        _default_pod_spec(pod_spec)


def _default_replica_set(replica_set: Object) -> None:
    spec = replica_set.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    if pod_spec := spec.get("template", {}).get("spec"):
        _default_pod_spec(pod_spec)


def _default_job(job: Object) -> None:
    spec = job.setdefault("spec", {})
    spec.setdefault("parallelism", 1)
    spec.setdefault("completions", 1)
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    if pod_spec := spec.get("template", {}).get("spec"):
        _default_pod_spec(pod_spec)
    uid = job["metadata"].get("uid")
    if uid and "selector" not in spec and not spec.get("manualSelector"):
        labels = {"batch.kubernetes.io/controller-uid": uid}
        spec["selector"] = {"matchLabels": labels}
        metadata = spec.setdefault("template", {}).setdefault("metadata", {})
        names = {"batch.kubernetes.io/job-name": job["metadata"]["name"], **labels}
        metadata["labels"] = {**(metadata.get("labels") or {}), **names}


def _default_service(service: Object) -> None:
    spec = service.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    if spec["type"] != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
    if spec.get("clusterIP"):
        spec.setdefault("clusterIPs", [spec["clusterIP"]])


def _default_secret(secret: Object) -> None:
    secret.setdefault("type", "Opaque")
    if text := secret.pop("stringData", None):
        encoded = {key: base64.b64encode(val.encode()).decode() for key, val in text.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}


def _default_namespace(namespace: Object) -> None:
    namespace.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    labels = namespace["metadata"].setdefault("labels", {})
    if name := namespace["metadata"].get("name"):
        labels["kubernetes.io/metadata.name"] = name


def _default_ports(obj: Object) -> None:
    subsets = obj.get("subsets") or [obj]
    for port in [port for subset in subsets for port in subset.get("ports") or []]:
        port.setdefault("protocol", "TCP")
        if "subsets" not in obj:
            port.setdefault("name", "")


def _default_binding(binding: Object) -> None:
    binding.get("roleRef", {}).setdefault("apiGroup", "rbac.authorization.k8s.io")
    for subject in binding.get("subjects") or []:
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", "rbac.authorization.k8s.io")


def _default_crd(crd: Object) -> None:
    spec = crd.setdefault("spec", {})
    spec.setdefault("conversion", {}).setdefault("strategy", "None")
    names = spec.setdefault("names", {})
    kind = names.get("kind", "")
    names.setdefault("singular", kind.lower())
    names.setdefault("listKind", f"{kind}List")


_DEFAULTS: dict[tuple[str, str], Callable[[Object], None]] = {
    ("", "Pod"): _default_pod,
    ("", "Service"): _default_service,
    ("", "Secret"): _default_secret,
    ("", "Namespace"): _default_namespace,
    ("", "Endpoints"): _default_ports,
    ("discovery.k8s.io", "EndpointSlice"): _default_ports,
    ("apps", "Deployment"): _default_deployment,
    ("apps", "ReplicaSet"): _default_replica_set,
    ("batch", "Job"): _default_job,
    ("rbac.authorization.k8s.io", "RoleBinding"): _default_binding,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _default_binding,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _default_crd,
}


def apply_builtin_defaults(resource: Resource, obj: Object) -> None:
    """Fill in what the real server fills in for this kind, as far as anyone here needs it."""
    if default := _DEFAULTS.get((resource.group, resource.kind)):
        default(obj)


def first_status(resource: Resource, given: Object | None) -> Object | None:
    """Return the status of a new built-in object; what the client sent mostly does not count."""
    match resource.kind:
        case "Pod":
            return {"phase": "Pending", "qosClass": "BestEffort"}
        case "Namespace":
            return {"phase": "Active"}
        case "Service":
            return {"loadBalancer": {}}
        case "Node":
            return given or {}
        case _:
            return {}


def _required(field: str) -> Cause:
    return Cause(field, "FieldValueRequired", "Required value")


def _check_pod_spec(spec: Object, path: str) -> list[Cause]:
    containers = spec.get("containers") or []
    causes = [] if containers else [_required(f"{path}.containers")]
    seen: set[str] = set()
    for index, container in enumerate(containers):
        here = f"{path}.containers[{index}]"
        name = container.get("name")
        if not name:
            causes.append(_required(f"{here}.name"))
        elif name in seen:
            why = f'Duplicate value: "{name}"'
            causes.append(Cause(f"{here}.name", "FieldValueDuplicate", why))
        seen.add(name or "")
        if not container.get("image"):
            causes.append(_required(f"{here}.image"))
    return causes


def _check_workload(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    causes = []
    if spec.get("replicas", 0) < 0:
        why = f"Invalid value: {spec['replicas']}: must be greater than or equal to 0"
        causes.append(Cause("spec.replicas", "FieldValueInvalid", why))
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate" and strategy.get("rollingUpdate"):
        why = "Forbidden: may not be specified when strategy `type` is 'Recreate'"
        causes.append(Cause("spec.strategy.rollingUpdate", "FieldValueForbidden", why))
    template = spec.get("template") or {}
    selector = spec.get("selector")
    if not selector:
        causes.append(_required("spec.selector"))
    else:
        have = (template.get("metadata") or {}).get("labels") or {}
        wanted = selector.get("matchLabels") or {}
        if any(have.get(key) != value for key, value in wanted.items()):
            shown = orjson.dumps(have).decode()
            why = f"Invalid value: {shown}: `selector` does not match template `labels`"
            causes.append(Cause("spec.template.metadata.labels", "FieldValueInvalid", why))
    return causes + _check_pod_spec(template.get("spec") or {}, "spec.template.spec")


def _check_pod(obj: Object) -> list[Cause]:
    return _check_pod_spec(obj["spec"], "spec")


def _check_service(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    headless = spec.get("clusterIP") == "None" or spec["type"] == "ExternalName"
    causes = [] if spec.get("ports") or headless else [_required("spec.ports")]
    several = len(spec.get("ports") or []) > 1
    for index, port in enumerate(spec.get("ports") or []):
        if several and not port.get("name"):
            causes.append(_required(f"spec.ports[{index}].name"))
        if not 0 < port.get("port", 0) < 65536:
            why = f"Invalid value: {port.get('port', 0)}: must be between 1 and 65535, inclusive"
            causes.append(Cause(f"spec.ports[{index}].port", "FieldValueInvalid", why))
    return causes


def _check_crd(obj: Object) -> list[Cause]:
    spec, causes = obj["spec"], []
    names = spec.get("names", {})
    wanted = f"{names.get('plural')}.{spec.get('group')}"
    if obj["metadata"]["name"] != wanted:
        why = (
            f'Invalid value: "{obj["metadata"]["name"]}": must be spec.names.plural+"."+spec.group'
        )
        causes.append(Cause("metadata.name", "FieldValueInvalid", why))
    causes += [
        _required(f"spec.names.{name}") for name in ("plural", "kind") if not names.get(name)
    ]
    if spec.get("scope") not in ("Namespaced", "Cluster"):
        causes.append(_required("spec.scope"))
    versions = spec.get("versions") or []
    if sum(bool(version.get("storage")) for version in versions) != 1:
        why = "Invalid value: must have exactly one version marked as storage version"
        causes.append(Cause("spec.versions", "FieldValueInvalid", why))
    for index, version in enumerate(versions):
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            causes.append(_required(f"spec.versions[{index}].schema.openAPIV3Schema"))
    if spec.get("conversion", {}).get("strategy", "None") != "None":
        why = 'Unsupported value: "Webhook": supported values: "None"'
        causes.append(Cause("spec.conversion.strategy", "FieldValueNotSupported", why))
    return causes


_CHECKS: dict[tuple[str, str], Callable[[Object], list[Cause]]] = {
    ("", "Pod"): _check_pod,
    ("", "Service"): _check_service,
    ("apps", "Deployment"): _check_workload,
    ("apps", "ReplicaSet"): _check_workload,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _check_crd,
}


def check_builtin(resource: Resource, obj: Object) -> list[Cause]:
    """Return what breaks this kind's own rules."""
    check = _CHECKS.get((resource.group, resource.kind))
    return check(obj) if check else []


_IMMUTABLE: dict[tuple[str, str], tuple[str, ...]] = {
    ("apps", "Deployment"): ("spec.selector",),
    ("apps", "ReplicaSet"): ("spec.selector",),
    ("batch", "Job"): ("spec.selector", "spec.template"),
    ("rbac.authorization.k8s.io", "RoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("roleRef",),
}


def check_immutable(resource: Resource, before: Object, after: Object) -> list[Cause]:
    """Return which fields of this kind were changed although they never may."""
    causes = []
    for path in _IMMUTABLE.get((resource.group, resource.kind), ()):
        old: Any = before
        new: Any = after
        for part in path.split("."):
            old, new = (old or {}).get(part), (new or {}).get(part)
        if old != new:
            shown = orjson.dumps(new).decode()
            why = f"Invalid value: {shown}: field is immutable"
            causes.append(Cause(path, "FieldValueInvalid", why))
    return causes
