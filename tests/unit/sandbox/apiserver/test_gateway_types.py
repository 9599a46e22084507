"""The Gateway API's types as the sandbox serves them: defaults, and what is refused."""

from __future__ import annotations

from importlib import resources
from typing import Any

import pytest
import yaml

from serinus.sandbox.apiserver import cel, schema, validation
from serinus.sandbox.apiserver.schema import Schema

CRDS = resources.files("serinus.sandbox.apiserver").joinpath("crds")
Object = dict[str, Any]


def load(plural: str) -> Schema:
    crd = yaml.safe_load(CRDS.joinpath(f"{plural}.yaml").read_text())
    (version,) = crd["spec"]["versions"]
    return schema.with_metadata(version["schema"]["openAPIV3Schema"])


ROUTES, GATEWAYS, CLASSES = load("httproutes"), load("gateways"), load("gatewayclasses")


def admitted(obj: Object, types: Schema, before: Object | None = None) -> list[str]:
    """Default ``obj`` in place and return the fields that are wrong."""
    assert schema.prune(obj, types) == []
    schema.apply_defaults(obj, types)
    causes = validation.validate(obj, types)
    return [cause.field for cause in [*causes, *cel.check_object(obj, before, types, causes)]]


def route(**rule: Any) -> Object:
    return {"spec": {"parentRefs": [{"name": "public"}], "rules": [rule]}}


def listener(**more: Any) -> Object:
    found = {"name": "http", "port": 80, "protocol": "HTTP", **more}
    return {"spec": {"gatewayClassName": "sandbox", "listeners": [found]}}


def test_a_short_route_is_filled_in() -> None:
    obj = route(backendRefs=[{"name": "web", "port": 80}])
    assert admitted(obj, ROUTES) == []
    assert obj["spec"] == {
        "parentRefs": [{"name": "public", "group": "gateway.networking.k8s.io", "kind": "Gateway"}],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [
                    {"name": "web", "port": 80, "group": "", "kind": "Service", "weight": 1}
                ],
            }
        ],
    }


def test_a_route_without_rules_matches_everything() -> None:
    obj: Object = {"spec": {}}
    assert admitted(obj, ROUTES) == []
    assert obj["spec"]["rules"] == [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}]


def test_what_a_match_leaves_out_is_filled_in() -> None:
    match = {"method": "GET", "headers": [{"name": "X-Tier", "value": "gold"}]}
    obj = route(matches=[match])
    assert admitted(obj, ROUTES) == []
    assert match["path"] == {"type": "PathPrefix", "value": "/"}
    assert match["headers"] == [{"name": "X-Tier", "value": "gold", "type": "Exact"}]


REWRITE = {
    "type": "URLRewrite",
    "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}},
}
RULE = "spec.rules[0]"


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        ({"matches": [{"path": {"value": "/a"}}], "filters": [REWRITE]}, []),
        ({"timeouts": {"request": "1m30s", "backendRequest": "500ms"}}, []),
        ({"matches": [{"path": {"value": "a"}}]}, [f"{RULE}.matches[0].path"]),
        ({"matches": [{"path": {"type": "RegularExpression", "value": "[ab]"}}]}, []),
        ({"matches": [{"path": {"type": "Exact", "value": "/a"}}], "filters": [REWRITE]}, [RULE]),
        ({"matches": [{}, {}], "filters": [REWRITE]}, [RULE]),
        ({"filters": [{"type": "URLRewrite"}]}, [f"{RULE}.filters[0]"]),
        ({"filters": [{**REWRITE, "requestRedirect": {}}]}, [f"{RULE}.filters[0]"]),
        ({"filters": [{"type": "RequestRedirect", "requestRedirect": {"port": 443}}]}, []),
        ({"backendRefs": [{"name": "web"}]}, [f"{RULE}.backendRefs[0]"]),
        ({"backendRefs": [{"name": "web", "kind": "Import", "group": "x.io"}]}, []),
        ({"backendRefs": [{"name": "web", "port": 80, "weight": 0}]}, []),
    ],
)  # fmt: skip
def test_rules_of_a_route_are_checked(rule: Object, wrong: list[str]) -> None:
    assert admitted(route(**rule), ROUTES) == wrong


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"backendRefs": [{"name": "web", "port": 80, "weight": 1_000_001}]},
         f"{RULE}.backendRefs[0].weight"),
        ({"backendRefs": [{"name": "web", "port": 80, "weight": -1}]},
         f"{RULE}.backendRefs[0].weight"),
        ({"filters": [{"type": "ExtensionRef"}]}, f"{RULE}.filters[0].type"),
        ({"matches": [{"method": "get"}]}, f"{RULE}.matches[0].method"),
        ({"timeouts": {"request": "soon"}}, f"{RULE}.timeouts.request"),
        ({"matches": [{"headers": [{"name": "a b", "value": "c"}]}]},
         f"{RULE}.matches[0].headers[0].name"),
    ],
)  # fmt: skip
def test_values_out_of_bounds_are_refused(rule: Object, field: str) -> None:
    assert field in admitted(route(**rule), ROUTES)


@pytest.mark.parametrize("host", ["a.example.com", "*.example.com", "localhost"])
def test_hosts_may_begin_with_a_wildcard(host: str) -> None:
    assert admitted({"spec": {"hostnames": [host]}}, ROUTES) == []


@pytest.mark.parametrize("host", ["A.example.com", "a.*.com", "-a.com", "http://a", "a:80"])
def test_what_is_no_host_is_refused(host: str) -> None:
    assert admitted({"spec": {"hostnames": [host]}}, ROUTES) == ["spec.hostnames[0]"]


def test_a_listener_takes_routes_of_its_own_namespace_unless_it_says_more() -> None:
    obj = listener()
    assert admitted(obj, GATEWAYS) == []
    (found,) = obj["spec"]["listeners"]
    assert found["allowedRoutes"] == {"namespaces": {"from": "Same"}}


def test_a_listener_for_http_has_no_tls() -> None:
    assert admitted(listener(tls={}), GATEWAYS) == ["spec.listeners[0]"]
    assert admitted(listener(tls={}, protocol="HTTPS"), GATEWAYS) == []


def test_a_new_gateway_waits_for_its_controller() -> None:
    obj = listener()
    assert admitted(obj, GATEWAYS) == []
    found = [(condition["type"], condition["status"]) for condition in obj["status"]["conditions"]]
    assert found == [("Accepted", "Unknown"), ("Programmed", "Unknown")]


def test_the_controller_of_a_class_cannot_be_changed() -> None:
    before: Object = {"spec": {"controllerName": "a.io/one"}}
    assert admitted({"spec": {"controllerName": "a.io/one"}}, CLASSES, before) == []
    after = {"spec": {"controllerName": "a.io/two"}}
    assert admitted(after, CLASSES, before) == ["spec.controllerName"]
