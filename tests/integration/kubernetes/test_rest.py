"""An operator at rest writes nothing: counted by the API server, no-op writes included."""

from __future__ import annotations

import sys
from collections import Counter

import pytest
from bench.operator.cluster import (
    MODEL_DEPLOYMENTS,
    WRITING,
    eventually,
    requests_so_far,
)
from bench.operator.process import OperatorProcess
from control_plane import World
from stories import model_deployment, serves

from serinus.sandbox.objects import Key
from serinus.sandbox.resources import DEPLOYMENTS, EVENTS, HTTP_ROUTES, SERVICES

RESOURCES = 100
RESYNCS = 10
RESYNC_SECONDS = 2

# All that the operator's permissions let it write, but the Lease, which it must renew, and Events, which
# the node's controllers write as well.
WRITTEN = {one.plural for one in (MODEL_DEPLOYMENTS, DEPLOYMENTS, SERVICES, HTTP_ROUTES)}


async def writes_so_far(world: World) -> Counter[tuple[str, ...]]:
    """Writes, by anybody, of what the operator may write; and the Events about ModelDeployments."""
    found = await requests_so_far(world.admin)
    out = Counter[tuple[str, ...]](
        {key: n for key, n in found.items() if key[0] in WRITING and key[1] in WRITTEN}
    )
    for event in (await world.client.list(EVENTS)).items:  # creating one is never a no-op
        if event["involvedObject"]["kind"] == MODEL_DEPLOYMENTS.kind:
            out["EVENT", event["reason"]] += 1
    return out


async def all_serve(world: World, keys: list[Key]) -> None:
    async def serving() -> bool:
        return all(serves(world.objects.get(*key)) for key in keys)

    await eventually("every model serves", serving, 120)


async def looked_at(operator: OperatorProcess, times: int) -> None:
    """The operator has reconciled so many times from now on."""
    name = "serinus_operator_reconcile_seconds_count"
    before = (await operator.metrics()).get(name, 0.0)

    async def done() -> bool:
        return (await operator.metrics()).get(name, 0.0) >= before + times

    await eventually(f"it has looked {times} times", done, 300, poll=0.5)


@pytest.mark.timeout(900)  # far less on a machine of its own
async def test_at_rest_ten_resyncs_of_a_hundred_resources_and_a_restart_cause_no_write(
    world: World, models: dict[str, str]
) -> None:
    resync = {"SERINUS_RESYNC_INTERVAL": f"{RESYNC_SECONDS}s"}
    async with world.namespace() as namespace, world.operator(namespace, **resync) as operator:
        operator.start()
        keys = [(namespace, f"model-{number}") for number in range(RESOURCES)]
        for key in keys:
            one = model_deployment(key, models["first"])
            one["spec"]["server"]["replicas"] = 1
            await world.client.create(MODEL_DEPLOYMENTS, one)
        await all_serve(world, keys)
        before = await writes_so_far(world)
        assert before["PATCH", MODEL_DEPLOYMENTS.plural, "status", "200"] >= RESOURCES

        async def settled() -> bool:
            nonlocal before
            last, before = before, await writes_so_far(world)
            sys.stdout.write(f"since the last look: {dict(before - last)}\n")
            return last == before

        await eventually("the writes stop", settled, 30, poll=2 * RESYNC_SECONDS)
        await looked_at(operator, RESYNCS * RESOURCES)
        assert await writes_so_far(world) - before == Counter()
        assert operator.stop() == 0
        operator.start()
        await looked_at(operator, 2 * RESOURCES)
        assert await writes_so_far(world) - before == Counter()


async def test_the_count_of_writes_includes_those_that_change_nothing(
    world: World, models: dict[str, str]
) -> None:
    """Without this, the zero above would prove little."""
    async with world.namespace() as namespace:
        made = await world.client.create(
            MODEL_DEPLOYMENTS, model_deployment((namespace, "one"), models["first"])
        )
        before = await writes_so_far(world)
        await world.client.merge(MODEL_DEPLOYMENTS, "one", namespace, {"spec": made["spec"]})
        after = await world.client.get(MODEL_DEPLOYMENTS, "one", namespace)
        assert after["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]

        async def counted() -> bool:
            written = await writes_so_far(world) - before
            return written == {("PATCH", MODEL_DEPLOYMENTS.plural, "", "200"): 1}

        await eventually("the write is counted", counted, 5)
