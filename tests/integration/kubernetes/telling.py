"""How the tests tell the stories: from their begin to what is left at their end."""

from __future__ import annotations

from typing import Any

from bench.operator.cluster import MODEL_DEPLOYMENTS, eventually
from control_plane import World
from stories import (
    NEW_MODEL,
    PROMOTION,
    ROLLBACK,
    facts,
    is_over,
    model_deployment,
    serves,
)

from serinus.sandbox.objects import Key

STORIES = (PROMOTION, ROLLBACK)
DEADLINE = 120.0


async def begin(world: World, keys: tuple[Key, ...], models: dict[str, str]) -> None:
    """Every story's first model serves, and the spec asks for its new one."""
    for key in keys:
        await world.client.create(MODEL_DEPLOYMENTS, model_deployment(key, models["first"]))
    for key in keys:

        async def serving(key: Key = key) -> bool:
            return serves(world.objects.get(*key))

        await eventually(f"{key} serves its first model", serving, DEADLINE)
    for key in keys:
        patch = {"spec": {"model": {"uri": models[NEW_MODEL[key[1]]]}}}
        await world.client.merge(MODEL_DEPLOYMENTS, key[1], key[0], patch)


async def all_over(world: World, keys: tuple[Key, ...]) -> None:
    for key in keys:

        async def over(key: Key = key) -> bool:
            return await is_over(world.client, key)

        await eventually(f"the {key[1]} is over", over, DEADLINE, poll=0.25)


async def ends_of(world: World, keys: tuple[Key, ...]) -> dict[str, dict[str, Any]]:
    """The terminal facts, when nothing was wrong on the way there."""
    for key in keys:
        assert list(world.witness.violations(key)) == []
        assert world.witness.latched(key) == (key[1] == ROLLBACK)
        assert len(world.witness.routes[key]) >= 3, "the weights were watched"
    return {key[1]: await facts(world.client, key) for key in keys}


async def undisturbed(world: World, models: dict[str, str]) -> dict[str, dict[str, Any]]:
    """How the stories end when nobody interferes."""
    async with world.namespace() as namespace, world.operator(namespace) as operator:
        keys = tuple((namespace, story) for story in STORIES)
        operator.start()
        await begin(world, keys, models)
        await all_over(world, keys)
        return await ends_of(world, keys)
