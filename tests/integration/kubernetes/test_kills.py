"""The operator is killed again and again, and nobody can tell by the outcome.

SERINUS_TEST_KILLS is how often at random moments (10 unless told), SERINUS_TEST_SEED draws them.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from bench.operator.process import OperatorProcess
from control_plane import World
from stories import turning_point
from telling import STORIES, all_over, begin, ends_of

from serinus.sandbox.objects import Key, Object, key_of

KILLS = int(os.environ.get("SERINUS_TEST_KILLS", "10"))
SEED = int(os.environ.get("SERINUS_TEST_SEED", "1"))
KILLS_PER_RUN = 6
LIFE = (0.0, 6.0)  # seconds from the operator's start to its end: some die before they lead


@dataclass(frozen=True, slots=True)
class Told:
    """How the stories of one run ended, and how often the operator was killed in it."""

    ends: dict[str, dict[str, Any]]
    kills: int


@dataclass
class AtRandom:
    """Kills and starts the operator at moments drawn from a seed, ``left`` times at most."""

    moments: random.Random
    left: int
    lives: list[float] = field(default_factory=list)

    async def run(self, operator: OperatorProcess) -> None:
        while self.left:
            life = self.moments.uniform(*LIFE)
            await asyncio.sleep(life)
            operator.kill()
            operator.start()
            self.left -= 1
            self.lives.append(round(life, 2))


def drawn() -> random.Random:
    """The moments of the kills: the same for the same seed."""
    return random.Random(SEED)  # noqa: S311 - no secret


async def tell(world: World, models: dict[str, str], killer: AtRandom) -> Told:
    """Both stories, in a namespace of their own; ``killer`` strikes while they last."""
    async with world.namespace() as namespace, world.operator(namespace) as operator:
        keys = tuple((namespace, story) for story in STORIES)
        operator.start()
        await begin(world, keys, models)
        over = asyncio.create_task(all_over(world, keys))
        killing = asyncio.create_task(killer.run(operator))
        await asyncio.wait({over, killing}, return_when=asyncio.FIRST_COMPLETED)
        killing.cancel()
        await asyncio.wait({killing})
        if not operator.running:
            operator.start()
        await over
        return Told(await ends_of(world, keys), len(killer.lives))


@pytest.mark.timeout(120 + 20 * KILLS)
async def test_after_kills_at_random_moments_all_ends_as_in_an_undisturbed_run(
    world: World, models: dict[str, str], expected: dict[str, Any]
) -> None:
    began = time.monotonic()
    moments = drawn()
    kills = runs = 0
    while kills < KILLS:
        killer = AtRandom(moments, min(KILLS_PER_RUN, KILLS - kills))
        told = await tell(world, models, killer)
        assert told.ends == expected, f"seed {SEED}, run {runs}, killed after {killer.lives} s"
        kills += told.kills
        runs += 1
    took = time.monotonic() - began
    sys.stdout.write(f"seed {SEED}: {kills} kills in {runs} runs, {took:.0f} s\n")


async def test_a_kill_right_after_every_turning_point_changes_nothing_of_the_end(
    world: World, models: dict[str, str], expected: dict[str, Any]
) -> None:
    """The watch tells of a commit before the operator has carried it out, mostly."""
    async with world.namespace() as namespace, world.operator(namespace) as operator:
        keys = tuple((namespace, story) for story in STORIES)
        points: dict[Key, list[Any]] = {key: [] for key in keys}

        def committed(before: Object | None, after: Object | None) -> None:
            if after is None or key_of(after) not in points or not after.get("status"):
                return
            seen, point = points[key_of(after)], turning_point(after)
            if point not in seen:
                seen.append(point)
                operator.kill()
                operator.start()

        operator.start()
        world.objects.on_change(committed)
        await begin(world, keys, models)
        await all_over(world, keys)
        assert await ends_of(world, keys) == expected
        for key, seen in points.items():
            sys.stdout.write(f"{key[1]}: killed at {len(seen)} turning points: {seen}\n")
            assert len(seen) >= 8
