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
from control_plane import World
from stories import make_models, model_deployment, serves

from serinus.sandbox.resources import DEPLOYMENTS, EVENTS, HTTP_ROUTES, SERVICES

RESOURCES = 100
RESYNCS = 10
RESYNC_SECONDS = 2

# All that the operator's permissions let it write, but the Lease that it must renew.
WRITTEN = {one.plural for one in (MODEL_DEPLOYMENTS, DEPLOYMENTS, SERVICES, HTTP_ROUTES, EVENTS)}


async def writes_so_far(world: World) -> Counter[tuple[str, str, str, str]]:
    """Writes of anybody to what the operator may write."""
    found = await requests_so_far(world.admin)
    return Counter({k: n for k, n in found.items() if k[0] in WRITING and k[1] in WRITTEN})


@pytest.mark.timeout(300)
async def test_at_rest_ten_resyncs_of_a_hundred_resources_cause_no_write(world: World) -> None:
    models = make_models(world.folder)
    resync = {"SERINUS_RESYNC_INTERVAL": f"{RESYNC_SECONDS}s"}
    async with world.namespace() as namespace, world.operator(namespace, **resync) as operator:
        operator.start()
        keys = [(namespace, f"model-{number}") for number in range(RESOURCES)]
        for key in keys:
            one = model_deployment(key, models["first"])
            one["spec"]["server"]["replicas"] = 1
            await world.client.create(MODEL_DEPLOYMENTS, one)

        async def all_serve() -> bool:
            return all(serves(world.objects.get(*key)) for key in keys)

        await eventually("a hundred models serve", all_serve, 120)
        before = await writes_so_far(world)
        assert before["PATCH", MODEL_DEPLOYMENTS.plural, "status", "200"] >= RESOURCES

        async def settled() -> bool:
            nonlocal before
            last, before = before, await writes_so_far(world)
            sys.stdout.write(f"since the last look: {dict(before - last)}\n")
            return last == before

        await eventually("the writes stop", settled, 30, poll=2 * RESYNC_SECONDS)
        looks = (await operator.metrics())["serinus_operator_reconcile_seconds_count"]

        async def looked() -> float:
            now = (await operator.metrics())["serinus_operator_reconcile_seconds_count"]
            return max(0.0, now - looks - RESYNCS * RESOURCES + 1)

        await eventually("every resource was looked at ten times", looked, 120, poll=1)
        written = await writes_so_far(world) - before
        assert written == Counter()
        sys.stdout.write(f"{RESOURCES} resources, {RESYNCS} resyncs: {written.total()} writes\n")


async def test_the_count_of_writes_includes_those_that_change_nothing(world: World) -> None:
    """Without this, the zero above would prove little."""
    models = make_models(world.folder)
    async with world.namespace() as namespace:
        made = await world.client.create(
            MODEL_DEPLOYMENTS, model_deployment((namespace, "one"), models["first"])
        )
        before = await writes_so_far(world)
        await world.client.merge(MODEL_DEPLOYMENTS, "one", namespace, {"spec": made["spec"]})
        after = await world.client.get(MODEL_DEPLOYMENTS, "one", namespace)
        assert after["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]

        async def counted() -> bool:
            return (await writes_so_far(world) - before).total() == 1

        await eventually("the write is counted", counted, 5)
