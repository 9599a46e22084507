"""What others change of what is ours is seen; what we send late changes nothing newer."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from memory import CR, KEY, ROUTE, Shell

from serinus.api import names
from serinus.api.spec import GatewayRef, Traffic
from serinus.core.observed import Observed
from serinus.ports import Conflict, Manifest, Ref
from serinus.reconcile import kinds
from serinus.reconcile.observe import observe
from serinus.reconcile.read import read_commands
from serinus.reconcile.writes import Change, Delete, Make, Route, workload_patch
from serinus.render.meta import Owner
from serinus.render.routes import ROUTERS
from serinus.render.routes.base import Target


@pytest.fixture
async def shell() -> Shell:
    """Version 1 serves."""
    made = Shell()
    await made.run()
    assert made.status["phase"] == "Ready"
    return made


async def seen(shell: Shell) -> Observed:
    snapshot = await observe(KEY, shell.deps, shell.clock.now())
    assert snapshot is not None
    return snapshot.seen


def annotations(item: Manifest) -> dict[str, Any]:
    return dict(item["metadata"]["annotations"])


async def test_a_route_that_we_wrote_is_read_back_with_its_fence_and_no_drift(shell: Shell) -> None:
    route = (await seen(shell)).route
    assert route is not None
    assert (
        route.fence
        == str(shell.status["fence"])
        == annotations(shell.kube[ROUTE])[names.ANNOTATION_FENCE]
    )
    assert not route.drifted


async def test_a_route_that_others_changed_has_drifted(shell: Shell) -> None:
    shell.kube[ROUTE]["spec"]["rules"][0]["backendRefs"][0]["weight"] = 7
    route = (await seen(shell)).route
    assert route is not None
    assert route.drifted


async def test_a_route_without_the_hash_that_belongs_to_its_fence_has_drifted(shell: Shell) -> None:
    del shell.kube[ROUTE]["metadata"]["annotations"][names.ANNOTATION_WRITTEN]
    route = (await seen(shell)).route
    assert route is not None
    assert route.drifted


async def test_a_route_of_an_earlier_release_has_not_drifted(shell: Shell) -> None:
    del shell.kube[ROUTE]["metadata"]["annotations"]
    route = (await seen(shell)).route
    assert route is not None
    assert not route.drifted


async def test_every_change_of_the_fence_writes_the_route() -> None:
    owner, weights = Owner("churn", "ml", "uid-1"), (("aaaaaaaa", 100),)
    target = Target(owner, Traffic(), GatewayRef(name="public"))
    router = ROUTERS[target.traffic.router]
    live = router.render(target, weights, "3")
    assert router.same(live, router.render(target, weights, "3"))
    assert not router.same(live, router.render(target, weights, "4"))


async def test_a_deployment_that_others_scaled_is_set_right_on_what_was_looked_at(
    shell: Shell,
) -> None:
    ref = shell.child(kinds.DEPLOYMENT, "stable")
    size = shell.kube[ref]["spec"]["replicas"]
    shell.kube[ref]["spec"]["replicas"] = 9
    assert (await seen(shell)).workloads[ref.name[-8:]].drifted
    await shell.run(2)
    assert shell.kube[ref]["spec"]["replicas"] == size
    assert not (await seen(shell)).workloads[ref.name[-8:]].drifted


async def test_a_template_that_others_changed_becomes_what_it_was_admitted_with(
    shell: Shell,
) -> None:
    ref = shell.child(kinds.DEPLOYMENT, "stable")
    before = copy.deepcopy(shell.kube[ref]["spec"]["template"])
    pod = shell.kube[ref]["spec"]["template"]["spec"]
    pod["containers"].append({"name": "sidecar", "image": "x"})
    pod["initContainers"] = [{"name": "first", "image": "x"}]
    assert (await seen(shell)).workloads[ref.name[-8:]].drifted
    await shell.run(2)
    assert shell.kube[ref]["spec"]["template"] == before


async def test_a_new_release_gives_an_old_deployment_marks_and_no_other_template(
    shell: Shell,
) -> None:
    ref = shell.child(kinds.DEPLOYMENT, "stable")
    live = shell.kube[ref]
    live["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = (
        99  # rendered otherwise then
    )
    del live["metadata"]["annotations"]
    generation = live["metadata"]["generation"]
    await shell.run(3)
    assert shell.kube[ref]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 99
    assert shell.kube[ref]["metadata"]["generation"] == generation
    assert annotations(shell.kube[ref])[names.ANNOTATION_REPLICAS] == "2"
    shell.kube.writes.clear()
    await shell.run(5)
    assert shell.kube.writes == []


def test_an_admission_is_written_even_when_the_size_is_right() -> None:
    template = {"spec": {"containers": [{"name": "server"}]}}
    live: dict[str, Any] = {"metadata": {}, "spec": {"replicas": 1, "template": template}}
    first, second = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
    live["metadata"] = workload_patch(live, 1, first)["metadata"]
    assert workload_patch(live, 1, first) == {}
    assert workload_patch(live, 1, "") == {}, "stable keeps the mark that it has"
    assert workload_patch(live, 1, second) == {
        "metadata": {"annotations": {names.ANNOTATION_ADMITTED: second}}
    }


async def test_a_selector_with_a_label_too_much_is_set_right(shell: Shell) -> None:
    ref = shell.child(kinds.SERVICE, "stable")
    before = dict(shell.kube[ref]["spec"]["selector"])
    shell.kube[ref]["spec"]["selector"]["extra"] = "label"
    await shell.run(2)
    assert shell.kube[ref]["spec"]["selector"] == before
    shell.kube.writes.clear()
    await shell.run(3)
    assert shell.kube.writes == []


async def test_fields_that_others_added_to_our_routes_spec_are_taken_out(shell: Shell) -> None:
    shell.kube[ROUTE]["spec"]["hostnames"] = ["a.example.com"]
    await shell.run(3)
    assert "hostnames" not in shell.kube[ROUTE]["spec"]
    shell.kube.writes.clear()
    await shell.run(3)
    assert shell.kube.writes == []


async def test_another_owner_beside_us_is_nobodys_change(shell: Shell) -> None:
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "b"}
    for ref in (ROUTE, shell.child(kinds.SERVICE, "stable")):
        shell.kube[ref]["metadata"]["ownerReferences"].append(other)
    shell.kube.writes.clear()
    await shell.run(3)
    assert shell.kube.writes == []


async def test_a_creation_that_comes_late_changes_nothing(shell: Shell) -> None:
    owner = Owner("churn", "ml", shell.kube[CR]["metadata"]["uid"])
    ref = shell.child(kinds.DEPLOYMENT, "stable")
    before = copy.deepcopy(shell.kube[ref])
    for plural, late in (("deployments", ref), ("httproutes", ROUTE)):
        manifest = {**shell.kube[late], "spec": {"replicas": 77}}
        with pytest.raises(Conflict):
            if plural == "httproutes":
                await Route(late, manifest, None).send(shell.deps)
            else:
                await shell.kube.create(late, manifest)
    assert shell.kube[ref] == before
    await Make(ref, {**before, "spec": {"replicas": 77}}, owner).send(shell.deps)
    assert shell.kube[ref]["spec"] == before["spec"], "what is ours is given its labels only"


async def test_a_deployment_without_its_labels_gets_them_back_and_keeps_its_template(
    shell: Shell,
) -> None:
    ref = shell.child(kinds.DEPLOYMENT, "stable")
    labels = shell.kube[ref]["metadata"].pop("labels")
    before = copy.deepcopy(shell.kube[ref]["spec"])
    await shell.run(3)
    assert shell.kube[ref]["metadata"]["labels"] == labels
    assert shell.kube[ref]["spec"] == before


async def test_a_change_that_comes_late_is_refused(shell: Shell) -> None:
    ref = shell.child(kinds.DEPLOYMENT, "stable")
    late = Change(ref, {"spec": {"replicas": 0}}, copy.deepcopy(shell.kube[ref]))
    shell.kube.put(ref, shell.kube[ref])
    with pytest.raises(Conflict):
        await late.send(shell.deps)


async def test_what_has_gone_since_it_was_looked_at_is_looked_at_again(shell: Shell) -> None:
    """No refusal: people are told of nothing."""
    ref = shell.child(kinds.DEPLOYMENT, "stable")
    late = Change(ref, {"spec": {"replicas": 0}}, copy.deepcopy(shell.kube[ref]))
    del shell.kube.objects["deployments", "ml", ref.name]
    with pytest.raises(Conflict):
        await late.send(shell.deps)


async def test_a_delete_names_the_object_and_the_version_that_was_looked_at(shell: Shell) -> None:
    asked: list[tuple[str, str]] = []
    original = shell.kube.delete

    async def delete(ref: Ref, uid: str, resource_version: str = "") -> None:
        live = shell.kube[ref]["metadata"]
        asked.append((uid, resource_version))
        assert (uid, resource_version) == (live["uid"], live["resourceVersion"])
        await original(ref, uid, resource_version)

    shell.kube.delete = delete
    shell.model("2")
    await shell.run()
    shell.model("1")  # back: the canary goes after its delay
    await shell.run(60)
    assert len(asked) == 2


async def test_a_delete_that_comes_late_spares_a_revision_that_was_admitted_again(
    shell: Shell,
) -> None:
    ref = shell.child(kinds.DEPLOYMENT, "stable")
    late = Delete([(ref, copy.deepcopy(shell.kube[ref]))])
    size = shell.kube[ref]["spec"]["replicas"]
    patch = workload_patch(shell.kube[ref], size, "2026-01-02T00:00:00Z")
    await Change(ref, patch, copy.deepcopy(shell.kube[ref])).send(shell.deps)
    with pytest.raises(Conflict):
        await late.send(shell.deps)
    assert shell.kube[ref]["spec"]["replicas"] == size


async def test_a_deployment_of_an_earlier_try_is_made_anew_before_it_gets_traffic(
    shell: Shell,
) -> None:
    shell.model("2")
    await shell.run(1)
    ref = shell.child(kinds.DEPLOYMENT, "canary")
    old = shell.kube[ref]["metadata"]
    old["annotations"][names.ANNOTATION_ADMITTED] = "2026-01-01T00:00:00Z"  # as a stale view hid it
    await shell.run()
    made = shell.kube[ref]["metadata"]
    assert made["uid"] != old["uid"]
    assert shell.weights() == [95, 5]
    made["annotations"][names.ANNOTATION_ADMITTED] = "2026-01-01T00:00:00Z"  # now it has traffic
    await shell.run()
    assert shell.kube[ref]["metadata"]["uid"] == made["uid"]


async def test_effects_of_an_unchanged_status_wait_for_a_commit_too(shell: Shell) -> None:
    """Whoever looked at an old state repairs nothing by it."""
    ref = shell.child(kinds.SERVICE, "stable")
    del shell.kube.objects["services", "ml", ref.name]
    original = shell.kube.patch

    async def somebody_was_faster(ref, patch, subresource=""):
        shell.kube.put(CR, shell.kube[CR])
        return await original(ref, patch, subresource)

    shell.kube.patch = somebody_was_faster
    shell.kube.writes.clear()
    await shell.run(3)
    assert set(shell.kube.writes) == {("patch status", "ModelDeployment", "churn")}
    shell.kube.patch = original
    await shell.run(2)
    assert shell.kube[ref]


ASKED = {
    "a revision": ({names.ANNOTATION_ABORT: " 1a2b3c4d "}, "1a2b3c4d"),
    "nothing": ({names.ANNOTATION_ABORT: "  "}, ""),
    "no text": ({names.ANNOTATION_ABORT: 7}, ""),
    "too long a text": ({names.ANNOTATION_ABORT: "a" * 101}, ""),
    "not there": ({}, ""),
    "no annotations": (None, ""),
}


@pytest.mark.parametrize(("given", "want"), ASKED.values(), ids=ASKED)
def test_commands_are_short_texts(given: Any, want: str) -> None:
    assert read_commands({"annotations": given}).abort == want


async def test_commands_and_epoch_are_observed(shell: Shell) -> None:
    shell.kube[CR]["metadata"]["annotations"] = {
        names.ANNOTATION_PROMOTE: "1a2b3c4d/full",
        names.ANNOTATION_PAUSE: "1a2b3c4d",
    }
    found = await seen(shell)
    assert (found.commands.promote, found.commands.pause) == ("1a2b3c4d/full", "1a2b3c4d")
    assert found.epoch == shell.deps.epoch()
