"""Where a pod goes."""

from __future__ import annotations

from typing import Any

import pytest

from serinus.sandbox.controllers import scheduling


def make_node(
    name: str, *, ready: bool = True, cordoned: bool = False, **labels: str
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"unschedulable": cordoned},
        "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}]},
    }


def make_pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": spec}


def test_a_pod_goes_to_the_first_node_that_takes_it() -> None:
    nodes = [make_node("b"), make_node("a", cordoned=True), make_node("c")]
    assert scheduling.decide(make_pod(), nodes) == scheduling.Bind("b")


def test_a_node_selector_must_match() -> None:
    nodes = [make_node("a"), make_node("b", disk="ssd")]
    wanted = make_pod(nodeSelector={"disk": "ssd"})
    assert scheduling.decide(wanted, nodes) == scheduling.Bind("b")


def test_the_reasons_are_counted_as_the_real_scheduler_does() -> None:
    nodes = [make_node("a", ready=False), make_node("b", cordoned=True), make_node("c")]
    found = scheduling.decide(make_pod(nodeSelector={"disk": "ssd"}), nodes)
    assert found == scheduling.Unschedulable(
        "0/3 nodes are available: 1 node(s) didn't match the pod's node selector, "
        "1 node(s) were not ready, 1 node(s) were unschedulable."
    )


def test_without_nodes_the_pod_waits() -> None:
    text = "no nodes available to schedule pods"
    assert scheduling.decide(make_pod(), []) == scheduling.Unschedulable(text)


@pytest.mark.parametrize("spec", [{"nodeName": "a"}, {"schedulerName": "mine"}])
def test_pods_that_are_bound_or_somebody_elses_are_left_alone(spec: dict[str, Any]) -> None:
    assert scheduling.decide(make_pod(**spec), [make_node("a")]) is None
