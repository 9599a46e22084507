"""What a container is to run: command, environment, limits, read from the pod's spec."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serinus.sandbox.node import images
from serinus.sandbox.objects import Object, annotations_of, labels_of, name_of, namespace_of, uid_of
from serinus_server import contract

ENV_TERMINATION_LOG = "SERINUS_TERMINATION_LOG"
_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_REFERENCE = re.compile(r"\$(\$|\(([A-Za-z_][\w.-]*)\))")


class ConfigError(Exception):
    """The container cannot be made; the message is for `kubectl describe pod`."""


@dataclass(frozen=True, slots=True)
class Values:
    """ConfigMaps and Secrets that a container's environment may be filled from."""

    config_maps: Mapping[str, Mapping[str, str]]
    secrets: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Launch:
    """A container as a process: everything that is needed to start it."""

    command: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    memory_limit: int | None  # bytes


def unsupported(pod: Object) -> str | None:
    """Why the node cannot run the pod faithfully, if it cannot."""
    spec = pod["spec"]
    if spec.get("initContainers"):
        return "the sandbox's node does not run init containers"
    if spec.get("hostNetwork"):
        return "the sandbox's node has no host network for pods"
    mounts = {
        mount["name"]
        for container in spec["containers"]
        for mount in container.get("volumeMounts") or []
        if mount["mountPath"] != _SERVICE_ACCOUNT
    }
    for volume in spec.get("volumes") or []:
        if volume["name"] in mounts and "emptyDir" not in volume:
            return f"volume {volume['name']!r}: the sandbox's node mounts emptyDir only"
    for container in spec["containers"]:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if "grpc" in (container.get(probe) or {}):
                return f"{probe} of {container['name']!r}: gRPC probes are not implemented"
    return None


def references(pod: Object) -> tuple[set[str], set[str]]:
    """Names of the ConfigMaps and of the Secrets that the containers' environments use."""
    maps: set[str] = set()
    secrets: set[str] = set()
    for container in pod["spec"]["containers"]:
        for source in container.get("envFrom") or []:
            maps.update(_name(source, "configMapRef"))
            secrets.update(_name(source, "secretRef"))
        for variable in container.get("env") or []:
            source = variable.get("valueFrom") or {}
            maps.update(_name(source, "configMapKeyRef"))
            secrets.update(_name(source, "secretKeyRef"))
    return maps, secrets


def _name(source: Object, field: str) -> list[str]:
    return [source[field]["name"]] if field in source else []


def launch(pod: Object, container: Object, values: Values, folder: Path) -> Launch:
    """How to start the container. ``folder`` is the pod's own. Raises ConfigError."""
    base = images.entrypoint(container["image"])
    if base is None:
        raise ConfigError(f"image {container['image']!r} is not on this node")
    env = _base_environment(folder) | _container_environment(pod, container, values)
    env[contract.ENV_HOST] = pod["status"]["podIP"]
    env[ENV_TERMINATION_LOG] = str(termination_log(folder, container["name"]))
    command = container.get("command") or base
    limit = ((container.get("resources") or {}).get("limits") or {}).get("memory")
    return Launch(
        command=tuple(_expand(word, env) for word in [*command, *(container.get("args") or [])]),
        env=env,
        cwd=folder,
        memory_limit=None if limit is None else quantity(limit),
    )


def termination_log(folder: Path, container: str) -> Path:
    """The file in which a container leaves its last words."""
    return folder / container / "termination-log"


def _base_environment(folder: Path) -> dict[str, str]:
    """An image's environment, not that of whoever started the sandbox."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }


def _container_environment(pod: Object, container: Object, values: Values) -> dict[str, str]:
    env: dict[str, str] = {"HOSTNAME": name_of(pod)}
    for source in container.get("envFrom") or []:
        prefix = source.get("prefix", "")
        for field, found in (("configMapRef", values.config_maps), ("secretRef", values.secrets)):
            if field not in source:
                continue
            reference = source[field]
            data = found.get(reference["name"])
            if data is None and not reference.get("optional"):
                raise ConfigError(f'{_KINDS[field]} "{reference["name"]}" not found')
            env |= {prefix + key: value for key, value in (data or {}).items()}
    for variable in container.get("env") or []:
        if "valueFrom" in variable:
            value = _from(pod, container, variable["valueFrom"], values)
            if value is not None:
                env[variable["name"]] = value
        else:
            env[variable["name"]] = _expand(variable.get("value", ""), env)
    return env


_KINDS = {
    "configMapRef": "configmap",
    "secretRef": "secret",
    "configMapKeyRef": "configmap",
    "secretKeyRef": "secret",
}


def _from(pod: Object, container: Object, source: Object, values: Values) -> str | None:
    if "fieldRef" in source:
        return pod_field(pod, source["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in source:
        return _resource_field(container, source["resourceFieldRef"])
    for field, found in (("configMapKeyRef", values.config_maps), ("secretKeyRef", values.secrets)):
        if field not in source:
            continue
        reference = source[field]
        data = found.get(reference["name"])
        if data is not None and reference["key"] in data:
            return data[reference["key"]]
        if reference.get("optional"):
            return None
        if data is None:
            raise ConfigError(f'{_KINDS[field]} "{reference["name"]}" not found')
        raise ConfigError(
            f"couldn't find key {reference['key']} in {_KINDS[field]} {reference['name']}"
        )
    raise ConfigError(f"env source {sorted(source)} is not implemented by the sandbox's node")


def pod_field(pod: Object, path: str) -> str:
    """The value of a downward API field. Raises ConfigError for one that does not exist."""
    if keyed := re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path):
        source = labels_of(pod) if keyed[1] == "labels" else annotations_of(pod)
        return source.get(keyed[2], "")
    simple: dict[str, Any] = {
        "metadata.name": name_of(pod),
        "metadata.namespace": namespace_of(pod),
        "metadata.uid": uid_of(pod),
        "spec.nodeName": pod["spec"].get("nodeName", ""),
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", "default"),
        "status.podIP": (pod.get("status") or {}).get("podIP", ""),
        "status.podIPs": (pod.get("status") or {}).get("podIP", ""),
        "status.hostIP": (pod.get("status") or {}).get("hostIP", ""),
    }
    if path not in simple:
        raise ConfigError(f"fieldPath {path!r} is not supported")
    return str(simple[path])


def _resource_field(container: Object, reference: Object) -> str:
    section, _, name = reference["resource"].partition(".")
    value = ((container.get("resources") or {}).get(section) or {}).get(name)
    if value is None:
        raise ConfigError(f"the container has no {reference['resource']}")
    divisor = reference.get("divisor") or "1"
    amount, unit = _scaled(str(value)), _scaled(str(divisor)) or 1.0
    return str(-int(-amount // unit))


def quantity(text: str | int) -> int:
    """A Kubernetes quantity as a whole number, for memory: bytes. Raises ConfigError."""
    return int(_scaled(str(text)))


_UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12} | {
    f"{letter}i": 1024.0**power for power, letter in enumerate("KMGT", start=1)
}


def _scaled(text: str) -> float:
    found = re.fullmatch(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)([A-Za-z]*)", text)
    if found is None or found[2] not in _UNITS:
        raise ConfigError(f"quantity {text!r} is not understood")
    return float(found[1]) * _UNITS[found[2]]


def _expand(text: str, env: Mapping[str, str]) -> str:
    """Kubernetes' ``$(NAME)``; an unknown name stays as it is, ``$$`` is one dollar."""

    def value(found: re.Match[str]) -> str:
        if found[1] == "$":
            return "$"
        return env.get(found[2], found[0])

    return _REFERENCE.sub(value, text)


def decoded(data: Mapping[str, str]) -> dict[str, str]:
    """A Secret's data as text."""
    return {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}
