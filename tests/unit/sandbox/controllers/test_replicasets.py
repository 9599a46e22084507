"""A ReplicaSet's next step."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from serinus.sandbox.clock import stamp
from serinus.sandbox.controllers import replicasets

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def make_set(replicas: int, **spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}
    return {
        "metadata": {"name": "web-1", "namespace": "ml", "uid": "rs", "generation": 2},
        "spec": {"replicas": replicas, "template": template, **spec},
    }


def make_pod(
    name: str,
    *,
    ready_for: float | None = None,
    phase: str = "Running",
    node: str = "n",
    deleting: bool = False,
    restarts: int = 0,
) -> dict[str, Any]:
    meta = {"name": name, "labels": {"app": "web"}, "creationTimestamp": stamp(NOW)}
    if deleting:
        meta["deletionTimestamp"] = stamp(NOW)
    conditions = []
    if ready_for is not None:
        since = stamp(NOW - timedelta(seconds=ready_for))
        conditions.append({"type": "Ready", "status": "True", "lastTransitionTime": since})
    return {
        "metadata": meta,
        "spec": {"nodeName": node},
        "status": {
            "phase": phase,
            "conditions": conditions,
            "containerStatuses": [{"restartCount": restarts}],
        },
    }


@pytest.mark.parametrize(
    ("pods", "create"),
    [
        pytest.param([], 3, id="none yet"),
        pytest.param([make_pod("a"), make_pod("b")], 1, id="one is missing"),
        pytest.param([make_pod(n) for n in "abc"], 0, id="enough"),
        pytest.param([make_pod("a", deleting=True)], 3, id="one that leaves does not count"),
        pytest.param([make_pod("a", phase="Failed")], 3, id="one that failed does not count"),
    ],
)
def test_missing_pods_are_created(pods: list[dict[str, Any]], create: int) -> None:
    plan = replicasets.decide(make_set(3), pods, NOW)
    assert plan.create == create
    assert plan.delete == ()


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (make_pod("b"), make_pod("a", node="", phase="Pending")),
        (make_pod("b"), make_pod("a", phase="Pending")),
        (make_pod("b", ready_for=5), make_pod("a")),
        (make_pod("b", ready_for=50), make_pod("a", ready_for=5)),
        (make_pod("b"), make_pod("a", restarts=3)),
    ],
    ids=["unscheduled", "pending", "not ready", "ready for a shorter time", "restarting"],
)
def test_the_pod_that_is_worth_less_is_deleted(
    better: dict[str, Any], worse: dict[str, Any]
) -> None:
    for pods in ([better, worse], [worse, better]):
        assert replicasets.decide(make_set(1), pods, NOW).delete == (worse,)


def test_a_ready_pod_is_available_after_min_ready_seconds() -> None:
    pods = [make_pod("a", ready_for=10), make_pod("b", ready_for=3)]
    plan = replicasets.decide(make_set(2, minReadySeconds=10), pods, NOW)
    assert plan.status["readyReplicas"] == 2
    assert plan.status["availableReplicas"] == 1
    assert plan.look_again == timedelta(seconds=7)


def test_a_pod_is_the_template_with_an_owner() -> None:
    pod = replicasets.make_pod(make_set(1))
    assert pod["metadata"]["generateName"] == "web-1-"
    assert pod["metadata"]["labels"] == {"app": "web"}
    assert pod["metadata"]["ownerReferences"][0]["uid"] == "rs"
    assert pod["metadata"]["ownerReferences"][0]["controller"] is True
