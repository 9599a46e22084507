"""The main job, end to end, with real parts, and what may happen in the middle of it."""

from __future__ import annotations

import asyncio
import json
import shutil

import aiohttp
import pytest
from story import SPEC, Story, canary_has_traffic, promoted, rolled_back

from serinus.api.status import Stage, Verdict

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on PATH")
needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="no prometheus on PATH"
)
pytestmark = pytest.mark.timeout(300)


async def test_a_better_version_is_promoted_a_worse_one_is_taken_back_and_no_request_is_lost(
    story: Story,
) -> None:
    await story.given_version_1_serves()
    await story.given_requests_flow()

    await story.apply("2")
    await story.then("version 2 is promoted", promoted("2"))
    await story.only_answered_by("2")

    await story.apply("3")
    status = await story.then("version 3 is rolled back", rolled_back("3"))
    assert status.failed.reason == "MetricsBreached", status.failed
    await story.only_answered_by("2")
    assert list((await story.weights()).values()) == [100]

    await story.requests_stop()
    assert story.refused() == 0, story.account.problems
    assert {"1", "2", "3"} <= set(story.account.versions()), "every version had real traffic"
    failed = status.failed
    assert "errors" in failed.message
    assert (failed.weight_zero_at - failed.first_breach_at).total_seconds() < 30
    if shutil.which("kubectl"):
        _kubectl_tells_the_story(story)
    await story.then("the losers are gone", lambda s: not s.retiring)
    assert len([o for o in await story.owned() if o.startswith("Deployment/")]) == 1


def _kubectl_tells_the_story(story: Story) -> None:
    header, row = story.kubectl("get", "mdep").stdout.splitlines()
    assert header.split() == ["NAME", "PHASE", "STABLE", "CANARY", "WEIGHT", "READY", "AGE"]
    assert row.split()[:4] == ["churn", "RolledBack", "2", "1/1"]
    told = story.kubectl("describe", "mdep", "churn").stdout
    for word in ("RolloutStarted", "WeightChanged", "Promoted", "SlotBreached", "RolledBack"):
        assert word in told
    assert "version 3 was taken back" in told


async def test_an_operator_that_is_killed_in_mid_canary_ends_in_the_same_results(
    story: Story,
) -> None:
    await story.given_version_1_serves()
    await story.given_requests_flow()

    await story.apply("2")
    await story.then("version 2 has traffic", canary_has_traffic)
    await story.the_operator_is_killed_and_started_again()
    await story.then("version 2 is promoted", promoted("2"))

    await story.apply("3")
    await story.then("version 3 has traffic", canary_has_traffic)
    await story.the_operator_is_killed_and_started_again()
    await story.then("version 3 is rolled back", rolled_back("3"))

    await story.only_answered_by("2")
    await story.requests_stop()
    assert story.refused() == 0, story.account.problems


@needs_prometheus
async def test_without_prometheus_for_a_while_the_canary_is_neither_promoted_nor_failed(
    story: Story,
) -> None:
    await story.given_version_1_serves()
    await story.given_requests_flow()
    await story.apply("2")
    await story.then("version 2 has traffic", canary_has_traffic)

    await story.sandbox.stop("prometheus")
    try:

        def unavailable(status) -> bool:
            verdicts = status.rollout.verdicts if status.rollout else ()
            return bool(verdicts) and verdicts[-1].verdict is Verdict.UNAVAILABLE

        before = await story.then("the operator says that the metrics are unavailable", unavailable)
        assert {c.type: c.status for c in before.conditions}["MetricsAvailable"] == "False"
        clock = asyncio.get_running_loop()
        since = clock.time()
        holds = 3 * 3  # seconds: three times as long as the step's hold

        def long_unavailable(status) -> bool:
            assert status.failed is None
            assert status.canary is not None
            assert status.canary.requested_weight == before.canary.requested_weight
            return clock.time() - since > holds

        await story.then("the canary stays where it is", long_unavailable)
    finally:
        await story.sandbox.start("prometheus")
    await story.then("version 2 is promoted when the metrics are back", promoted("2"))


async def test_where_no_prometheus_is_configured_the_pods_are_asked(
    story_without_prometheus: Story,
) -> None:
    story = story_without_prometheus
    await story.given_version_1_serves()
    await story.given_requests_flow()
    await story.apply("2")
    await story.then("version 2 is promoted", promoted("2"))
    await story.apply("3")
    await story.then("version 3 is rolled back", rolled_back("3"))
    await story.requests_stop()
    assert story.refused() == 0, story.account.problems


async def test_a_canary_whose_image_does_not_exist_fails_at_the_deadline_and_gets_no_traffic(
    story: Story,
) -> None:
    await story.given_version_1_serves()
    rollout = {**SPEC["rollout"], "progressDeadline": "5s"}
    await story.apply(
        "1", server={**SPEC["server"], "image": "example.com/nothing:1"}, rollout=rollout
    )
    status = await story.then("the canary has failed", lambda s: s.phase == "RolledBack")
    assert status.failed.reason == "ProgressDeadlineExceeded"
    assert "ErrImagePull" in status.failed.message or "ImagePullBackOff" in status.failed.message
    assert list((await story.weights()).values()) == [100]


async def test_a_model_that_is_not_registered_is_told_and_changes_nothing(story: Story) -> None:
    await story.given_version_1_serves()
    before = await story.weights()
    await story.apply("99")

    def told(status) -> bool:
        return any(
            c.type == "ModelResolved" and c.reason == "ModelNotFound" for c in status.conditions
        )

    await story.then("the condition says so", told)
    assert await story.weights() == before


async def test_deleting_the_object_leaves_nothing_also_with_the_operator_gone(story: Story) -> None:
    await story.given_version_1_serves()
    await story.given_requests_flow()
    await story.apply("2")
    await story.then("a canary is under way", canary_has_traffic)
    await story.requests_stop()
    await story.sandbox.kill("operator")
    try:
        found = await story.kube.get(story.ref)
        await story.kube.delete(story.ref, found["metadata"]["uid"])
        await story.nothing_is_left()
    finally:
        await story.sandbox.start("operator")


async def test_a_new_version_in_mid_canary_takes_the_place_of_the_old_one(story: Story) -> None:
    await story.given_version_1_serves()
    await story.given_requests_flow()
    slow = {**SPEC["rollout"], "steps": [{"weight": 20, "hold": "10m"}]}
    await story.apply("3", rollout=slow, analysis={**SPEC["analysis"], "minRequests": 100000})
    await story.then("version 3 has traffic", canary_has_traffic)
    await story.apply("2")
    status = await story.then("version 2 is promoted", promoted("2"))
    assert [entry.outcome for entry in status.history] == ["Superseded", "Promoted"]
    await story.requests_stop()
    assert story.refused() == 0, story.account.problems


@needs_kubectl
async def test_kubectl_is_enough(story: Story) -> None:
    """What a person does with a YAML and kubectl, and what it prints."""
    manifest = story.manifest("1")
    applied = story.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    assert applied.stdout.strip() == "modeldeployment.serinus.dev/churn created", applied.stderr
    waited = story.kubectl("wait", "mdep/churn", "--for=condition=Ready", "--timeout=60s")
    assert waited.returncode == 0, waited.stderr

    bad = {**manifest, "spec": {**manifest["spec"], "server": {"replicas": 0}}}
    refused = story.kubectl("apply", "-f", "-", stdin=json.dumps(bad))
    assert refused.returncode == 1
    assert "spec.server.replicas" in refused.stderr

    falling = {"steps": [{"weight": 50}, {"weight": 10}]}
    bad = {**manifest, "spec": {**manifest["spec"], "rollout": falling}}
    refused = story.kubectl("apply", "-f", "-", stdin=json.dumps(bad))
    assert "weights must rise from step to step" in refused.stderr

    unknown = {**manifest, "spec": {**manifest["spec"], "autoscaling": {"minReplicas": 1}}}
    refused = story.kubectl("apply", "-f", "-", stdin=json.dumps(unknown))
    assert 'unknown field "spec.autoscaling"' in refused.stderr  # old kubectls are warned of it

    watching = await asyncio.create_subprocess_exec(
        *("kubectl", "--kubeconfig", str(story.sandbox.kubeconfig), "-n", story.namespace),
        *("get", "mdep", "-w"),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        header, row = [await watching.stdout.readline() for _ in range(2)]
        assert header.startswith(b"NAME")
        assert row.startswith(b"churn")
        story.kubectl("annotate", "mdep", "churn", "seen=true")
        assert (await asyncio.wait_for(watching.stdout.readline(), 10)).startswith(b"churn")
    finally:
        watching.terminate()
        await watching.wait()
    story.kubectl("delete", "mdep", "churn", "--wait=false")
    await story.nothing_is_left()
    assert story.kubectl("get", "mdep").stderr.startswith("No resources found")


async def test_a_paused_breach_keeps_its_weight_until_somebody_decides(story: Story) -> None:
    await story.given_version_1_serves()
    await story.given_requests_flow()
    await story.apply("3", rollout={**SPEC["rollout"], "onBreach": "Pause"})
    status = await story.then("the rollout is paused", lambda s: s.phase == "Paused")
    assert status.rollout.stage is Stage.PAUSED
    weight = status.canary.requested_weight  # of the step at which it was found out
    assert sorted((await story.weights()).values()) == sorted([weight, 100 - weight])
    await story.apply("3")
    await story.then("version 3 is rolled back", rolled_back("3"))


async def test_a_path_prefix_is_gone_before_the_server_sees_the_request(story: Story) -> None:
    traffic = {"hostnames": [story.host], "path": "/models/churn"}
    await story.given_version_1_serves(traffic=traffic)
    async with aiohttp.ClientSession(
        story.sandbox.gateway_url, headers={"Host": story.host}
    ) as client:
        async with client.get("/models/churn/v2/models/churn") as answer:
            assert answer.status == 200
            assert (await answer.json())["name"] == "churn"
        async with client.get("/v2/models/churn") as answer:
            assert answer.status == 404
