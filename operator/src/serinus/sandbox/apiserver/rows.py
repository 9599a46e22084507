"""The cells of built-in kinds in ``kubectl get``, after the name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from serinus.sandbox.apiserver.ages import age, duration, seconds_of

Object: TypeAlias = dict[str, Any]

_NONE = "<none>"


def age_of(obj: Object, now: float) -> str:
    """Return how long ago the object was created."""
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
    count = sum(container.get("restartCount", 0) for container in statuses)
    ended = [
        (container.get("lastState") or {}).get("terminated", {}).get("finishedAt")
        for container in statuses
    ]
    last = max((time for time in ended if time), default=None)
    return f"{count} ({age(last, now)} ago)" if count and last else str(count)


def pod(pod: Object, now: float) -> list[Any]:
    """Ready, status, restarts, age, IP, node, nominated node, readiness gates."""
    spec, status = pod["spec"], pod.get("status", {})
    statuses = status.get("containerStatuses") or []
    ready = sum(bool(container.get("ready")) for container in statuses)
    gates = spec.get("readinessGates") or []
    return [
        f"{ready}/{len(spec.get('containers') or [])}",
        _pod_reason(pod),
        _pod_restarts(statuses, now),
        age_of(pod, now),
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


def deployment(obj: Object, now: float) -> list[Any]:
    """Ready, up-to-date, available, age, containers, images, selector."""
    status = obj.get("status", {})
    return [
        f"{status.get('readyReplicas', 0)}/{obj['spec'].get('replicas', 1)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        age_of(obj, now),
        *_template(obj),
    ]


def replica_set(obj: Object, now: float) -> list[Any]:
    """Desired, current, ready, age, containers, images, selector."""
    status = obj.get("status", {})
    return [
        obj["spec"].get("replicas", 1),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        age_of(obj, now),
        *_template(obj),
    ]


def service(obj: Object, now: float) -> list[Any]:
    """Type, cluster IP, external IP, ports, age, selector."""
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
        age_of(obj, now),
        _selector(spec.get("selector")),
    ]


def node(obj: Object, now: float) -> list[Any]:
    """Status, roles, age, version, addresses, system."""
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
        age_of(obj, now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP") or _NONE,
        addresses.get("ExternalIP") or _NONE,
        info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>",
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def event(obj: Object, now: float) -> list[Any]:
    """Last seen, type, reason, object, where, source, message, first seen, count, name."""
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


def endpoints(obj: Object, now: float) -> list[Any]:
    """Endpoints, age."""
    pairs = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or []
        for port in subset.get("ports") or []
        for address in subset.get("addresses") or []
    ]
    return [_short(pairs), age_of(obj, now)]


def endpoint_slice(obj: Object, now: float) -> list[Any]:
    """Address type, ports, endpoints, age."""
    addresses = [a for endpoint in obj.get("endpoints") or [] for a in endpoint["addresses"]]
    ports = [str(port.get("port", "*")) for port in obj.get("ports") or []]
    shown = _short(ports) if ports else "<unset>"
    return [obj.get("addressType", ""), shown, _short(addresses) if addresses else "<unset>",
            age_of(obj, now)]  # fmt: skip


def job(obj: Object, now: float) -> list[Any]:
    """Status, completions, duration, age, containers, images, selector."""
    spec, status = obj["spec"], obj.get("status", {})
    done = {c["type"] for c in status.get("conditions") or [] if c.get("status") == "True"}
    word = next((w for w in ("Complete", "Failed", "Suspended") if w in done), "Running")
    start = status.get("startTime")
    end = seconds_of(status["completionTime"]) if status.get("completionTime") else now
    took = duration(end - seconds_of(start)) if start else ""
    completions = f"{status.get('succeeded', 0)}/{spec.get('completions', 1)}"
    return [word, completions, took, age_of(obj, now), *_template(obj)]


def binding(obj: Object, now: float) -> list[Any]:
    """Role, age, users, groups, service accounts."""
    role = obj.get("roleRef", {})
    names: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in obj.get("subjects") or []:
        space = f"{subject['namespace']}/" if subject.get("namespace") else ""
        names.setdefault(subject.get("kind", ""), []).append(f"{space}{subject.get('name')}")
    people = [", ".join(names[kind]) for kind in ("User", "Group", "ServiceAccount")]
    return [f"{role.get('kind')}/{role.get('name')}", age_of(obj, now), *people]


def created(obj: Object, _: float) -> list[Any]:
    """Created at."""
    return [obj["metadata"]["creationTimestamp"]]


def ingress(obj: Object, now: float) -> list[Any]:
    """Class, hosts, address, ports, age."""
    spec = obj.get("spec", {})
    hosts = [rule.get("host") or "*" for rule in spec.get("rules") or []]
    balancer = (obj.get("status") or {}).get("loadBalancer") or {}
    addresses = [
        entry.get("ip") or entry.get("hostname") for entry in balancer.get("ingress") or []
    ]
    ports = "80, 443" if spec.get("tls") else "80"
    name = spec.get("ingressClassName") or _NONE
    return [name, _short(hosts) if hosts else "*", ",".join(addresses), ports, age_of(obj, now)]


def disruption_budget(obj: Object, now: float) -> list[Any]:
    """Min available, max unavailable, allowed disruptions, age."""
    spec = obj.get("spec", {})
    limits = [str(spec.get(name, "N/A")) for name in ("minAvailable", "maxUnavailable")]
    allowed = (obj.get("status") or {}).get("disruptionsAllowed", 0)
    return [*limits, allowed, age_of(obj, now)]


def autoscaler(obj: Object, now: float) -> list[Any]:
    """Reference, minimum, maximum, replicas, age."""
    spec = obj["spec"]
    target = spec.get("scaleTargetRef", {})
    replicas = (obj.get("status") or {}).get("currentReplicas", 0)
    reference = f"{target.get('kind')}/{target.get('name')}"
    return [reference, str(spec.get("minReplicas", 1)), spec.get("maxReplicas"), replicas,
            age_of(obj, now)]  # fmt: skip
