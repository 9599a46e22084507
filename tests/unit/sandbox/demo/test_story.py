"""The story waits for what the status says, notices each bad end at once, and proves what it saw.

A real API server of the sandbox keeps the objects; an operator of a few lines writes what the real
one would write; a gateway of a few lines answers by the route's weights.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from serinus.api.status import Phase
from serinus.sandbox.apiserver.bootstrap import serve
from serinus.sandbox.client import KubeClient
from serinus.sandbox.demo.evidence import Evidence, missing
from serinus.sandbox.demo.story import NAME, NAMESPACE, Pace, Story, StoryError, paced
from serinus.sandbox.demo.traffic import Account, Load, Recent
from serinus.sandbox.demo.training import LiveRows
from serinus.sandbox.demo.watched import MODEL_DEPLOYMENTS, Watched
from serinus.sandbox.informer import Informer
from serinus.sandbox.resources import HTTP_ROUTES

CRDS = Path(__file__).parents[4] / "crds"
Build = SimpleNamespace
Script = Callable[["World"], Awaitable[None]]
FAST = Pace(first=5, first_answer=5, promotion=5, rollback=5, in_flight=0.2, witness=0.3, look=60)
ROWS = LiveRows(("a",), ((1.0,),), {"1": (0,), "2": (0,), "3": (None,)})


class World:
    """The API server, and an operator and a gateway that do as they are told."""

    def __init__(self, client: KubeClient, build: Build) -> None:
        self.client = client
        self.build = build
        self.weights = {"1": 100}
        self._turn = itertools.count()
        self._asked: dict[str, asyncio.Event] = {}

    def asked(self, version: str) -> asyncio.Event:
        """Set as soon as the version has answered a request."""
        return self._asked.setdefault(version, asyncio.Event())

    async def answer(self, _: web.Request) -> web.Response:
        """In turn, as the weights are; version 3 always fails."""
        arms = [version for version, weight in self.weights.items() for _ in range(weight)]
        version = arms[next(self._turn) * 37 % len(arms)]
        self.asked(version).set()
        headers = {"x-serinus-version": version}
        if version == "3":
            return web.json_response({}, status=500, headers=headers)
        return web.json_response({"predictions": [0]}, headers=headers)

    async def report(self, phase: Phase, weights: dict[str, int], **fields: Any) -> None:
        """Write the route's weights and a status."""
        self.weights = weights
        backends = [
            {"name": f"{NAME}-{version * 8}", "port": 80, "weight": weight}
            for version, weight in weights.items()
        ]
        route = {
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {
                "parentRefs": [{"name": "public", "namespace": "infra"}],
                "rules": [{"backendRefs": backends}],
            },
        }
        await self.client.apply(HTTP_ROUTES, route, "test")
        status = self.build.status(phase=phase, **fields).model_dump(
            by_alias=True, mode="json", exclude_none=True
        )
        patch = {"status": {"canary": None, "rollout": None, "failed": None} | status}
        await self.client.merge(MODEL_DEPLOYMENTS, NAME, NAMESPACE, patch, sub="status")

    async def serves(self, version: str, **fields: Any) -> None:
        await self.report(
            Phase.READY, {version: 100}, stable=self.build.arm(version, 100, 100), **fields
        )

    async def rolls_out(self, old: str, new: str, weight: int) -> None:
        await self.report(
            Phase.PROGRESSING,
            {old: 100 - weight, new: weight},
            stable=self.build.arm(old, 100 - weight, 100 - weight),
            canary=self.build.arm(new, weight, weight),
            rollout=self.build.rolling("Holding"),
        )

    async def rolled_back(self, version: str, stable: str) -> None:
        condition = {
            "type": "RolledBack",
            "status": "True",
            "reason": "MetricsBreached",
            "message": "",
            "lastTransitionTime": self.build.time(0),
            "observedGeneration": 1,
        }
        await self.report(
            Phase.ROLLED_BACK,
            {stable: 100, version: 0},
            stable=self.build.arm(stable, 100, 100),
            failed=self.build.failed(version),
            conditions=[condition],
        )


class Operator:
    """Plays a script for every model version that the spec asks for."""

    def __init__(self, world: World, scripts: dict[str, Script]) -> None:
        self._world = world
        self._scripts = scripts
        self._asked: asyncio.Queue[str] = asyncio.Queue()

    async def run(self) -> None:
        objects = Informer(self._world.client, MODEL_DEPLOYMENTS)
        objects.on_change(self._changed)
        async with asyncio.TaskGroup() as group:
            group.create_task(objects.run())
            while True:
                await self._scripts[await self._asked.get()](self._world)

    def _changed(self, before: Any, after: Any) -> None:
        asked = [obj["spec"]["model"]["uri"][-1] if obj else "" for obj in (before, after)]
        if asked[0] != asked[1] and asked[1]:
            self._asked.put_nowait(asked[1])


async def first(world: World) -> None:
    await world.serves("1")


async def better(world: World) -> None:
    for weight in (20, 50, 80):
        await world.rolls_out("1", "2", weight)
    await world.serves("2")


async def worse(world: World) -> None:
    await world.rolls_out("2", "3", 10)
    await world.asked("3").wait()
    await world.rolled_back("3", "2")


async def nothing(world: World) -> None:
    del world


async def takes_version_2_back(world: World) -> None:
    await world.rolls_out("1", "2", 10)
    await world.rolled_back("2", "1")


async def promotes_version_3(world: World) -> None:
    await world.serves("3")


async def leaves_version_1_some_weight(world: World) -> None:
    await better(world)
    world.weights = {"1": 10, "2": 90}  # as if the gateway had not listened


SCRIPTS: dict[str, Script] = {"1": first, "2": better, "3": worse}


@asynccontextmanager
async def staged(
    build: Build, path: Path, pace: Pace = FAST, **scripts: Script
) -> AsyncIterator[Story]:
    """A story whose versions end as the scripts say (v1=..., v2=..., v3=...)."""
    chosen = SCRIPTS | {name[1:]: script for name, script in scripts.items()}
    async with AsyncExitStack() as stack:
        running = await serve(crds=[CRDS])
        stack.push_async_callback(running.stop)
        running.write_admin_kubeconfig(path)
        client = await stack.enter_async_context(KubeClient.from_kubeconfig(path))
        world = World(client, build)
        app = web.Application()
        app.router.add_post("/invocations", world.answer)
        gateway = TestServer(app)
        await gateway.start_server()
        stack.push_async_callback(gateway.close)
        account, watched = Account(), Watched(client, NAMESPACE, NAME)
        load = Load(str(gateway.make_url("/")), "tumor.example.com", ROWS, account, rate=200)
        helpers = [
            asyncio.create_task(watched.run()),
            asyncio.create_task(Operator(world, chosen).run()),
        ]
        try:
            yield Story(client, watched, account, load, pace)
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.wait(helpers)


async def play(story: Story) -> Evidence:
    ready = {version: asyncio.Event() for version in SCRIPTS}
    for event in ready.values():
        event.set()
    await story.play(ready)
    return story.evidence


async def test_a_promotion_and_a_rollback_leave_nothing_missing(
    build: Build, tmp_path: Path
) -> None:
    async with staged(build, tmp_path / "kubeconfig") as story:
        evidence = await play(story)
    assert missing(evidence) == []
    assert evidence.weights_of("2") == [20, 50, 80, 100]
    assert evidence.weights_of("3") == [10, 0]
    assert evidence.rollback is not None
    assert evidence.rollback.readback.weights == {"2": 100, "3": 0}


@pytest.mark.parametrize(
    ("scripts", "reason"),
    [
        ({"v1": nothing}, "version 1 answers: not within 1 s"),
        ({"v2": takes_version_2_back}, "version 2 was taken back, which it does not deserve"),
        ({"v3": promotes_version_3}, "version 3 was promoted in spite of its failures"),
    ],
    ids=["nothing ever starts", "version 2 is taken back", "version 3 is promoted"],
)
async def test_a_bad_end_is_an_error_that_says_what_happened(
    build: Build, tmp_path: Path, scripts: dict[str, Script], reason: str
) -> None:
    pace = replace(FAST, first=1.0) if "v1" in scripts else FAST
    async with staged(build, tmp_path / "kubeconfig", pace, **scripts) as story:
        with pytest.raises((StoryError, ExceptionGroup)) as caught:
            await play(story)
    errors = caught.value.exceptions if isinstance(caught.value, ExceptionGroup) else [caught.value]
    assert [type(error) for error in errors] == [StoryError]
    assert reason in str(errors[0])
    assert missing(story.evidence), "without a rollback the demo fails"


async def test_a_gateway_that_does_not_do_what_the_route_says_is_noticed(
    build: Build, tmp_path: Path
) -> None:
    async with staged(build, tmp_path / "kubeconfig", v2=leaves_version_1_some_weight) as story:
        lacking = missing(await play(story))
    assert any("answers still came from version 1" in line for line in lacking)


async def test_a_version_waits_until_it_is_registered(build: Build, tmp_path: Path) -> None:
    async with staged(build, tmp_path / "kubeconfig") as story:
        ready = {version: asyncio.Event() for version in SCRIPTS}
        task = asyncio.create_task(story.play(ready))
        _, pending = await asyncio.wait([task], timeout=0.3)
        assert pending
        assert story.evidence.marks == {}
        for event in ready.values():
            event.set()
        await task
    assert missing(story.evidence) == []


@pytest.mark.parametrize(
    ("rate", "p90", "expected"),
    [
        pytest.param(60, 0.2, 60, id="in between: as it is"),
        pytest.param(60, 0.4, 30, id="busy: half"),
        pytest.param(20, 0.4, 15, id="busy: never less than the lowest"),
        pytest.param(60, None, 30, id="no answer at all: half"),
        pytest.param(30, 0.01, 60, id="room again: twice"),
        pytest.param(60, 0.01, 60, id="room: never more than was asked for"),
    ],
)
def test_the_rate_follows_what_the_machine_can_do(
    rate: float, p90: float | None, expected: float
) -> None:
    assert paced(rate, 60, Recent(10, 10.0, 0.0, p90, p90)) == expected
