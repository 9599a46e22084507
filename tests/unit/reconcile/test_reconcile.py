"""The shell on an API server in memory: order of writes, refusals, what is not ours."""

from __future__ import annotations

import pytest
from memory import CR, ROUTE, Shell

from serinus.ports import Forbidden, Ref
from serinus.reconcile import kinds


@pytest.fixture
async def shell() -> Shell:
    """Version 1 serves."""
    made = Shell()
    await made.run()
    assert made.status["phase"] == "Ready"
    return made


async def canary(shell: Shell) -> None:
    shell.model("2")
    await shell.run()
    assert shell.weights() == [95, 5]


async def test_at_rest_nothing_is_written(shell: Shell) -> None:
    shell.kube.writes.clear()
    await shell.run(60)
    assert shell.kube.writes == []


async def test_the_status_is_committed_before_any_effect(shell: Shell) -> None:
    shell.kube.writes.clear()
    shell.model("2")
    await shell.run()
    first = {kind: i for i, (_, kind, _) in reversed(list(enumerate(shell.kube.writes)))}
    assert first["ModelDeployment"] < first["Service"] < first["Deployment"] < first["HTTPRoute"]


async def test_a_stale_observation_writes_nothing(shell: Shell) -> None:
    shell.model("2")
    original = shell.kube.patch

    async def somebody_was_faster(ref, patch, subresource=""):
        shell.kube.put(CR, shell.kube[CR])
        return await original(ref, patch, subresource)

    shell.kube.patch = somebody_was_faster
    shell.kube.writes.clear()
    await shell.run(5)
    assert {kind for _, kind, _ in shell.kube.writes} == {"ModelDeployment"}


async def test_a_refused_deployment_does_not_keep_the_traffic_from_going_back(shell: Shell) -> None:
    await canary(shell)
    broken = shell.child(kinds.DEPLOYMENT, "canary")
    for plural in ("deployments", "endpointslices"):
        shell.kube.objects.pop((plural, "ml", broken.name))
    shell.kube.refuse["create", "Deployment"] = Forbidden(403, "Forbidden", "exceeded quota")
    await shell.run(3)
    assert shell.weights()[0] == 100
    assert shell.status["failed"]["reason"] == "CanaryNotReady"


async def test_a_refused_deployment_keeps_a_canary_from_getting_traffic(shell: Shell) -> None:
    shell.kube.refuse["create", "Deployment"] = Forbidden(403, "Forbidden", "exceeded quota")
    shell.model("2")
    await shell.run()
    assert shell.weights() == [100]


async def test_a_deployment_of_our_childs_name_that_is_not_ours_is_left_alone(shell: Shell) -> None:
    await canary(shell)
    name = shell.child(kinds.DEPLOYMENT, "canary").name
    other = Shell()
    other.model("2")
    taken = Ref(kinds.DEPLOYMENT, "ml", name)
    other.kube.put(taken, {"metadata": {}, "spec": {"replicas": 7}})
    await other.run()
    assert other.kube[taken]["spec"] == {"replicas": 7}
    assert not [write for write in other.kube.writes if write[1:] == ("Deployment", name)]


async def test_a_route_that_changed_since_it_was_looked_at_is_not_written_over(
    shell: Shell,
) -> None:
    shell.model("2")
    original = shell.kube.patch

    async def delayed(ref, patch, subresource=""):
        if ref.kind is kinds.HTTP_ROUTE:
            shell.kube.put(ROUTE, shell.kube[ROUTE])
        return await original(ref, patch, subresource)

    shell.kube.patch = delayed
    await shell.run()
    assert shell.weights() == [100]


async def test_what_somebody_puts_into_our_route_is_taken_out(shell: Shell) -> None:
    rule = shell.kube[ROUTE]["spec"]["rules"][0]
    rule["filters"] = [{"type": "RequestRedirect"}]
    rule["backendRefs"][0]["weight"] = 3
    await shell.run(2)
    assert "filters" not in shell.kube[ROUTE]["spec"]["rules"][0]
    assert shell.weights() == [100]


async def test_host_names_leave_the_route_with_the_spec(shell: Shell) -> None:
    shell.kube[CR]["spec"]["traffic"] = {"hostnames": ["a.example.com"]}
    await shell.run(2)
    assert shell.kube[ROUTE]["spec"]["hostnames"] == ["a.example.com"]
    shell.kube[CR]["spec"]["traffic"] = {}
    await shell.run(2)
    assert "hostnames" not in shell.kube[ROUTE]["spec"]


async def test_a_status_of_a_newer_release_is_kept_and_nothing_is_done(shell: Shell) -> None:
    await canary(shell)
    shell.status["rollout"]["stage"] = "Draining"
    before = {k: v for k, v in shell.status.items() if k != "conditions"}
    await shell.run(20)
    assert {k: v for k, v in shell.status.items() if k != "conditions"} == before
    assert shell.weights() == [95, 5]
    assert shell.status["conditions"][0]["reason"] == "StatusInvalid"


async def test_a_deployment_deleted_by_hand_comes_back_as_it_was(shell: Shell) -> None:
    ref = shell.child(kinds.DEPLOYMENT, "stable")
    before = shell.kube[ref]["spec"]
    del shell.kube.objects["deployments", "ml", ref.name]
    await shell.run(2)
    assert shell.kube[ref]["spec"] == before


def events(shell: Shell) -> list[tuple[str, str]]:
    found = [item for (plural, _, _), item in shell.kube.objects.items() if plural == "events"]
    return [(item["metadata"]["name"], item["reason"]) for item in found]


async def test_events_of_the_same_second_keep_their_order_by_name(shell: Shell) -> None:
    before = events(shell)
    shell.model("2")
    await shell.run(3)
    told = events(shell)[len(before) :]
    assert [reason for _, reason in told[:2]] == ["Pinned", "RolloutStarted"]
    assert [name for name, _ in told] == sorted({name for name, _ in told})


async def test_an_event_is_named_after_the_commit_that_it_tells_of(shell: Shell) -> None:
    """Told again, it exists already: the API server refuses a second one."""
    commits = [0]
    original = shell.kube.patch

    async def patch(ref, patch, subresource=""):
        written = await original(ref, patch, subresource)
        if subresource:
            commits.append(int(written["metadata"]["resourceVersion"]))
        return written

    shell.kube.patch = patch
    before = events(shell)
    shell.model("2")
    await shell.run()
    told = [name.removeprefix("churn.") for name, _ in events(shell)[len(before) :]]
    assert told
    assert {int(name[:20]) for name in told} <= set(commits)
