"""Rendered objects against golden files; SERINUS_WRITE_GOLDEN=1 writes them anew: read the difference."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from serinus.api.server import EnvVar, RequestLimits, Resources
from serinus.api.spec import GatewayRef, Traffic
from serinus.api.status import Arm
from serinus.core.plan import EnsureRoute
from serinus.devtools.generate import to_yaml
from serinus.render.meta import Owner
from serinus.render.routes import ROUTERS
from serinus.render.routes.base import Target
from serinus.render.service import make_service
from serinus.render.workload import make_workload
from serinus_server import contract

GOLDEN = Path(__file__).parent / "golden"
OWNER = Owner("churn", "ml", "uid-1")
ARM = Arm(
    revision="v1:0123456789abcdef",
    model_uri="models:/churn/2",
    resolved_version="2",
    digest="sha256:ab",
    image="ghcr.io/serinus-dev/serinus-server:0.1.0",
    resources=Resources(requests={"cpu": "500m", "memory": "512Mi"}, limits={"memory": "1Gi"}),
    env=(EnvVar(name="OMP_NUM_THREADS", value="1"),),
    warmup_requests=20,
    load_timeout=timedelta(minutes=5),
    latency_bounds=("0.25",),
    requested_weight=5,
)
LIMITS = RequestLimits(
    timeout=timedelta(seconds=30.5), max_bytes=4096, max_concurrent=8, max_batch_rows=1
)
TARGET = Target(
    OWNER, Traffic(hostnames=("churn.example.com",)), GatewayRef(name="public", namespace="infra")
)
ROUTER = ROUTERS[TARGET.traffic.router]

OBJECTS = {
    "deployment": make_workload(OWNER, ARM, 3, "http://mlflow:5000"),
    "deployment-request-limits": make_workload(
        OWNER, ARM.model_copy(update={"request_limits": LIMITS}), 3, "http://mlflow:5000"
    ),
    "service": make_service(OWNER, ARM),
    "httproute-stable-only": ROUTER.render(TARGET, (("aaaaaaaa", 100),)),
    "httproute-canary": ROUTER.render(TARGET, (("aaaaaaaa", 95), ("01234567", 5))),
    "httproute-rolling-back": ROUTER.render(TARGET, (("aaaaaaaa", 100), ("01234567", 0))),
    "httproute-path": ROUTER.render(
        Target(OWNER, Traffic(path="/churn"), GatewayRef(name="public")), (("aaaaaaaa", 100),)
    ),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_golden(name: str) -> None:
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("SERINUS_WRITE_GOLDEN"):
        path.write_text(to_yaml(OBJECTS[name]))
    assert OBJECTS[name] == yaml.safe_load(path.read_text())


@pytest.mark.parametrize(
    "weights", [(("a", 50), ("b", 49)), (("a", 101),), (("a", 150), ("b", -50))]
)
def test_weights_that_do_not_sum_to_100_cannot_be_asked_for(weights) -> None:
    with pytest.raises(ValueError, match="sum to 100"):
        EnsureRoute(weights)


def test_every_variable_that_is_rendered_is_one_of_the_servers_contract() -> None:
    known = {value for name, value in vars(contract).items() if name.startswith("ENV_")}
    container = OBJECTS["deployment"]["spec"]["template"]["spec"]["containers"][0]
    rendered = {env["name"] for env in container["env"]} - {"OMP_NUM_THREADS"}
    assert rendered <= known


def route(*parents: dict, weights: tuple = (("aaaaaaaa", 95), ("01234567", 5))) -> dict:
    live = ROUTER.render(TARGET, weights)
    return {
        **live,
        "metadata": {**live["metadata"], "generation": 4},
        "status": {"parents": list(parents)},
    }


def parent(
    accepted: str = "True", resolved: str = "True", generation: int = 4, name: str = "public"
) -> dict:
    return {
        "parentRef": {"name": name, "namespace": "infra"},
        "conditions": [
            {
                "type": "Accepted",
                "status": accepted,
                "observedGeneration": generation,
                "reason": "R",
            },
            {
                "type": "ResolvedRefs",
                "status": resolved,
                "observedGeneration": generation,
                "reason": "R",
            },
        ],
    }


@pytest.mark.parametrize(
    ("parents", "want"),
    {
        "accepted at this generation": ([parent()], True),
        "accepted at an older generation": ([parent(generation=3)], False),
        "not accepted": ([parent(accepted="False")], False),
        "references not resolved": ([parent(resolved="False")], False),
        "only another Gateway has answered": ([parent(name="other")], False),
        "one of two answers of our Gateway says no": ([parent(), parent(accepted="False")], False),
        "nobody has answered": ([], False),
    }.values(),
)
def test_a_route_is_confirmed_when_our_gateway_took_this_generation(
    parents: list, want: bool
) -> None:
    seen = ROUTER.observed(TARGET, route(*parents))
    assert seen.confirmed is want
    assert seen.weights == {"aaaaaaaa": 95, "01234567": 5}
    assert bool(seen.problem) is not want


WEIGHTS = (("aaaaaaaa", 95), ("01234567", 5))


def test_a_weight_that_somebody_dropped_is_read_as_the_1_that_it_means() -> None:
    live = route(parent())
    del live["spec"]["rules"][0]["backendRefs"][1]["weight"]
    assert ROUTER.observed(TARGET, live).weights["01234567"] == 1
    assert not ROUTER.same(live, ROUTER.render(TARGET, WEIGHTS))


@pytest.mark.parametrize(
    "edit",
    {
        "a redirect in our rule": lambda spec: spec["rules"][0].update(
            filters=[{"type": "RequestRedirect"}]
        ),
        "another match": lambda spec: spec["rules"][0]["matches"][0].update(
            headers=[{"name": "x"}]
        ),
        "a filter of a backend": lambda spec: spec["rules"][0]["backendRefs"][0].update(
            filters=[{}]
        ),
        "a rule more": lambda spec: spec["rules"].append({}),
        "other host names": lambda spec: spec.update(hostnames=["a.example.com"]),
        "another Gateway": lambda spec: spec["parentRefs"].append({"name": "other"}),
    }.values(),
)
def test_whatever_somebody_puts_into_our_route_is_a_difference(edit) -> None:
    live = route(parent())
    assert ROUTER.same(live, ROUTER.render(TARGET, WEIGHTS))
    edit(live["spec"])
    assert not ROUTER.same(live, ROUTER.render(TARGET, WEIGHTS))


def test_host_names_that_the_spec_no_longer_has_are_a_difference() -> None:
    target = Target(OWNER, Traffic(), TARGET.gateway)
    assert not ROUTER.same(route(parent()), ROUTER.render(target, WEIGHTS))


def test_reweighing_changes_the_weights_and_nothing_else() -> None:
    live = route(parent())
    made = ROUTER.reweigh(OWNER, live, (("aaaaaaaa", 100), ("01234567", 0)))
    assert ROUTER.weights(OWNER, made) == {"aaaaaaaa": 100, "01234567": 0}
    assert ROUTER.same(live, ROUTER.reweigh(OWNER, live, WEIGHTS))
