"""EndpointSlices of a Service: which pods answer for it, on which ports.

The older Endpoints objects are not made: a real API server refuses loopback addresses in them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from serinus.sandbox.objects import (
    Object,
    condition_is_true,
    is_deleting,
    labels_of,
    matches,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
)
from serinus.sandbox.resources import SERVICES

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"


def selects(service: Object, pod: Object) -> bool:
    """Whether the pod belongs to the Service. A Service without selector selects nothing."""
    selector = service["spec"].get("selector")
    if not selector or namespace_of(service) != namespace_of(pod):
        return False
    return matches({"matchLabels": selector}, labels_of(pod))


def slices(service: Object, pods: Iterable[Object]) -> tuple[Object, ...]:
    """The EndpointSlices of a Service: one for each way its ports map to the pods'."""
    groups: dict[str, tuple[list[Object], list[Object]]] = {}
    for pod in sorted(pods, key=name_of):
        if not _has_address(pod):
            continue
        ports = _ports(service, pod)
        group = groups.setdefault(json.dumps(ports, sort_keys=True), (ports, []))
        group[1].append(_endpoint(service, pod))
    if not groups:
        groups["[]"] = ([], [])
    return tuple(_slice(service, ports, members) for ports, members in groups.values())


def _has_address(pod: Object) -> bool:
    status = pod.get("status") or {}
    return bool(status.get("podIP")) and status.get("phase") not in {"Succeeded", "Failed"}


def _endpoint(service: Object, pod: Object) -> Object:
    serving = condition_is_true(pod, "Ready")
    leaving = is_deleting(pod)
    always = bool(service["spec"].get("publishNotReadyAddresses"))
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {
            "ready": always or (serving and not leaving),
            "serving": serving,
            "terminating": leaving,
        },
        "nodeName": pod["spec"].get("nodeName", ""),
        "targetRef": {
            "kind": "Pod",
            "namespace": namespace_of(pod),
            "name": name_of(pod),
            "uid": uid_of(pod),
        },
    }


def _ports(service: Object, pod: Object) -> list[Object]:
    ports = []
    for port in service["spec"].get("ports") or []:
        target = port.get("targetPort", port["port"])
        number = target if isinstance(target, int) else _named_port(pod, target)
        if number is not None:
            ports.append(
                {
                    "name": port.get("name", ""),
                    "port": number,
                    "protocol": port.get("protocol", "TCP"),
                }
            )
    return ports


def _named_port(pod: Object, name: str) -> int | None:
    for container in pod["spec"].get("containers") or []:
        for port in container.get("ports") or []:
            if port.get("name") == name:
                return int(port["containerPort"])
    return None


def _slice(service: Object, ports: list[Object], members: list[Object]) -> Object:
    suffix = hashlib.sha256(json.dumps(ports, sort_keys=True).encode()).hexdigest()[:5]
    return {
        "metadata": {
            "name": f"{name_of(service)[:57]}-{suffix}",
            "namespace": namespace_of(service),
            # A Service's slices have its labels; people and operators select by them.
            "labels": {
                **labels_of(service),
                SERVICE_NAME: name_of(service),
                MANAGED_BY: MANAGER,
            },
            "ownerReferences": [owner_reference(service, SERVICES)],
        },
        "addressType": "IPv4",
        "endpoints": members,
        "ports": ports,
    }
