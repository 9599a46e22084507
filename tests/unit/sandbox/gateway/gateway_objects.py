"""Gateway API objects for the tests beside this file."""

from __future__ import annotations

from typing import Any

from serinus.sandbox.gateway.attach import CONTROLLER, World
from serinus.sandbox.objects import key_of

Object = dict[str, Any]


def make_class(name: str = "sandbox", controller: str = CONTROLLER) -> Object:
    return {"metadata": {"name": name, "generation": 1}, "spec": {"controllerName": controller}}


def make_gateway(*listeners: Object, **spec: Any) -> Object:
    return {
        "metadata": {"name": "public", "namespace": "infra", "generation": 4},
        "spec": {
            "gatewayClassName": "sandbox",
            "listeners": list(listeners) or [make_listener()],
            **spec,
        },
    }


def make_listener(**more: Any) -> Object:
    everyone = {"namespaces": {"from": "All"}}
    return {"name": "http", "port": 8000, "protocol": "HTTP", "allowedRoutes": everyone, **more}


def make_route(*backends: Object, name: str = "web", **spec: Any) -> Object:
    rule = {"backendRefs": list(backends)}
    return {
        "metadata": {
            "name": name,
            "namespace": "ml",
            "generation": 7,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "parentRefs": [{"name": "public", "namespace": "infra"}],
            "hostnames": ["web.example.com"],
            "rules": [rule],
            **spec,
        },
    }


def backend(name: str, weight: int = 1, **more: Any) -> Object:
    return {"name": name, "port": 80, "weight": weight, **more}


def make_service(name: str, namespace: str = "ml") -> Object:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"ports": ports}}


def make_slice(service: str, *endpoints: tuple[str, str]) -> Object:
    """Endpoints are (address, state); the state is ready, starting, ending or gone."""
    conditions = {
        "ready": {"ready": True, "serving": True, "terminating": False},
        "starting": {"ready": False, "serving": False, "terminating": False},
        "ending": {"ready": False, "serving": True, "terminating": True},
        "gone": {"ready": False, "serving": False, "terminating": True},
    }
    return {
        "metadata": {
            "name": f"{service}-1",
            "namespace": "ml",
            "labels": {"kubernetes.io/service-name": service},
        },
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [
            {"addresses": [address], "conditions": conditions[state]}
            for address, state in endpoints
        ],
    }


def make_world(
    *routes: Object,
    gateway: Object | None = None,
    services: tuple[str, ...] = ("stable", "canary"),
    slices: tuple[Object, ...] = (),
) -> World:
    made = [make_service(name) for name in services]
    return World(
        classes=(make_class(),),
        gateways=(gateway or make_gateway(),),
        routes=routes,
        services={key_of(service): service for service in made},
        slices=slices,
        namespaces={"ml": {"metadata": {"name": "ml", "labels": {"team": "a"}}}},
    )
