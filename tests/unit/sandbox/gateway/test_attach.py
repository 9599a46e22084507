"""Which route serves where, and what it is told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from gateway_objects import (
    backend,
    make_class,
    make_gateway,
    make_listener,
    make_route,
    make_slice,
    make_world,
)

from serinus.sandbox.gateway import hostnames, statuses
from serinus.sandbox.gateway.attach import CONTROLLER, Backend, World, attach, endpoints

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ("*", "a.com", "a.com"),
        ("a.com", "a.com", "a.com"),
        ("a.com", "b.com", None),
        ("*.a.com", "x.a.com", "x.a.com"),
        ("*.a.com", "x.y.a.com", "x.y.a.com"),
        ("*.a.com", "a.com", None),
        ("*.a.com", "xa.com", None),
        ("*.a.com", "*.b.a.com", "*.b.a.com"),
        ("*.a.com", "*.b.com", None),
        ("*", "*", "*"),
    ],
)
def test_host_names_intersect(first: str, second: str, both: str | None) -> None:
    assert hostnames.intersection(first, second) == both
    assert hostnames.intersection(second, first) == both


def reasons(world: World) -> dict[str, str]:
    (parent,) = attach(world).parents
    return {"Accepted": parent.accepted.reason, "ResolvedRefs": parent.resolved.reason}


def test_a_route_with_its_services_is_accepted_and_resolved() -> None:
    world = make_world(make_route(backend("stable")))
    assert reasons(world) == {"Accepted": "Accepted", "ResolvedRefs": "ResolvedRefs"}


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        (backend("nope"), "BackendNotFound"),
        (backend("stable", port=81), "BackendNotFound"),
        (backend("stable", namespace="other"), "RefNotPermitted"),
        (backend("stable", kind="Bucket", group="x"), "InvalidKind"),
    ],
)
def test_a_backend_that_cannot_be_used_is_named(reference: dict[str, Any], reason: str) -> None:
    found = reasons(make_world(make_route(backend("stable"), reference)))
    assert found == {"Accepted": "Accepted", "ResolvedRefs": reason}


@pytest.mark.parametrize(
    ("listener", "route", "reason"),
    [
        ({"hostname": "other.example.com"}, {}, "NoMatchingListenerHostname"),
        ({"allowedRoutes": {"namespaces": {"from": "Same"}}}, {}, "NotAllowedByListeners"),
        ({"allowedRoutes": {}}, {}, "NotAllowedByListeners"),
        ({"allowedRoutes": {"kinds": [{"kind": "TCPRoute"}]}}, {}, "NotAllowedByListeners"),
        ({"protocol": "HTTPS"}, {}, "NoMatchingParent"),
        (
            {},
            {"parentRefs": [{"name": "public", "namespace": "infra", "sectionName": "x"}]},
            "NoMatchingParent",
        ),
        ({}, {"rules": [{"filters": [{"type": "RequestMirror"}]}]}, "UnsupportedValue"),
        ({"hostname": "*.example.com"}, {}, "Accepted"),
        (
            {"allowedRoutes": {"namespaces": {
                "from": "Selector", "selector": {"matchLabels": {"team": "a"}}}}},
            {},
            "Accepted",
        ),
    ],
)  # fmt: skip
def test_a_listener_takes_what_it_allows(
    listener: dict[str, Any], route: dict[str, Any], reason: str
) -> None:
    gateway = make_gateway(make_listener(**listener))
    world = make_world(make_route(backend("stable"), **route), gateway=gateway)
    assert reasons(world)["Accepted"] == reason


def test_parents_of_other_controllers_are_none_of_our_business() -> None:
    route = make_route(backend("stable"))
    world = make_world(route)
    foreign = World(classes=(make_class(controller="x"),), gateways=world.gateways, routes=(route,))
    assert attach(foreign).parents == ()
    route["status"] = {"parents": [{"controllerName": "x", "parentRef": {"name": "y"}}]}
    told = statuses.route(route, attach(world), NOW)["parents"]
    assert [entry["controllerName"] for entry in told] == ["x", CONTROLLER]


def test_a_status_says_which_generation_it_is_about() -> None:
    route = make_route(backend("nope"))
    world = make_world(route)
    (parent,) = statuses.route(route, attach(world), NOW)["parents"]
    assert parent["parentRef"] == {"name": "public", "namespace": "infra"}
    found = {c["type"]: (c["status"], c["observedGeneration"]) for c in parent["conditions"]}
    assert found == {"Accepted": ("True", 7), "ResolvedRefs": ("False", 7)}


def test_a_gateway_is_programmed_unless_envoy_refused() -> None:
    world = make_world(make_route(backend("stable")))
    gateway = world.gateways[0]

    def programmed(rejection: str | None) -> tuple[str, str]:
        status = statuses.gateway(gateway, attach(world), rejection, NOW)
        assert status["listeners"][0]["attachedRoutes"] == 1
        (found,) = (c for c in status["conditions"] if c["type"] == "Programmed")
        return found["status"], found["message"]

    assert programmed(None) == ("True", "Envoy serves it")
    assert programmed("port taken") == ("False", "port taken")


def test_a_gateway_without_a_usable_listener_is_not_accepted() -> None:
    gateway = make_gateway(make_listener(protocol="TLS"))
    world = make_world(gateway=gateway)
    found = statuses.gateway(gateway, attach(world), None, NOW)
    assert {c["type"]: c["status"] for c in found["conditions"]} == {
        "Accepted": "False",
        "Programmed": "False",
    }


@pytest.mark.parametrize(
    ("states", "chosen"),
    [
        (("ready", "starting", "ending"), {1}),
        (("starting", "ending", "gone"), {2}),
        (("starting", "gone"), set()),
        (("ready", "ready"), {1, 2}),
    ],
    ids=["ready ones", "else those that still serve", "else none", "all ready ones"],
)
def test_requests_go_to(states: tuple[str, ...], chosen: set[int]) -> None:
    members = [(f"127.70.1.{n}", state) for n, state in enumerate(states, start=1)]
    world = make_world(slices=(make_slice("stable", *members),))
    found = endpoints(world, Backend(("ml", "stable"), 80, 1, None))
    assert {address for address, _ in found} == {f"127.70.1.{n}" for n in chosen}
