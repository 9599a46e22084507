"""What becomes of a ModelDeployment and of what belongs to it, by real controllers."""

from __future__ import annotations

import pytest
from bench.operator.cluster import MODEL_DEPLOYMENTS, eventually
from control_plane import World
from stories import model_deployment, serves, weights_of

from serinus.api import names
from serinus.sandbox.objects import Key, condition
from serinus.sandbox.resources import (
    DEPLOYMENTS,
    EVENTS,
    HTTP_ROUTES,
    PODS,
    REPLICA_SETS,
    SERVICES,
)

NAME = "churn"
OWNED = (DEPLOYMENTS, SERVICES, HTTP_ROUTES, REPLICA_SETS, PODS)


async def serving(world: World, key: Key) -> None:
    async def ready() -> bool:
        return serves(world.objects.get(*key))

    await eventually("the first revision serves", ready)


async def deleted(world: World, key: Key) -> None:
    """Deletes the object, and waits until the garbage collector, which looks for new kinds every
    30 s only, is through with what belongs to it."""
    await world.client.delete(MODEL_DEPLOYMENTS, key[1], key[0])

    async def left() -> list[str]:
        selector = f"{names.LABEL_NAME}={key[1]}"
        return [
            f"{resource.kind} {item['metadata']['name']}"
            for resource in OWNED
            for item in (await world.client.list(resource, key[0], labelSelector=selector)).items
        ]

    async def nothing() -> bool:
        gone = await world.client.find(MODEL_DEPLOYMENTS, key[1], key[0]) is None
        return gone and not await left()

    try:
        await eventually("everything is gone", nothing, 100, poll=0.5)
    except AssertionError as error:
        pytest.fail(f"{error}; left: {await left()}")


async def test_the_object_becomes_a_deployment_a_service_and_a_route_and_deletion_leaves_nothing(
    world: World, models: dict[str, str]
) -> None:
    async with world.namespace() as namespace, world.operator(namespace) as operator:
        key = (namespace, NAME)
        operator.start()
        await world.client.create(MODEL_DEPLOYMENTS, model_deployment(key, models["first"]))
        await serving(world, key)
        found = await world.client.get(MODEL_DEPLOYMENTS, NAME, namespace)
        status = found["status"]
        route = await world.client.get(HTTP_ROUTES, NAME, namespace)
        backend = names.child_name(NAME, status["stable"]["revision"].partition(":")[2][:8])
        assert weights_of(route) == {backend: 100}
        assert status["stable"]["readyReplicas"] == 2
        for kind in ("Ready", "Available"):
            assert (condition(status["conditions"], kind) or {})["status"] == "True"
        events = (await world.client.list(EVENTS, namespace)).items
        reasons = {e["reason"] for e in events if e["involvedObject"]["kind"] == names.KIND}
        assert {"Initializing", "Pinned", "Serving"} <= reasons
        assert not found["metadata"].get("finalizers")
        assert not [a for a in found["metadata"].get("annotations") or {} if "kopf" in a]
        await deleted(world, key)


async def test_deletion_leaves_nothing_when_the_operator_is_gone(
    world: World, models: dict[str, str]
) -> None:
    async with world.namespace() as namespace, world.operator(namespace) as operator:
        key = (namespace, NAME)
        operator.start()
        await world.client.create(MODEL_DEPLOYMENTS, model_deployment(key, models["first"]))
        await serving(world, key)
        operator.kill()
        await deleted(world, key)


async def test_an_http_route_of_somebody_else_is_left_alone(
    world: World, models: dict[str, str]
) -> None:
    async with world.namespace() as namespace, world.operator(namespace) as operator:
        key = (namespace, NAME)
        foreign = {"metadata": {"name": NAME, "namespace": namespace}, "spec": {"rules": []}}
        made = await world.client.create(HTTP_ROUTES, foreign)
        operator.start()
        await world.client.create(MODEL_DEPLOYMENTS, model_deployment(key, models["first"]))

        async def told() -> bool:
            status = (world.objects.get(*key) or {}).get("status") or {}
            ready = condition(status.get("conditions"), "Ready") or {}
            return ready.get("reason") == "RouteConflict"

        await eventually("the conflict is told", told)
        left = await world.client.get(HTTP_ROUTES, NAME, namespace)
        assert left["spec"] == made["spec"]
        assert not left["metadata"].get("ownerReferences")
