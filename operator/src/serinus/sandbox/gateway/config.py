"""The configuration of Envoy, as discovery resources by file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serinus.sandbox.gateway import hostnames
from serinus.sandbox.gateway.attach import (
    ADDRESS,
    Attachment,
    Attachments,
    Backend,
    World,
    backends,
    endpoints,
)
from serinus.sandbox.gateway.rules import cluster_name, routes
from serinus.sandbox.objects import Object, key_of

_TYPE = "type.googleapis.com/envoy"
_UNLIMITED = 1_000_000
# Shorter than the model server keeps idle connections, so that it is never the one to close one
# in the moment in which Envoy uses it.
UPSTREAM_IDLE = "3s"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that Envoy is to know. Keys are file names without suffix."""

    clusters: Mapping[str, Object]
    endpoints: Mapping[str, Object]
    route_tables: Mapping[str, Object]
    listeners: Mapping[str, Object]


def file_name(cluster: str) -> str:
    """Name of the file with a cluster's endpoints; ``/`` is in no Kubernetes name, nor is ``_``."""
    return "eds-" + cluster.replace("/", "_")


def snapshot(world: World, attachments: Attachments, folder: Path) -> Snapshot:
    """Translate. ``folder`` is where Envoy will find the files."""
    clusters: dict[str, Object] = {}
    members: dict[str, Object] = {}
    for backend in _used_backends(world, attachments.attached):
        name = cluster_name(backend.service, backend.port)
        clusters[name] = _cluster(name, folder)
        members[file_name(name)] = _load_assignment(name, endpoints(world, backend))
    tables: dict[str, Object] = {}
    listeners: dict[str, Object] = {}
    for port in sorted({entry.port for entry in attachments.listeners if entry.verdict.ok}):
        here = [entry for entry in attachments.attached if entry.listener.port == port]
        tables[f"rds-{port}"] = _route_table(world, port, here)
        listeners[f"port-{port}"] = _listener(port, folder)
    return Snapshot(clusters, members, tables, listeners)


def _used_backends(world: World, attached: Iterable[Attachment]) -> list[Backend]:
    found: dict[tuple[Any, int], Backend] = {}
    for entry in attached:
        for rule in entry.route["spec"].get("rules") or []:
            for backend in backends(world, entry.route, rule):
                if backend.problem is None:
                    found[backend.service, backend.port] = backend
    return [found[key] for key in sorted(found)]


def _route_table(world: World, port: int, here: list[Attachment]) -> Object:
    hosts = sorted({host for entry in here for host in entry.hosts}, key=_host_order)
    virtual = []
    for host in hosts:
        # A request that no route of its own host matches may match those of a wider one.
        wider = [other for other in hosts if hostnames.covers(other, host)]
        entries: list[Object] = []
        for other in wider:
            serving = {key_of(e.route): e.route for e in here if other in e.hosts}
            entries += routes(world, serving.values())
        virtual.append({"name": host, "domains": [host], "routes": entries})
    return {
        "@type": f"{_TYPE}.config.route.v3.RouteConfiguration",
        "name": f"port-{port}",
        "ignore_port_in_host_matching": True,
        "virtual_hosts": virtual,
    }


def _host_order(host: str) -> tuple[tuple[int, int], str]:
    return hostnames.specificity(host), host


def _listener(port: int, folder: Path) -> Object:
    manager = {
        "@type": f"{_TYPE}.extensions.filters.network.http_connection_manager"
        ".v3.HttpConnectionManager",
        "stat_prefix": f"port-{port}",
        "rds": {
            "route_config_name": f"port-{port}",
            "config_source": _file_source(folder / f"rds-{port}.json"),
        },
        "normalize_path": True,
        "server_header_transformation": "PASS_THROUGH",
        "use_remote_address": True,
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPE}.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    network_filter = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": manager,
    }
    return {
        "@type": f"{_TYPE}.config.listener.v3.Listener",
        "name": f"port-{port}",
        "address": {"socket_address": {"address": ADDRESS, "port_value": port}},
        "enable_reuse_port": False,  # a port that another program has must be an error
        "filter_chains": [{"filters": [network_filter]}],
    }


def _cluster(name: str, folder: Path) -> Object:
    threshold = {
        "max_connections": _UNLIMITED,
        "max_pending_requests": _UNLIMITED,
        "max_requests": _UNLIMITED,
        "max_retries": _UNLIMITED,
    }
    return {
        "@type": f"{_TYPE}.config.cluster.v3.Cluster",
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": _file_source(folder / f"{file_name(name)}.json")},
        "connect_timeout": "1s",
        "lb_policy": "ROUND_ROBIN",
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": {"thresholds": [threshold]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": UPSTREAM_IDLE},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


def _load_assignment(cluster: str, members: Iterable[tuple[str, int]]) -> Object:
    found = [
        {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}
        for host, port in members
    ]
    return {
        "@type": f"{_TYPE}.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": cluster,
        "endpoints": [{"lb_endpoints": found}] if found else [],
    }


def _file_source(path: Path) -> Object:
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def discovery_response(resources: Iterable[Object]) -> tuple[str, str]:
    """A file's text, and the version by which Envoy says that it took it."""
    listed = list(resources)
    version = hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()[:16]
    return json.dumps({"version_info": version, "resources": listed}), version


def bootstrap(folder: Path) -> Object:
    """The static part: where to find the rest, and an admin port on loopback."""
    return {
        "node": {"id": "sandbox", "cluster": "sandbox"},
        "admin": {"address": {"socket_address": {"address": ADDRESS, "port_value": 0}}},
        "dynamic_resources": {
            "cds_config": _file_source(folder / "cds.json"),
            "lds_config": _file_source(folder / "lds.json"),
        },
    }
