"""The server under attack: it stands, health is answered soon, memory is bounded, and others are served.

Health is judged by the 99th percentile of a process that asks all the time, each time on a new connection.
What the machine itself costs, with its other load and that of the attackers, is what a second
server needs for the same question at the same time, to which nobody does anything: so much more
than the bound is allowed. On a machine with nothing else to do that is some milliseconds.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import Awaitable, Callable

import pytest
from tests.integration.server.conftest import ServerProcess

from . import held_connections, watch, wrong_requests
from .conftest import Memory, Watch
from .wire import Target

Attack = Callable[[Target], Awaitable[None]]

HEALTH_SECONDS = 0.2
MEMORY = 512 * 2**20  # bytes, beside what the server has when it is ready
ENOUGH = 150  # questions for health, in which an attack is repeated until they are answered
TOGETHER_SECONDS = 15.0

WRONG: tuple[Attack, ...] = (
    wrong_requests.large_bodies, wrong_requests.deep_nesting, wrong_requests.huge_shapes,
    wrong_requests.no_json, wrong_requests.wrong_content_types, wrong_requests.compressed_bombs,
    wrong_requests.large_messages, wrong_requests.wrong_lengths, wrong_requests.endless_heads,
    wrong_requests.pipelined_garbage, wrong_requests.costly_bodies,
)  # fmt: skip
HELD: tuple[Attack, ...] = (
    held_connections.slow_heads, held_connections.slow_bodies,
    held_connections.nearly_whole_bodies, held_connections.half_open,
    held_connections.deaf_clients, held_connections.ten_thousand_connections,
)  # fmt: skip


@pytest.fixture(scope="module")
def memory(victim: ServerProcess) -> tuple[Memory, int]:
    """The victim's memory, and how much of it there was before the first attack; bytes."""
    found = Memory(victim.process.pid)
    return found, found.peak


def percentile(seconds: list[float], share: float) -> float:
    return sorted(seconds)[int(share * (len(seconds) - 1))]


class Judge:
    """Holds what happened since it was made against what must hold."""

    def __init__(self, victim: ServerProcess, watcher: Watch, memory: tuple[Memory, int]) -> None:
        self._victim = victim
        self._watcher = watcher
        self._memory, self._before = memory
        self._memory.forget_peak()
        self._begin = time.monotonic()

    def times(self, kind: str) -> list[float]:
        return [look.seconds for look in self._watcher.since(self._begin) if look.kind == kind]

    def judge(self, what: str) -> None:
        health, others = self.times(watch.HEALTH), self.times(watch.BYSTANDER)
        predictions = self.times(watch.PREDICTION)
        p99, noise = percentile(health, 0.99), percentile(others, 0.99)
        grown = self._memory.peak - self._before
        sys.stdout.write(  # pytest shows it with -s, and for what failed
            f"\n{what}: {time.monotonic() - self._begin:.1f} s, health {len(health)} times, "
            f"p50 {percentile(health, 0.5) * 1e3:.1f} p99 {p99 * 1e3:.1f} max "
            f"{max(health) * 1e3:.1f} ms, bystander p99 {noise * 1e3:.1f} ms, predictions p99 "
            f"{percentile(predictions, 0.99) * 1e3:.1f} ms, memory {grown / 2**20:+.0f} MiB\n"
        )
        problems = [look for look in self._watcher.since(self._begin) if look.problem]
        assert problems == []
        assert self._victim.process.poll() is None, self._victim.log
        assert not any("Traceback" in line for line in self._victim.log), self._victim.log
        assert grown < MEMORY
        assert p99 < HEALTH_SECONDS + noise, sorted(health)


@pytest.mark.parametrize("attack", (*WRONG, *HELD), ids=lambda attack: attack.__name__)
async def test_it_stands(
    attack: Attack,
    target: Target,
    victim: ServerProcess,
    watcher: Watch,
    memory: tuple[Memory, int],
) -> None:
    judge = Judge(victim, watcher, memory)
    while len(judge.times(watch.HEALTH)) < ENOUGH:
        await attack(target)
    judge.judge(attack.__name__)


async def test_it_stands_all_of_it_together(
    target: Target, victim: ServerProcess, watcher: Watch, memory: tuple[Memory, int]
) -> None:
    judge = Judge(victim, watcher, memory)
    end = time.monotonic() + TOGETHER_SECONDS

    async def in_turns(attacks: tuple[Attack, ...]) -> None:
        for attack in itertools.cycle(attacks):
            if time.monotonic() > end:
                return
            await attack(target)

    async with asyncio.TaskGroup() as attackers:
        for attacks in (WRONG, WRONG[-2::-1], HELD):  # what costs most, once at a time
            attackers.create_task(in_turns(attacks))
    judge.judge("all together")
