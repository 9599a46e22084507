"""The resource's rules: the same as CEL in the CRD and as the operator's own check."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from typing import Any

import celpy
import pytest
from celpy.adapter import json_to_cel
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from serinus.api.schema import custom_resource_definition
from serinus.api.spec import ModelDeploymentSpec
from serinus.api.types import format_duration, parse_duration

MINIMAL: dict[str, Any] = {"model": {"uri": "models:/churn/1"}}


def with_field(path: str, value: Any) -> dict[str, Any]:
    """The minimal spec with one field set; numbers in the path are list indices."""
    spec = copy.deepcopy(MINIMAL)
    node: Any = spec
    *parents, last = path.split(".")
    for part in parents:
        node = node.setdefault(part, {})
    node[last] = value
    return spec


INVALID = {
    "a model URI of another scheme": ("model.uri", "http://example.com/model"),
    "a shell in a model URI": ("model.uri", "models:/a/1; rm -rf /"),
    "version 0": ("model.uri", "models:/churn/0"),
    "no replicas": ("server.replicas", 0),
    "an environment variable that changes which code runs": ("server.env", [{"name": "PYTHONPATH", "value": "/x"}]),
    "an environment variable of ours": ("server.env", [{"name": "SERINUS_REVISION", "value": "x"}]),
    "an image with a space": ("server.image", "a b"),
    "a quantity that is none": ("server.resources", {"requests": {"cpu": "much"}}),
    "a duration without a unit": ("server.loadTimeout", "30"),
    "a negative duration": ("server.loadTimeout", "-30s"),
    "an unknown router": ("traffic.router", "Carrier-Pigeon"),
    "a host name with a slash": ("traffic.hostnames", ["a/b"]),
    "a path without a slash": ("traffic.path", "churn"),
    "weight 0": ("rollout.steps", [{"weight": 0}]),
    "weight 101": ("rollout.steps", [{"weight": 101}]),
    "weights that fall": ("rollout.steps", [{"weight": 50}, {"weight": 10}]),
    "weights that repeat": ("rollout.steps", [{"weight": 50}, {"weight": 50}]),
    "an unknown policy": ("rollout.onBreach", "Ignore"),
    "no metric": ("analysis.metrics", []),
    "an error rate as a duration": ("analysis.metrics", [{"name": "a", "type": "ErrorRate", "max": "5s"}]),
    "an error rate above 1": ("analysis.metrics", [{"name": "a", "type": "ErrorRate", "max": "1.5"}]),
    "a latency as a ratio": ("analysis.metrics", [{"name": "a", "type": "Latency", "max": "0.01"}]),
    "a quantile of errors": (
        "analysis.metrics", [{"name": "a", "type": "ErrorRate", "max": "0.01", "quantile": "0.5"}],
    ),
    "an interval of a millisecond": ("analysis.interval", "1ms"),
    "an interval of nothing": ("analysis.interval", "0s"),
    "a duration that no Kubernetes field could hold": ("server.loadTimeout", "999999h"),
    "an environment variable that loads a library": ("server.env", [{"name": "OMP_TOOL_LIBRARIES", "value": "/x.so"}]),
    "threshold 0": ("analysis.failureThreshold", 0),
}  # fmt: skip


def accepted(spec: dict[str, Any]) -> bool:
    try:
        ModelDeploymentSpec.model_validate(spec)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(("path", "value"), INVALID.values(), ids=INVALID)
def test_the_operator_refuses(path: str, value: Any) -> None:
    assert not accepted(with_field(path, value))


def test_only_the_model_is_required() -> None:
    spec = ModelDeploymentSpec.model_validate(MINIMAL)
    assert [step.weight for step in spec.rollout.steps] == [5, 25, 50]
    assert spec.analysis.interval == timedelta(seconds=10)


CEL = celpy.Environment()


def cel(rule: str, value: Any) -> bool:
    program = CEL.program(CEL.compile(rule))
    return bool(program.evaluate({"self": json_to_cel(value)}))


def rules(node: Any, path: tuple[str, ...]) -> list[dict[str, str]]:
    for part in path:
        node = node["items"] if part == "[]" else node["properties"][part]
    return node["x-kubernetes-validations"]


SPEC_SCHEMA = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


@given(st.lists(st.integers(1, 100), max_size=8))
def test_the_cel_rule_on_steps_says_what_the_operator_says(weights: list[int]) -> None:
    steps = [{"weight": weight} for weight in weights]
    (rule,) = rules(SPEC_SCHEMA, ("spec", "rollout", "steps"))
    assert cel(rule["rule"], steps) == accepted(with_field("rollout.steps", steps))


@pytest.mark.parametrize("kind", ["ErrorRate", "Latency"])
@pytest.mark.parametrize("bound", ["0.01", "1", "1.5", "250ms", "1m30s", "5", "x", ""])
@pytest.mark.parametrize("quantile", [None, "0.9"])
def test_the_cel_rules_on_metrics_say_what_the_operator_says(
    kind: str, bound: str, quantile: str | None
) -> None:
    metric = {"name": "m", "type": kind, "max": bound}
    if quantile is not None:
        metric["quantile"] = quantile
    told = all(
        cel(r["rule"], metric) for r in rules(SPEC_SCHEMA, ("spec", "analysis", "metrics", "[]"))
    )
    assert told == accepted(with_field("analysis.metrics", [metric]))


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("a" * 50, True),
        ("a" * 51, False),
        ("churn.v2", False),
        ("1churn", False),
        ("churn-2", True),
    ],
)
def test_the_cel_rule_on_the_name(name: str, want: bool) -> None:
    (rule,) = SPEC_SCHEMA["x-kubernetes-validations"]
    assert cel(rule["rule"], {"metadata": {"name": name}}) is want


@pytest.mark.parametrize("interval", ["1s", "999ms", "1m", "0s", "10s"])
def test_the_cel_rule_on_the_interval_says_what_the_operator_says(interval: str) -> None:
    (rule,) = rules(SPEC_SCHEMA, ("spec", "analysis"))
    told = cel(rule["rule"], {"interval": interval})
    assert told == accepted(with_field("analysis.interval", interval))


def test_the_schema_is_structural() -> None:
    text = json.dumps(SPEC_SCHEMA)
    for word in ('"$ref"', '"$defs"', '"title"', '"null"', '"allOf"'):
        assert word not in text
    assert '"default": ""' not in text, "old API servers read an empty default as null"


def test_every_field_that_a_user_can_set_is_described() -> None:
    def undescribed(node: dict[str, Any], path: str) -> list[str]:
        out = []
        for name, child in node.get("properties", {}).items():
            here = f"{path}.{name}"
            if "description" not in child and name not in {"name", "value", "namespace"}:
                out.append(here)
            out += undescribed(child, here)
            out += undescribed(child.get("items", {}), f"{here}[]")
        return out

    assert undescribed(SPEC_SCHEMA["properties"]["spec"], "spec") == []


@given(st.integers(0, 10**9))
def test_durations_survive_writing_and_reading(milliseconds: int) -> None:
    value = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(value)) == value
