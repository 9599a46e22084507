"""A pod's status, from what its containers are doing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from serinus.sandbox.node.probes import Judge, Timing
from serinus.sandbox.node.state import (
    ContainerView,
    Running,
    State,
    Terminated,
    Waiting,
    pod_status,
)
from serinus.sandbox.objects import condition

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
POD: dict[str, Any] = {"metadata": {"name": "p"}, "spec": {}}


def view(
    state: State, *, ready: bool = False, last: Terminated | None = None, name: str = "c"
) -> ContainerView:
    return ContainerView(name, "serinus-server", state, last, 0, ready, ready)


def ended(code: int, *, final: bool) -> Terminated:
    return Terminated(code, "Error" if code else "Completed", "", NOW, NOW, final)


def status(*views: ContainerView, pod: dict[str, Any] = POD) -> dict[str, Any]:
    return pod_status(pod, views, "127.70.1.10", "127.70.1.1", NOW)


@pytest.mark.parametrize(
    ("views", "phase"),
    [
        ([view(Waiting("ContainerCreating"))], "Pending"),
        ([view(Running(NOW))], "Running"),
        ([view(Waiting("CrashLoopBackOff"), last=ended(1, final=False))], "Running"),
        ([view(ended(1, final=False))], "Running"),
        ([view(ended(0, final=True))], "Succeeded"),
        ([view(ended(3, final=True))], "Failed"),
        ([view(ended(0, final=True)), view(Running(NOW), name="d")], "Running"),
        ([view(Running(NOW)), view(Waiting("ErrImagePull"), name="d")], "Pending"),
    ],
)
def test_phases(views: list[ContainerView], phase: str) -> None:
    assert status(*views)["phase"] == phase


def test_a_pod_is_ready_when_all_its_containers_are() -> None:
    one, other = view(Running(NOW), ready=True), view(Running(NOW), name="d")
    ready = condition(status(one, other)["conditions"], "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("False", "ContainersNotReady")
    assert "[d]" in ready["message"]
    both = condition(status(one, one)["conditions"], "Ready")
    assert both is not None
    assert both["status"] == "True"


def test_a_transition_keeps_its_time_until_the_next() -> None:
    pod = {**POD, "status": status(view(Running(NOW), ready=True))}
    later = pod_status(pod, [view(Running(NOW), ready=True)], "", "", NOW + timedelta(hours=1))
    assert later["conditions"] == pod["status"]["conditions"]


def test_a_closed_readiness_gate_keeps_the_pod_from_being_ready() -> None:
    pod = {**POD, "spec": {"readinessGates": [{"conditionType": "example.com/gate"}]}}
    ready = condition(status(view(Running(NOW), ready=True), pod=pod)["conditions"], "Ready")
    assert ready is not None
    assert ready["reason"] == "ReadinessGatesNotReady"


def test_a_verdict_needs_as_many_answers_in_a_row_as_its_threshold() -> None:
    judge = Judge(Timing(0, 1, 1, success_threshold=2, failure_threshold=3))
    answers = [True, True, False, False, True, False, False, False]
    verdicts = [judge.judge(ok=ok) for ok in answers]
    assert verdicts == [None, True, True, True, True, True, True, False]
