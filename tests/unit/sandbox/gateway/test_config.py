"""What Envoy is told. The whole of it is in golden files; the rest are the fine points."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_objects import backend, make_gateway, make_listener, make_route, make_slice, make_world

from serinus.sandbox.gateway.attach import World, attach
from serinus.sandbox.gateway.config import discovery_response, snapshot
from serinus.sandbox.gateway.rules import routes, seconds

GOLDEN = Path(__file__).parent / "golden"
FOLDER = Path("/envoy")

CANARY = make_world(
    make_route(backend("stable", 95), backend("canary", 5)),
    slices=(
        make_slice("stable", ("127.70.1.10", "ready"), ("127.70.1.11", "ready")),
        make_slice("canary", ("127.70.1.12", "starting")),
    ),
)
HEADERS = make_world(
    make_route(
        hostnames=["*.example.com"],
        rules=[
            {
                "matches": [
                    {
                        "path": {"type": "Exact", "value": "/v2"},
                        "method": "POST",
                        "headers": [{"name": "x-canary", "value": "always"}],
                        "queryParams": [{"name": "q", "type": "RegularExpression", "value": "a+"}],
                    }
                ],
                "filters": [
                    {
                        "type": "RequestHeaderModifier",
                        "requestHeaderModifier": {
                            "set": [{"name": "x-arm", "value": "canary"}],
                            "remove": ["x-canary"],
                        },
                    }
                ],
                "timeouts": {"request": "1m30s", "backendRequest": "500ms"},
                "backendRefs": [backend("canary")],
            },
        ],
    )
)


@pytest.mark.parametrize("world", [CANARY, HEADERS], ids=["canary", "headers"])
def test_the_configuration_is_the_golden_one(world: World, request: pytest.FixtureRequest) -> None:
    made = asdict(snapshot(world, attach(world), FOLDER))
    path = GOLDEN / f"{request.node.callspec.id}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(made, sort_keys=False))
    assert made == yaml.safe_load(path.read_text())


def weights(*references: dict[str, Any]) -> list[Any]:
    """The routes of a rule, in short: a direct status with its share, or clusters with weights."""
    world = make_world(make_route(*references))
    found: list[Any] = []
    for entry in routes(world, world.routes):
        if "direct_response" in entry:
            fraction = entry["match"].get("runtime_fraction", {}).get("default_value", {})
            found.append((entry["direct_response"]["status"], fraction.get("numerator")))
        else:
            clusters = entry["route"]["weighted_clusters"]["clusters"]
            found.append({c["name"]: c["weight"] for c in clusters})
    return found


@pytest.mark.parametrize(
    ("references", "expected"),
    [
        ([backend("stable", 95), backend("canary", 5)],
         [{"ml/stable/80": 95, "ml/canary/80": 5}]),
        ([backend("stable", 100), backend("canary", 0)], [{"ml/stable/80": 100}]),
        ([backend("stable", 90), backend("nope", 10)], [(500, 100_000), {"ml/stable/80": 90}]),
        ([backend("stable", 90), backend("nope", 0)], [{"ml/stable/80": 90}]),
        ([backend("nope")], [(500, None)]),
        ([backend("stable", 0)], [(500, None)]),
        ([], [(500, None)]),
        ([backend("stable", 1), backend("stable", 2)], [{"ml/stable/80": 3}]),
    ],
    ids=[
        "weights", "weight 0 is nothing", "a missing Service's share is 500",
        "a missing Service without weight is nothing", "nothing but a missing Service",
        "nothing with weight", "no backend", "the same twice",
    ],
)  # fmt: skip
def test_shares(references: list[dict[str, Any]], expected: list[Any]) -> None:
    assert weights(*references) == expected


def _match(**match: Any) -> dict[str, Any]:
    return match


def test_the_most_specific_match_comes_first() -> None:
    header = [{"name": "a", "value": "b"}]
    wanted = [
        _match(path={"type": "Exact", "value": "/a"}),
        _match(path={"type": "PathPrefix", "value": "/a/b"}),
        _match(path={"type": "PathPrefix", "value": "/a"}, method="GET"),
        _match(path={"type": "PathPrefix", "value": "/a"}, headers=header),
        _match(path={"type": "PathPrefix", "value": "/a"}),
        _match(),
    ]
    rules = [{"matches": [match], "backendRefs": [backend("stable")]} for match in wanted]
    world = make_world(make_route(rules=rules))
    expected = [entry["match"] for entry in routes(world, world.routes)]
    mixed = make_world(make_route(rules=rules[::-1]))
    assert [entry["match"] for entry in routes(mixed, mixed.routes)] == expected
    assert expected[0] == {"path": "/a"}
    assert expected[-1] == {"prefix": "/"}


def test_of_two_equal_matches_the_older_routes_wins() -> None:
    young, old = make_route(backend("canary"), name="a"), make_route(backend("stable"), name="b")
    young["metadata"]["creationTimestamp"] = "2026-02-01T00:00:00Z"
    world = make_world(young, old)
    first, _ = routes(world, world.routes)
    assert first["route"]["weighted_clusters"]["clusters"][0]["name"] == "ml/stable/80"


def test_a_request_falls_through_to_the_routes_of_a_wider_host() -> None:
    match = {"path": {"value": "/only"}}
    narrow = make_route(rules=[{"matches": [match], "backendRefs": [backend("canary")]}], name="n")
    wide = make_route(backend("stable"), hostnames=["*.example.com"], name="w")
    world = make_world(narrow, wide)
    table = snapshot(world, attach(world), FOLDER).route_tables["rds-8000"]
    hosts = {host["name"]: len(host["routes"]) for host in table["virtual_hosts"]}
    assert hosts == {"web.example.com": 2, "*.example.com": 1}


def test_listeners_of_one_port_share_it() -> None:
    both = (
        make_listener(name="a", hostname="a.example.com"),
        make_listener(name="b", hostname="b.example.com"),
    )
    gateway = make_gateway(*both)
    route = make_route(backend("stable"), hostnames=["a.example.com", "b.example.com"])
    world = make_world(route, gateway=gateway)
    made = snapshot(world, attach(world), FOLDER)
    assert list(made.listeners) == ["port-8000"]
    hosts = made.route_tables["rds-8000"]["virtual_hosts"]
    assert [host["name"] for host in hosts] == ["a.example.com", "b.example.com"]


@pytest.mark.parametrize(
    ("duration", "expected"), [("0s", "0s"), ("500ms", "0.5s"), ("1m30s", "90s"), ("2h", "7200s")]
)
def test_durations(duration: str, expected: str) -> None:
    assert seconds(duration) == expected


def test_a_files_version_changes_with_its_content_only() -> None:
    text, version = discovery_response([{"name": "a"}])
    assert discovery_response([{"name": "a"}]) == (text, version)
    assert discovery_response([{"name": "b"}])[1] != version
    assert json.loads(text)["version_info"] == version


@pytest.mark.parametrize(
    ("prefix", "path", "asked", "want"),
    [
        ("/churn", {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}, "/churn/v2", "/v2"),
        ("/churn", {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}, "/churn", "/"),
        ("/a.b", {"type": "ReplacePrefixMatch"}, "/a.b/v2", "/v2"),
        (
            "/churn",
            {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/x/"},
            "/churn/v2",
            "/x/v2",
        ),
        ("/", {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/x"}, "/v2", "/x/v2"),
        ("/", {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}, "/v2", "/v2"),
        ("/churn", {"type": "ReplaceFullPath", "replaceFullPath": "/all"}, "/churn/v2", "/all"),
    ],
)
def test_a_path_is_rewritten_as_the_specification_says(
    prefix: str, path: dict[str, str], asked: str, want: str
) -> None:
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": prefix}}],
        "filters": [{"type": "URLRewrite", "urlRewrite": {"path": path}}],
        "backendRefs": [backend("stable")],
    }
    world = make_world(make_route(rules=[rule]))
    (entry,) = routes(world, world.routes)
    action = entry["route"]
    if "prefix_rewrite" in action:  # Envoy puts it in the place of the matched prefix
        matched = entry["match"].get("path_separated_prefix", entry["match"].get("prefix"))
        made = action["prefix_rewrite"] + asked.removeprefix(matched)
    elif "regex_rewrite" in action:
        rewrite = action["regex_rewrite"]
        made = re.sub(rewrite["pattern"]["regex"], rewrite["substitution"], asked, count=1)
    else:
        made = asked
    assert made == want
