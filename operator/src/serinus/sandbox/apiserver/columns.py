"""The columns of built-in kinds in ``kubectl get``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from serinus.sandbox.apiserver.resources import Column, Resource

Object: TypeAlias = dict[str, Any]
Cells: TypeAlias = Callable[[Object, float], list[Any]]

_NONE = "<none>"
_RBAC = "rbac.authorization.k8s.io"


def _age(obj: Object, now: float) -> str:
    from serinus.sandbox.apiserver.printing import age

    return age(obj["metadata"].get("creationTimestamp"), now)


def _joined(values: Sequence[Any]) -> str:
    return ",".join(str(value) for value in values if value) or _NONE


def _selector(labels: Mapping[str, str] | None) -> str:
    return _joined([f"{key}={value}" for key, value in (labels or {}).items()])


def _pod_reason(pod: Object) -> str:
    status = pod.get("status", {})
    reason = status.get("reason") or status.get("phase", "Unknown")
    running = False
    for container in reversed(status.get("containerStatuses") or []):
        state = container.get("state") or {}
        if why := (state.get("waiting") or {}).get("reason"):
            reason = why
        elif ended := state.get("terminated"):
            code = ended.get("exitCode", 0)
            signal = ended.get("signal")
            reason = ended.get("reason") or (f"Signal:{signal}" if signal else f"ExitCode:{code}")
        elif container.get("ready") and "running" in state:
            running = True
    if reason == "Completed" and running:
        reason = "Running" if _is_ready(status) else "NotReady"
    if "deletionTimestamp" in pod["metadata"]:
        reason = "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return str(reason)


def _is_ready(status: Object) -> bool:
    conditions = status.get("conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _pod_restarts(statuses: list[Object], now: float) -> str:
    from serinus.sandbox.apiserver.printing import age

    count = sum(container.get("restartCount", 0) for container in statuses)
    ended = [
        (container.get("lastState") or {}).get("terminated", {}).get("finishedAt")
        for container in statuses
    ]
    last = max((time for time in ended if time), default=None)
    return f"{count} ({age(last, now)} ago)" if count and last else str(count)


def _pod(pod: Object, now: float) -> list[Any]:
    spec, status = pod["spec"], pod.get("status", {})
    statuses = status.get("containerStatuses") or []
    ready = sum(bool(container.get("ready")) for container in statuses)
    gates = spec.get("readinessGates") or []
    return [
        f"{ready}/{len(spec.get('containers') or [])}",
        _pod_reason(pod),
        _pod_restarts(statuses, now),
        _age(pod, now),
        status.get("podIP") or _NONE,
        spec.get("nodeName") or _NONE,
        status.get("nominatedNodeName") or _NONE,
        f"0/{len(gates)}" if gates else _NONE,
    ]


def _template(obj: Object) -> list[str]:
    containers = obj["spec"].get("template", {}).get("spec", {}).get("containers") or []
    labels = (obj["spec"].get("selector") or {}).get("matchLabels")
    return [
        _joined([container.get("name") for container in containers]),
        _joined([container.get("image") for container in containers]),
        _selector(labels),
    ]


def _deployment(obj: Object, now: float) -> list[Any]:
    status = obj.get("status", {})
    return [
        f"{status.get('readyReplicas', 0)}/{obj['spec'].get('replicas', 1)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        _age(obj, now),
        *_template(obj),
    ]


def _replica_set(obj: Object, now: float) -> list[Any]:
    status = obj.get("status", {})
    return [
        obj["spec"].get("replicas", 1),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        _age(obj, now),
        *_template(obj),
    ]


def _service(obj: Object, now: float) -> list[Any]:
    spec = obj["spec"]
    external = _NONE if spec["type"] in ("ClusterIP", "NodePort") else "<pending>"
    ports = [
        f"{port['port']}:{port['nodePort']}/{port['protocol']}"
        if port.get("nodePort")
        else f"{port['port']}/{port['protocol']}"
        for port in spec.get("ports") or []
    ]
    return [
        spec["type"],
        spec.get("clusterIP") or _NONE,
        spec.get("externalName") or external,
        _joined(ports),
        _age(obj, now),
        _selector(spec.get("selector")),
    ]


def _node(obj: Object, now: float) -> list[Any]:
    status = obj.get("status", {})
    info = status.get("nodeInfo", {})
    addresses = {a.get("type"): a.get("address") for a in status.get("addresses") or []}
    words = ["Ready" if _is_ready(status) else "NotReady"]
    if obj.get("spec", {}).get("unschedulable"):
        words.append("SchedulingDisabled")
    prefix = "node-role.kubernetes.io/"
    labels = obj["metadata"].get("labels") or {}
    return [
        ",".join(words),
        _joined([label.removeprefix(prefix) for label in labels if label.startswith(prefix)]),
        _age(obj, now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP") or _NONE,
        addresses.get("ExternalIP") or _NONE,
        info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>",
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _event(obj: Object, now: float) -> list[Any]:
    from serinus.sandbox.apiserver.printing import age

    metadata = obj["metadata"]
    first = obj.get("firstTimestamp") or obj.get("eventTime") or metadata["creationTimestamp"]
    last = (obj.get("series") or {}).get("lastObservedTime") or obj.get("lastTimestamp") or first
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    source = obj.get("source") or obj.get("deprecatedSource") or {}
    component = source.get("component") or obj.get("reportingComponent") or ""
    return [
        age(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{about.get('kind', '').lower()}/{about.get('name', '')}",
        about.get("fieldPath", ""),
        ", ".join(filter(None, (component, source.get("host")))),
        (obj.get("message") or obj.get("note") or "").strip(),
        age(first, now),
        obj.get("count") or 1,
        metadata["name"],
    ]


def _short(values: list[str], limit: int = 3) -> str:
    more = f" + {len(values) - limit} more..." if len(values) > limit else ""
    return (",".join(values[:limit]) + more) or _NONE


def _endpoints(obj: Object, now: float) -> list[Any]:
    pairs = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or []
        for port in subset.get("ports") or []
        for address in subset.get("addresses") or []
    ]
    return [_short(pairs), _age(obj, now)]


def _endpoint_slice(obj: Object, now: float) -> list[Any]:
    addresses = [a for endpoint in obj.get("endpoints") or [] for a in endpoint["addresses"]]
    ports = [str(port.get("port", "*")) for port in obj.get("ports") or []]
    shown = _short(ports) if ports else "<unset>"
    return [obj.get("addressType", ""), shown, _short(addresses) if addresses else "<unset>",
            _age(obj, now)]  # fmt: skip


def _job(obj: Object, now: float) -> list[Any]:
    from serinus.sandbox.apiserver.printing import duration, seconds_of

    spec, status = obj["spec"], obj.get("status", {})
    done = {c["type"] for c in status.get("conditions") or [] if c.get("status") == "True"}
    word = next((w for w in ("Complete", "Failed", "Suspended") if w in done), "Running")
    start = status.get("startTime")
    end = seconds_of(status["completionTime"]) if status.get("completionTime") else now
    took = duration(end - seconds_of(start)) if start else ""
    completions = f"{status.get('succeeded', 0)}/{spec.get('completions', 1)}"
    return [word, completions, took, _age(obj, now), *_template(obj)]


def _binding(obj: Object, now: float) -> list[Any]:
    role = obj.get("roleRef", {})
    names: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in obj.get("subjects") or []:
        space = f"{subject['namespace']}/" if subject.get("namespace") else ""
        names.setdefault(subject.get("kind", ""), []).append(f"{space}{subject.get('name')}")
    people = [", ".join(names[kind]) for kind in ("User", "Group", "ServiceAccount")]
    return [f"{role.get('kind')}/{role.get('name')}", _age(obj, now), *people]


def _created(obj: Object, _: float) -> list[Any]:
    return [obj["metadata"]["creationTimestamp"]]


_TABLES: dict[tuple[str, str], tuple[str, Cells]] = {
    ("", "Pod"): (
        "Ready Status Restarts Age IP* Node* Nominated_Node* Readiness_Gates*", _pod),
    ("apps", "Deployment"): (
        "Ready Up-to-date Available Age Containers* Images* Selector*", _deployment),
    ("apps", "ReplicaSet"): (
        "Desired# Current# Ready# Age Containers* Images* Selector*", _replica_set),
    ("", "Service"): ("Type Cluster-IP External-IP Port(s) Age Selector*", _service),
    ("", "Namespace"): (
        "Status Age", lambda obj, now: [obj.get("status", {}).get("phase"), _age(obj, now)]),
    ("", "Node"): (
        "Status Roles Age Version Internal-IP* External-IP* OS-Image* Kernel-Version* Runtime*",
        _node),
    ("", "Event"): (
        "Last_Seen Type Reason Object Subobject* Source* Message First_Seen* Count#* Name*",
        _event),
    ("events.k8s.io", "Event"): (
        "Last_Seen Type Reason Object Subobject* Source* Message First_Seen* Count#* Name*",
        _event),
    ("", "Endpoints"): ("Endpoints Age", _endpoints),
    ("discovery.k8s.io", "EndpointSlice"): ("AddressType Ports Endpoints Age", _endpoint_slice),
    ("", "ConfigMap"): (
        "Data Age",
        lambda obj, now: [len(obj.get("data") or {}) + len(obj.get("binaryData") or {}),
                          _age(obj, now)]),
    ("", "Secret"): (
        "Type Data Age",
        lambda obj, now: [obj.get("type", ""), len(obj.get("data") or {}), _age(obj, now)]),
    ("", "ServiceAccount"): (
        "Secrets# Age", lambda obj, now: [len(obj.get("secrets") or []), _age(obj, now)]),
    ("batch", "Job"): (
        "Status Completions Duration Age Containers* Images* Selector*", _job),
    ("coordination.k8s.io", "Lease"): (
        "Holder Age",
        lambda obj, now: [(obj.get("spec") or {}).get("holderIdentity", ""), _age(obj, now)]),
    (_RBAC, "ClusterRole"): ("Created_At", _created),
    (_RBAC, "Role"): ("Created_At", _created),
    (_RBAC, "ClusterRoleBinding"): ("Role Age Users* Groups* ServiceAccounts*", _binding),
    (_RBAC, "RoleBinding"): ("Role Age Users* Groups* ServiceAccounts*", _binding),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): ("Created_At", _created),
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
