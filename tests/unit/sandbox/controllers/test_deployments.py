"""A Deployment's next step, from objects to decisions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from serinus.sandbox.clock import stamp
from serinus.sandbox.controllers import deployments
from serinus.sandbox.objects import condition

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def make_deployment(replicas: int = 4, image: str = "new", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "web", "namespace": "ml", "uid": "d", "generation": 3},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1},
            },
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"image": image}},
            **spec,
        },
    }


def make_set(
    deployment: dict[str, Any], replicas: int, available: int | None = None, revision: int = 1
) -> dict[str, Any]:
    """The ReplicaSet that the controller would have made, some time later."""
    made = deployments.make_replica_set(deployment, str(revision), replicas)
    made["metadata"] |= {"uid": f"rs-{revision}", "creationTimestamp": stamp(NOW)}
    up = replicas if available is None else available
    made["status"] = {"replicas": replicas, "readyReplicas": up, "availableReplicas": up}
    return made


def scales(plan: deployments.DeploymentPlan) -> dict[str, int]:
    return {s.replica_set["metadata"]["annotations"][deployments.REVISION]: s.replicas
            for s in plan.scales}  # fmt: skip


def test_the_first_replica_set_has_all_replicas() -> None:
    plan = deployments.decide(make_deployment(), [], NOW)
    assert plan.create is not None
    assert plan.create["spec"]["replicas"] == 4
    assert plan.create["metadata"]["annotations"][deployments.REVISION] == "1"
    labels = plan.create["spec"]["template"]["metadata"]["labels"]
    assert labels["app"] == "web"
    assert plan.create["spec"]["selector"]["matchLabels"] == labels


def test_a_new_template_begins_with_the_surge_only() -> None:
    old = make_set(make_deployment(image="old"), 4)
    plan = deployments.decide(make_deployment(), [old], NOW)
    assert plan.create is not None
    assert plan.create["spec"]["replicas"] == 1
    assert plan.create["metadata"]["annotations"][deployments.REVISION] == "2"


@pytest.mark.parametrize(
    ("old", "old_up", "new", "new_up", "expected"),
    [
        pytest.param(4, 4, 1, 0, {"1": 3}, id="one may be unavailable"),
        pytest.param(3, 3, 1, 0, {"2": 2}, id="room for one more new one"),
        pytest.param(3, 3, 2, 0, {}, id="wait for the new ones"),
        pytest.param(3, 3, 2, 1, {"1": 2}, id="a new one is there, an old one goes"),
        pytest.param(4, 2, 1, 0, {"1": 3}, id="broken old ones go first, within the total"),
        pytest.param(1, 1, 4, 4, {"1": 0}, id="the last old one goes"),
        pytest.param(0, 0, 4, 4, {}, id="done"),
    ],
)
def test_a_rolling_update_stays_within_surge_and_unavailable(
    old: int, old_up: int, new: int, new_up: int, expected: dict[str, int]
) -> None:
    deployment = make_deployment()
    sets = [
        make_set(make_deployment(image="old"), old, old_up, revision=1),
        make_set(deployment, new, new_up, revision=2),
    ]
    assert scales(deployments.decide(deployment, sets, NOW)) == expected


def test_a_rollout_ends_and_is_never_short_of_pods_whatever_becomes_ready_when() -> None:
    for lag in range(1, 4):
        deployment = make_deployment(5)
        sets = [make_set(make_deployment(5, image="old"), 5), make_set(deployment, 0, revision=2)]
        for step in range(60):
            for scale in deployments.decide(deployment, sets, NOW).scales:
                scale.replica_set["spec"]["replicas"] = scale.replicas
            for rs in sets:
                wanted, up = rs["spec"]["replicas"], rs["status"]["availableReplicas"]
                up = min(up, wanted) if step % lag else min(up + 1, wanted)
                rs["status"] = {"replicas": wanted, "readyReplicas": up, "availableReplicas": up}
            assert sum(rs["status"]["availableReplicas"] for rs in sets) >= 4
            assert sum(rs["spec"]["replicas"] for rs in sets) <= 6
        assert [rs["spec"]["replicas"] for rs in sets] == [0, 5]


def test_recreate_waits_until_the_old_pods_are_gone() -> None:
    deployment = make_deployment(strategy={"type": "Recreate"})
    old = make_set(make_deployment(image="old"), 4)
    plan = deployments.decide(deployment, [old], NOW)
    assert plan.create is None
    assert scales(plan) == {"1": 0}
    old["spec"]["replicas"] = 0
    assert deployments.decide(deployment, [old], NOW).create is None
    old["status"]["replicas"] = 0
    made = deployments.decide(deployment, [old], NOW).create
    assert made is not None
    assert made["spec"]["replicas"] == 4


def test_a_paused_deployment_rolls_nothing_but_scales() -> None:
    old = make_set(make_deployment(image="old"), 4)
    paused = make_deployment(paused=True)
    plan = deployments.decide(paused, [old], NOW)
    assert plan.create is None
    assert plan.scales == ()
    assert scales(deployments.decide(make_deployment(6, paused=True), [old], NOW)) == {"1": 6}


def test_scaling_in_the_middle_of_a_rollout_keeps_the_proportion() -> None:
    small, large = make_deployment(4), make_deployment(8)
    sets = [make_set(make_deployment(4, image="old"), 3), make_set(small, 2, revision=2)]
    assert scales(deployments.decide(large, sets, NOW)) == {"1": 5, "2": 4}


def test_going_back_to_an_old_template_reuses_its_replica_set() -> None:
    first = make_deployment(image="old")
    sets = [make_set(first, 0, revision=1), make_set(make_deployment(), 4, revision=2)]
    plan = deployments.decide(first, sets, NOW)
    assert plan.create is None
    assert plan.revision == "3"
    assert plan.annotations == {deployments.REVISION: "3"}
    assert scales(plan) == {"1": 1}


def test_only_the_history_beyond_the_limit_is_forgotten() -> None:
    deployment = make_deployment(revisionHistoryLimit=2)
    olds = [make_set(make_deployment(image=f"v{n}"), 0, revision=n) for n in range(1, 5)]
    plan = deployments.decide(deployment, [*olds, make_set(deployment, 4, revision=5)], NOW)
    assert [rs["metadata"]["uid"] for rs in plan.forget] == ["rs-1", "rs-2"]


@pytest.mark.parametrize(
    ("surge", "unavailable", "expected"),
    [
        ("25%", "25%", (1, 1)),
        ("30%", "30%", (2, 1)),
        (0, 0, (0, 1)),
        (0, "10%", (0, 1)),
        (2, 9, (2, 4)),
    ],
)
def test_bounds_round_surge_up_and_unavailable_down(
    surge: int | str, unavailable: int | str, expected: tuple[int, int]
) -> None:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    deployment = make_deployment(strategy={"type": "RollingUpdate", "rollingUpdate": rolling})
    assert deployments.bounds(deployment) == expected


def _progress(plan: deployments.DeploymentPlan) -> tuple[str, str]:
    found = condition(plan.status["conditions"], "Progressing")
    assert found is not None
    return found["status"], found["reason"]


def test_the_progress_deadline_is_reported_when_it_has_passed() -> None:
    deployment = make_deployment(progressDeadlineSeconds=60)
    sets = [make_set(deployment, 4, available=1)]
    plan = deployments.decide(deployment, sets, NOW)
    assert _progress(plan) == ("True", "NewReplicaSetCreated")
    assert plan.look_again == timedelta(seconds=60)

    deployment["status"] = plan.status
    early = deployments.decide(deployment, sets, NOW + timedelta(seconds=59))
    assert _progress(early) == ("True", "NewReplicaSetCreated")
    late = deployments.decide(deployment, sets, NOW + timedelta(seconds=60))
    assert _progress(late) == ("False", "ProgressDeadlineExceeded")


def test_every_new_ready_pod_gives_the_rollout_its_deadline_again() -> None:
    deployment = make_deployment(progressDeadlineSeconds=60)
    sets = [make_set(deployment, 4, available=1)]
    deployment["status"] = deployments.decide(deployment, sets, NOW).status
    sets[0]["status"] |= {"readyReplicas": 2, "availableReplicas": 2}
    moved = deployments.decide(deployment, sets, NOW + timedelta(seconds=50))
    assert _progress(moved) == ("True", "ReplicaSetUpdated")
    assert moved.look_again == timedelta(seconds=60)


def test_losing_a_pod_after_the_rollout_is_not_a_failed_rollout() -> None:
    deployment = make_deployment(progressDeadlineSeconds=60)
    sets = [make_set(deployment, 4)]
    deployment["status"] = deployments.decide(deployment, sets, NOW).status
    assert _progress(deployments.decide(deployment, sets, NOW)) == (
        "True",
        "NewReplicaSetAvailable",
    )
    sets[0]["status"] |= {"readyReplicas": 1, "availableReplicas": 1}
    plan = deployments.decide(deployment, sets, NOW + timedelta(hours=1))
    assert _progress(plan) == ("True", "NewReplicaSetAvailable")
    available = condition(plan.status["conditions"], "Available")
    assert available is not None
    assert available["status"] == "False"
    assert plan.status["unavailableReplicas"] == 3


def test_a_deployment_that_is_being_deleted_does_nothing() -> None:
    deployment = make_deployment()
    deployment["metadata"]["deletionTimestamp"] = stamp(NOW)
    plan = deployments.decide(deployment, [], NOW)
    assert plan.create is None
    assert plan.scales == ()
