"""Which HTTPRoute serves on which listener, which backends it has, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from serinus.sandbox.gateway import hostnames
from serinus.sandbox.objects import (
    Key,
    Object,
    is_deleting,
    key_of,
    labels_of,
    matches,
    name_of,
    namespace_of,
)
from serinus.sandbox.resources import GATEWAYS

CONTROLLER = "sandbox.serinus.dev/gateway"
ADDRESS = "127.0.0.1"
SERVICE_NAME = "kubernetes.io/service-name"
FILTERS = ("RequestHeaderModifier", "ResponseHeaderModifier", "URLRewrite")


@dataclass(frozen=True, slots=True)
class World:
    """Everything that the gateway looks at."""

    classes: tuple[Object, ...] = ()
    gateways: tuple[Object, ...] = ()
    routes: tuple[Object, ...] = ()
    services: Mapping[Key, Object] = field(default_factory=dict)
    slices: tuple[Object, ...] = ()
    namespaces: Mapping[str, Object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A condition's value: true with its usual reason, or false with another and a message."""

    ok: bool
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Listener:
    """One listener of one of our Gateways."""

    gateway: Key
    name: str
    port: int
    hostname: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Attachment:
    """A route on a listener, for these hosts."""

    listener: Listener
    route: Object
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parent:
    """What a route is told about one of its parents."""

    route: Key
    reference: Object
    accepted: Verdict
    resolved: Verdict


@dataclass(frozen=True, slots=True)
class Attachments:
    """The outcome for the whole world."""

    listeners: tuple[Listener, ...]
    attached: tuple[Attachment, ...]
    parents: tuple[Parent, ...]


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend of a rule: a Service's port, or why there is none."""

    service: Key
    port: int
    weight: int
    problem: Verdict | None


def our_gateways(world: World) -> list[Object]:
    """The Gateways whose class is the sandbox's."""
    ours = {name_of(c) for c in world.classes if c["spec"]["controllerName"] == CONTROLLER}
    return [g for g in world.gateways if g["spec"]["gatewayClassName"] in ours]


def attach(world: World) -> Attachments:
    """Attach every route of the world to our Gateways' listeners."""
    gateways = {key_of(gateway): gateway for gateway in our_gateways(world)}
    listeners = {key: _listeners(gateway) for key, gateway in gateways.items()}
    attached: list[Attachment] = []
    parents: list[Parent] = []
    for route in sorted(world.routes, key=key_of):
        if is_deleting(route):
            continue
        for reference in route["spec"].get("parentRefs") or []:
            key = _gateway_of(reference, route)
            if key not in gateways:
                continue
            found, accepted = _attach_to(world, gateways[key], listeners[key], route, reference)
            attached += found
            parents.append(Parent(key_of(route), reference, accepted, _resolved(world, route)))
    every = tuple(listener for found in listeners.values() for listener in found)
    return Attachments(every, tuple(attached), tuple(parents))


def _gateway_of(reference: Object, route: Object) -> Key | None:
    group = reference.get("group", GATEWAYS.group)
    if (group, reference.get("kind", GATEWAYS.kind)) != (GATEWAYS.group, GATEWAYS.kind):
        return None
    return reference.get("namespace", namespace_of(route)), reference["name"]


def _listeners(gateway: Object) -> tuple[Listener, ...]:
    return tuple(
        Listener(
            gateway=key_of(gateway),
            name=listener["name"],
            port=listener["port"],
            hostname=listener.get("hostname") or hostnames.ANY,
            verdict=_listener_verdict(listener),
        )
        for listener in gateway["spec"].get("listeners") or []
    )


def _listener_verdict(listener: Object) -> Verdict:
    protocol = listener["protocol"]
    if protocol != "HTTP":
        text = f"the sandbox's gateway speaks HTTP only, not {protocol}"
        return Verdict(False, "UnsupportedProtocol", text)
    return Verdict(True, "Accepted")


def _attach_to(
    world: World,
    gateway: Object,
    listeners: tuple[Listener, ...],
    route: Object,
    reference: Object,
) -> tuple[list[Attachment], Verdict]:
    if problem := unsupported(route):
        return [], Verdict(False, "UnsupportedValue", problem)
    named = [
        listener
        for listener in listeners
        if reference.get("sectionName") in (None, listener.name)
        and reference.get("port") in (None, listener.port)
        and listener.verdict.ok
    ]
    if not named:
        return [], Verdict(False, "NoMatchingParent", "the Gateway has no such listener")
    specs = {spec["name"]: spec for spec in gateway["spec"]["listeners"]}
    allowed = [
        listener for listener in named if _allows(world, gateway, specs[listener.name], route)
    ]
    if not allowed:
        text = f"routes from namespace {namespace_of(route)!r} are not allowed"
        return [], Verdict(False, "NotAllowedByListeners", text)
    found = []
    for listener in allowed:
        wanted = route["spec"].get("hostnames") or [hostnames.ANY]
        common = (hostnames.intersection(listener.hostname, host) for host in wanted)
        if hosts := tuple(dict.fromkeys(host for host in common if host is not None)):
            found.append(Attachment(listener, route, hosts))
    if not found:
        text = "no host name of the route is one of the listener's"
        return [], Verdict(False, "NoMatchingListenerHostname", text)
    return found, Verdict(True, "Accepted")


def _allows(world: World, gateway: Object, listener: Object, route: Object) -> bool:
    allowed = listener.get("allowedRoutes") or {}
    kinds = allowed.get("kinds")
    if kinds and not any(kind["kind"] == "HTTPRoute" for kind in kinds):
        return False
    namespaces = allowed.get("namespaces") or {}
    match namespaces.get("from", "Same"):
        case "All":
            return True
        case "Selector":
            namespace = world.namespaces.get(namespace_of(route))
            return namespace is not None and matches(
                namespaces.get("selector"), labels_of(namespace)
            )
        case _:
            return namespace_of(gateway) == namespace_of(route)


def unsupported(route: Object) -> str | None:
    """What the route asks for that the gateway cannot do, if anything."""
    for number, rule in enumerate(route["spec"].get("rules") or []):
        where = f"spec.rules[{number}]"
        for wanted in rule.get("filters") or []:
            if wanted["type"] not in FILTERS:
                return f"{where}.filters: {wanted['type']} is not implemented by the sandbox"
        if rule.get("sessionPersistence") or rule.get("retry"):
            return f"{where}: sessionPersistence and retry are not implemented by the sandbox"
        for reference in rule.get("backendRefs") or []:
            if reference.get("filters"):
                return f"{where}.backendRefs: filters are not implemented by the sandbox"
    return None


def backends(world: World, route: Object, rule: Object) -> tuple[Backend, ...]:
    """The rule's backends, each checked."""
    return tuple(_backend(world, route, ref) for ref in rule.get("backendRefs") or [])


def _backend(world: World, route: Object, reference: Object) -> Backend:
    namespace = reference.get("namespace", namespace_of(route))
    key = (namespace, reference["name"])
    port = reference.get("port", 0)
    weight = reference.get("weight", 1)
    problem: Verdict | None = None
    if (reference.get("group", ""), reference.get("kind", "Service")) != ("", "Service"):
        problem = Verdict(False, "InvalidKind", f"{reference.get('kind')} is not a Service")
    elif namespace != namespace_of(route):
        text = f"Service {namespace}/{reference['name']} is in another namespace"
        problem = Verdict(False, "RefNotPermitted", text)
    elif key not in world.services:
        text = f"Service {namespace}/{reference['name']} not found"
        problem = Verdict(False, "BackendNotFound", text)
    elif service_port(world.services[key], port) is None:
        text = f"Service {namespace}/{reference['name']} has no port {port}"
        problem = Verdict(False, "BackendNotFound", text)
    return Backend(key, port, weight, problem)


def service_port(service: Object, number: int) -> Object | None:
    """The Service's port of that number."""
    return next((p for p in service["spec"].get("ports") or [] if p["port"] == number), None)


def _resolved(world: World, route: Object) -> Verdict:
    for rule in route["spec"].get("rules") or []:
        for backend in backends(world, route, rule):
            if backend.problem is not None:
                return backend.problem
    return Verdict(True, "ResolvedRefs")


def endpoints(world: World, backend: Backend) -> tuple[tuple[str, int], ...]:
    """Addresses of the backend's pods: the ready ones, else those that still serve while ending."""
    port = service_port(world.services[backend.service], backend.port) or {}
    ready: set[tuple[str, int]] = set()
    ending: set[tuple[str, int]] = set()
    for part in world.slices:
        if (namespace_of(part), labels_of(part).get(SERVICE_NAME)) != backend.service:
            continue
        number = next(
            (
                p["port"]
                for p in part.get("ports") or []
                if p.get("name", "") == port.get("name", "")
            ),
            None,
        )
        for endpoint in part.get("endpoints") or []:
            if number is None:
                continue
            conditions = endpoint.get("conditions") or {}
            addresses = {(address, number) for address in endpoint["addresses"]}
            if conditions.get("ready", True):
                ready |= addresses
            elif conditions.get("serving") and conditions.get("terminating"):
                ending |= addresses
    return tuple(sorted(ready or ending))
