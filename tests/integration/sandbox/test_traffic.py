"""Deployments as processes, EndpointSlices, and a real Envoy in front of them."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from cluster_world import World, eventually

from serinus.sandbox.resources import DEPLOYMENTS, HTTP_ROUTES

pytestmark = pytest.mark.cluster


async def shares(world: World, requests: int) -> Counter[tuple[int, str]]:
    counted: Counter[tuple[int, str]] = Counter()
    for _ in range(requests // 20):
        counted.update(await asyncio.gather(*(world.ask() for _ in range(20))))
    return counted


async def test_requests_are_shared_as_the_weights_say(world: World) -> None:
    await asyncio.gather(world.serve("stable", 2), world.serve("canary"))
    await asyncio.gather(world.available("stable", 2), world.available("canary"))

    await world.route(stable=80, canary=20)

    async def endpoints_are_known() -> bool:
        return all(status == 200 for status, _ in await shares(world, 40))

    await eventually(endpoints_are_known)
    found = await shares(world, 600)
    assert set(found) == {(200, "stable"), (200, "canary")}
    assert 120 - 50 < found[200, "canary"] < 120 + 50  # five standard deviations

    await world.route(stable=100, canary=0)
    assert await shares(world, 100) == {(200, "stable"): 100}
    await world.route(stable=0, canary=100)
    assert await shares(world, 100) == {(200, "canary"): 100}


async def test_a_missing_service_costs_its_share_and_one_without_pods_too(world: World) -> None:
    await asyncio.gather(world.serve("stable"), world.serve("empty", 0))
    await world.available("stable")
    await world.route(stable=50, missing=25, empty=25)
    found = await shares(world, 400)
    by_status: Counter[int] = Counter()
    for (status, _), count in found.items():
        by_status[status] += count
    assert set(by_status) == {200, 500, 503}
    assert 55 < by_status[500] < 145
    assert 55 < by_status[503] < 145
    route = await world.client.get(HTTP_ROUTES, "route", world.namespace)
    conditions = {c["type"]: c["reason"] for c in route["status"]["parents"][0]["conditions"]}
    assert conditions == {"Accepted": "Accepted", "ResolvedRefs": "BackendNotFound"}


async def test_a_rolling_update_under_load_fails_no_request(world: World) -> None:
    await world.serve("web", 2)
    await world.available("web", 2)
    await world.route(web=1)
    failures: list[tuple[int, str]] = []
    asked = 0
    done = asyncio.Event()

    async def load(path: str) -> None:
        nonlocal asked
        while not done.is_set():
            status, body = await world.ask(path)
            asked += 1
            if status != 200:
                failures.append((status, body))

    async with asyncio.TaskGroup() as group:
        for path in ("/", "/", "/?sleep=0.3"):
            group.create_task(load(path))
        deployment = await world.client.get(DEPLOYMENTS, "web", world.namespace)
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        container["env"] = [{"name": "NAME", "value": "new"}]
        spec = {"template": {"spec": {"containers": [container]}}}
        await world.client.merge(DEPLOYMENTS, "web", world.namespace, {"spec": spec})
        await world.available("web", 2)

        async def old_pods_are_gone() -> bool:
            return len(await world.pods()) == 2

        await eventually(old_pods_are_gone)
        done.set()
    assert asked > 50
    assert failures == []
    assert await world.ask() == (200, "new")


async def test_a_host_that_no_route_has_is_not_found(world: World) -> None:
    assert (await world.ask())[0] == 404
