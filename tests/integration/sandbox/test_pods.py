"""What the node does with pods: the cases that an operator has to tell apart."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from cluster_world import STAND_IN, World, eventually

from serinus.sandbox.client import ApiError
from serinus.sandbox.node.worker import LOG_FILE
from serinus.sandbox.processes import ProcessId
from serinus.sandbox.resources import CONFIG_MAPS, DEPLOYMENTS, EVENTS, PODS, REPLICA_SETS

pytestmark = pytest.mark.cluster

SERVE: dict[str, Any] = {
    "command": [sys.executable, str(STAND_IN), "8080"],
    "ports": [{"name": "http", "containerPort": 8080}],
    "readinessProbe": {"httpGet": {"port": "http"}, "periodSeconds": 1},
}


def shell(script: str) -> dict[str, Any]:
    return {"command": ["sh", "-c", script]}


def read(path: str) -> str:
    return Path(path).read_text()


async def test_an_unknown_image_never_runs_and_says_why(world: World) -> None:
    await world.pod("p", {"image": "nginx:1"})
    seen = set()

    async def backs_off() -> bool:
        state = (await world.container("p")).get("state") or {}
        seen.add((state.get("waiting") or {}).get("reason"))
        return "ImagePullBackOff" in seen

    await eventually(backs_off)
    assert "ErrImagePull" in seen
    pod = await world.client.get(PODS, "p", world.namespace)
    assert pod["status"]["phase"] == "Pending"
    events = await world.client.list(EVENTS, world.namespace)
    assert {"Pulling", "Failed", "BackOff"} <= {event["reason"] for event in events.items}


async def test_a_crashing_container_backs_off_and_leaves_its_last_words(world: World) -> None:
    await world.pod("p", shell("echo no model > $SERINUS_TERMINATION_LOG; exit 3"))

    async def restarted() -> bool:
        status = await world.container("p")
        waiting = (status.get("state") or {}).get("waiting") or {}
        return status.get("restartCount", 0) >= 1 and waiting.get("reason") == "CrashLoopBackOff"

    await eventually(restarted)
    last = (await world.container("p"))["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"], last["message"]) == (3, "Error", "no model")


async def test_a_container_over_its_memory_limit_is_killed_for_it(world: World) -> None:
    grow = "import time; x = bytearray(200 * 2**20); time.sleep(60)"
    limits = {"resources": {"limits": {"memory": "100Mi"}}}
    await world.pod("p", {"command": [sys.executable, "-c", grow], **limits}, restartPolicy="Never")

    async def ended() -> bool:
        return "terminated" in ((await world.container("p")).get("state") or {})

    await eventually(ended)
    state = (await world.container("p"))["state"]["terminated"]
    assert (state["reason"], state["exitCode"]) == ("OOMKilled", 137)
    assert (await world.client.get(PODS, "p", world.namespace))["status"]["phase"] == "Failed"


async def test_a_pod_that_ends_well_has_succeeded(world: World) -> None:
    await world.pod("p", shell("exit 0"), restartPolicy="OnFailure")

    async def succeeded() -> bool:
        pod = await world.client.get(PODS, "p", world.namespace)
        return bool((pod.get("status") or {}).get("phase") == "Succeeded")

    await eventually(succeeded)


async def test_a_failing_liveness_probe_restarts_the_container(world: World) -> None:
    probe = {"exec": {"command": ["test", "!", "-e", "sick"]}, "periodSeconds": 1}
    await world.pod(
        "p",
        {
            **shell("sleep 0.3; touch sick; sleep 60"),
            "livenessProbe": {**probe, "failureThreshold": 1},
        },
        terminationGracePeriodSeconds=1,
    )

    async def restarted() -> bool:
        return bool((await world.container("p")).get("restartCount", 0) >= 1)

    await eventually(restarted)
    reasons = {e["reason"] for e in (await world.client.list(EVENTS, world.namespace)).items}
    assert {"Unhealthy", "Killing"} <= reasons


async def test_readiness_waits_for_the_startup_probe(world: World) -> None:
    startup = {"exec": {"command": ["test", "-e", "up"]}, "periodSeconds": 1}
    await world.pod("p", {**shell("sleep 1.5; touch up; sleep 60"), "startupProbe": startup})
    states = []

    async def ready() -> bool:
        status = await world.container("p")
        states.append((bool((status.get("state") or {}).get("running")), status.get("ready")))
        return bool(status.get("ready"))

    await eventually(ready)
    assert (True, False) in states


async def test_a_deleted_pod_may_finish_within_its_grace(world: World) -> None:
    await world.pod("p", SERVE, terminationGracePeriodSeconds=10)

    async def runs() -> bool:
        return bool((await world.container("p")).get("ready"))

    await eventually(runs)
    process = int((await world.container("p"))["containerID"].removeprefix("sandbox://"))
    known = ProcessId.of(process)
    assert known is not None
    await world.client.delete(PODS, "p", world.namespace)
    pod = await world.client.get(PODS, "p", world.namespace)
    assert "deletionTimestamp" in pod["metadata"]
    assert known.is_alive()

    async def gone() -> bool:
        return await world.client.find(PODS, "p", world.namespace) is None

    await eventually(gone)
    assert not known.is_alive()


async def test_a_container_that_ignores_sigterm_is_killed_after_its_grace(world: World) -> None:
    script = "trap '' TERM; touch ready; while true; do sleep 0.1; done"
    probe = {"exec": {"command": ["test", "-e", "ready"]}, "periodSeconds": 1}
    await world.pod(
        "p", {**shell(script), "readinessProbe": probe}, terminationGracePeriodSeconds=1
    )

    async def ready() -> bool:
        return bool((await world.container("p")).get("ready"))

    await eventually(ready)
    await world.client.delete(PODS, "p", world.namespace)

    async def gone() -> bool:
        return await world.client.find(PODS, "p", world.namespace) is None

    await eventually(gone, seconds=5)


async def test_a_pods_log_is_where_its_annotation_says(world: World) -> None:
    await world.pod("p", shell("echo hello; exit 1"), restartPolicy="Never")

    async def ended() -> bool:
        return "terminated" in ((await world.container("p")).get("state") or {})

    await eventually(ended)
    pod = await world.client.get(PODS, "p", world.namespace)
    assert read(pod["metadata"]["annotations"][LOG_FILE]) == "hello\n"


async def test_an_owner_deleted_in_the_foreground_goes_last(world: World) -> None:
    await world.serve("web", 2)
    await world.available("web", 2)
    await world.client.delete(DEPLOYMENTS, "web", world.namespace, policy="Foreground")
    found = await world.client.find(DEPLOYMENTS, "web", world.namespace)
    assert found is not None
    assert "foregroundDeletion" in found["metadata"]["finalizers"]

    async def gone() -> bool:
        return await world.client.find(DEPLOYMENTS, "web", world.namespace) is None

    await eventually(gone)
    assert await world.pods() == []
    assert (await world.client.list(REPLICA_SETS, world.namespace)).items == ()


async def test_orphans_stay_without_an_owner(world: World) -> None:
    await world.serve("web")
    await world.available("web")
    await world.client.delete(DEPLOYMENTS, "web", world.namespace, policy="Orphan")

    async def orphaned() -> bool:
        (rs,) = (await world.client.list(REPLICA_SETS, world.namespace)).items
        gone = await world.client.find(DEPLOYMENTS, "web", world.namespace) is None
        return gone and not rs["metadata"].get("ownerReferences")

    await eventually(orphaned)
    assert len(await world.pods()) == 1


async def test_an_object_whose_owner_never_was_is_collected(world: World) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "no", "uid": "no-such-uid"}
    meta = {"name": "c", "namespace": world.namespace, "ownerReferences": [owner]}
    await world.client.create(CONFIG_MAPS, {"metadata": meta, "data": {}})

    async def gone() -> bool:
        return await world.client.find(CONFIG_MAPS, "c", world.namespace) is None

    await eventually(gone)


async def test_deleting_a_pod_of_another_uid_is_a_conflict(world: World) -> None:
    await world.pod("p", shell("sleep 60"), terminationGracePeriodSeconds=1)
    with pytest.raises(ApiError) as raised:
        await world.client.delete(PODS, "p", world.namespace, uid="other")
    assert raised.value.conflict
