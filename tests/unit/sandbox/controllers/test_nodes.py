"""A node that is not heard of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from serinus.sandbox.clock import stamp
from serinus.sandbox.controllers import nodes
from serinus.sandbox.objects import condition

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def make_node(*, silent_for: float, status: str = "True") -> dict[str, Any]:
    heard = stamp(NOW - timedelta(seconds=silent_for))
    ready = {"type": "Ready", "status": status, "lastHeartbeatTime": heard}
    return {"metadata": {"name": "n"}, "status": {"conditions": [ready]}}


def make_pod(name: str, *, node: str = "n", ready: bool = True) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "metadata": {"name": name},
        "spec": {"nodeName": node},
        "status": {"conditions": conditions},
    }


def test_a_node_that_is_heard_of_is_left_alone() -> None:
    assert nodes.decide(make_node(silent_for=40), [make_pod("a")], NOW) is None


def test_a_silent_node_is_unknown_and_its_ready_pods_are_not_ready() -> None:
    pods = [make_pod("a"), make_pod("b", ready=False), make_pod("c", node="other")]
    lost = nodes.decide(make_node(silent_for=41), pods, NOW)
    assert lost is not None
    ready = condition(lost.conditions, "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("Unknown", "NodeStatusUnknown")
    ((pod, conditions),) = lost.pods
    assert pod["metadata"]["name"] == "a"
    found = condition(conditions, "Ready")
    assert found is not None
    assert (found["status"], found["lastTransitionTime"]) == ("False", stamp(NOW))


def test_what_was_said_is_not_said_again() -> None:
    silent = make_node(silent_for=600, status="Unknown")
    assert nodes.decide(silent, [make_pod("a", ready=False)], NOW) is None
    late = nodes.decide(silent, [make_pod("a")], NOW)
    assert late is not None
    assert late.conditions is None
