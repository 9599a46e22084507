"""Two operators, and the one that leads stands still for longer than its Lease."""

from __future__ import annotations

import asyncio
from typing import Any

from bench.operator.cluster import MODEL_DEPLOYMENTS, eventually
from bench.operator.process import OperatorProcess
from control_plane import World
from telling import STORIES, all_over, begin, ends_of

from serinus.sandbox.objects import Key, Object, key_of
from serinus.sandbox.resources import DEPLOYMENTS, HTTP_ROUTES, SERVICES


async def versions(world: World, namespace: str) -> dict[str, str]:
    """Of everything that an operator writes."""
    return {
        f"{resource.kind} {item['metadata']['name']}": item["metadata"]["resourceVersion"]
        for resource in (MODEL_DEPLOYMENTS, DEPLOYMENTS, SERVICES, HTTP_ROUTES)
        for item in (await world.client.list(resource, namespace)).items
    }


async def test_a_leader_that_stood_still_over_the_end_of_its_lease_writes_nothing_when_it_wakes(
    world: World, models: dict[str, str], expected: dict[str, Any]
) -> None:
    """It is frozen as soon as the watch tells that it has committed a canary's first weight, mostly
    before it has written the route; the other one tells both stories to their ends meanwhile."""
    async with (
        world.namespace() as namespace,
        world.operator(namespace) as leader,
        world.operator(namespace) as standby,
    ):
        keys: tuple[Key, ...] = tuple((namespace, story) for story in STORIES)
        frozen = asyncio.Event()

        def committed(before: Object | None, after: Object | None) -> None:
            status = (after or {}).get("status") or {}
            shifting = (status.get("rollout") or {}).get("stage") == "Shifting"
            if after is not None and key_of(after) in keys and shifting and not frozen.is_set():
                leader.freeze()
                frozen.set()

        world.objects.on_change(committed)
        leader.start()
        await eventually("the first operator leads", leader.leads)
        standby.start()
        await eventually("the second one stands by", lambda: stands_by(standby))
        try:
            await begin(world, keys, models)
            await all_over(world, keys)
            assert frozen.is_set()
            assert await standby.leads()
            before = await versions(world, namespace)
        finally:
            leader.thaw()

        async def ended() -> bool:
            return leader.deaths == 1

        await eventually("the woken operator has ended itself", ended)
        await eventually("its successor stands by", lambda: stands_by(leader))
        assert await versions(world, namespace) == before
        assert await ends_of(world, keys) == expected


async def stands_by(operator: OperatorProcess) -> bool:
    return await operator.leads() is False
