"""The main job in three acts, each with a deadline, and what each one must leave behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from serinus.api.spec import ModelDeploymentSpec
from serinus.api.status import Arm, Phase
from serinus.sandbox import clock
from serinus.sandbox.client import KubeClient
from serinus.sandbox.demo.evidence import BETTER, FIRST, WORSE, After, Evidence
from serinus.sandbox.demo.traffic import Account, Load, Outcome, Recent
from serinus.sandbox.demo.watched import MODEL_DEPLOYMENTS, Watched
from serinus.sandbox.objects import Object
from serinus.sandbox.resources import NAMESPACES

NAMESPACE, NAME, HOSTNAME = "ml", "tumor", "tumor.example.com"
MANAGER = "serinus-demo"

BUSY_P90, IDLE_P90 = 0.3, 0.1  # seconds in which stable answers nine of ten requests
LOWEST_RATE = 15.0  # requests per second
CALM_LOOKS = 3  # in a row before there are more requests again

ACTS = (
    "1 of 3 · the first model goes straight to 100 %",
    "2 of 3 · a better model proves itself, step by step",
    "3 of 3 · a model that only looks better is taken back",
)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the story waits for what, in seconds."""

    first: float = 90.0  # until version 1 serves
    first_answer: float = 10.0
    promotion: float = 150.0
    rollback: float = 120.0
    # From a weight that the router has confirmed to the last answer to a request of before: the
    # slowest rows of version 3 take over a second, several times that on a busy machine.
    in_flight: float = 4.0
    witness: float = 4.0  # how long is watched who answers after a promotion or a rollback
    look: float = 3.0  # how often the rate of requests is looked at


class StoryError(Exception):
    """The demo cannot go on; the message says what did not happen."""


def model_deployment(version: str) -> Object:
    """The resource as a user would write it, with holds as short as a demo needs them."""
    return {
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "model": {"uri": f"models:/{NAME}/{version}"},
            "server": {
                "replicas": 1,
                "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
                "loadTimeout": "90s",
            },
            "traffic": {"hostnames": [HOSTNAME]},
            "rollout": {
                "steps": [
                    {"weight": 20, "hold": "6s"},
                    {"weight": 50, "hold": "6s"},
                    {"weight": 80, "hold": "6s"},
                ],
                "progressDeadline": "2m",
                "scaleDownDelay": "5s",
            },
            "analysis": {
                "interval": "2s",
                "failureThreshold": 3,
                "minRequests": 30,
                "metrics": [
                    {"name": "errors", "type": "ErrorRate", "max": "0.01"},
                    {"name": "latency", "type": "Latency", "quantile": "0.99", "max": "1s"},
                ],
            },
        },
    }


SPEC = ModelDeploymentSpec.model_validate(model_deployment(FIRST)["spec"])


class Story:
    """Plays the three acts and fills the evidence."""

    def __init__(
        self,
        client: KubeClient,
        watched: Watched,
        account: Account,
        load: Load,
        pace: Pace = Pace(),
    ) -> None:
        self.act = ACTS[0]
        self.evidence = Evidence(account, steps=tuple(s.weight for s in SPEC.rollout.steps))
        self.evidence.shifts = watched.shifts
        self._client = client
        self._watched = watched
        self._account = account
        self._load = load
        self._pace = pace

    async def play(self, registered: Mapping[str, asyncio.Event]) -> None:
        """All acts; each waits for its version to be in the registry.

        Raises:
            StoryError: something did not happen, or not in time; it may come in a group.
        """
        await self._client.apply(NAMESPACES, {"metadata": {"name": NAMESPACE}}, MANAGER)
        await self._first(registered[FIRST])
        async with self._requests():
            await self._better(registered[BETTER])
            await self._worse(registered[WORSE])

    async def _first(self, registered: asyncio.Event) -> None:
        await self._apply(FIRST, registered)
        await self._until("version 1 answers", self._pace.first, lambda: self._at_rest(FIRST))

    async def _better(self, registered: asyncio.Event) -> None:
        await self._until(
            "the gateway passes requests to version 1",
            self._pace.first_answer,
            lambda: self._account.total(FIRST, Outcome.OK) > 0,
        )
        self.act = ACTS[1]
        await self._apply(BETTER, registered)
        await self._until(
            "version 2 is promoted", self._pace.promotion, lambda: self._promoted(BETTER)
        )
        self.evidence.promotion = await self._after()

    async def _worse(self, registered: asyncio.Event) -> None:
        self.act = ACTS[2]
        await self._apply(WORSE, registered)
        await self._until(
            "version 3 is rolled back", self._pace.rollback, lambda: self._rolled_back(WORSE)
        )
        self.evidence.failed = self._watched.status.failed
        self.evidence.rollback = await self._after()

    async def _until(self, what: str, seconds: float, holds: Callable[[], bool]) -> None:
        try:
            await self._watched.until(what, seconds, holds)
        except TimeoutError as error:
            raise StoryError(str(error)) from error

    async def _apply(self, version: str, registered: asyncio.Event) -> None:
        if not registered.is_set():
            self._watched.tell(f"waiting for models:/{NAME}/{version} to be registered")
            await registered.wait()
        self.evidence.marks[version] = clock.now()
        self._watched.tell(f"kubectl apply: spec.model.uri is models:/{NAME}/{version} now")
        await self._client.apply(MODEL_DEPLOYMENTS, model_deployment(version), MANAGER)

    def _promoted(self, version: str) -> bool:
        """Whether the version serves; raises StoryError when it was taken back instead."""
        failed = self._watched.status.failed
        if failed is not None and failed.resolved_version == version:
            raise StoryError(
                f"version {version} was taken back, which it does not deserve: {failed.message}. "
                "If the machine is busy with other things, try --rate 20"
            )
        return self._at_rest(version)

    def _at_rest(self, version: str) -> bool:
        """The version is stable, has every request as the router sees it, and nothing rolls out."""
        status = self._watched.status
        return (
            _is(status.stable, version)
            and status.stable is not None
            and status.stable.observed_weight == 100
            and status.stable.ready_replicas > 0
            and status.rollout is None
            and status.phase is Phase.READY
        )

    def _rolled_back(self, version: str) -> bool:
        """Whether the version failed; raises StoryError when it was promoted instead."""
        status = self._watched.status
        if _is(status.stable, version):
            raise StoryError(f"version {version} was promoted in spite of its failures")
        return (
            status.failed is not None
            and status.failed.resolved_version == version
            and status.failed.weight_zero_at is not None
            and status.phase is Phase.ROLLED_BACK
        )

    async def _after(self) -> After:
        """Let requests in flight end, then watch who answers, and read the API back."""
        await asyncio.sleep(self._pace.in_flight)
        before = self._account.shares()
        await asyncio.sleep(self._pace.witness)
        after = self._account.shares()
        answers = {version: count - before.get(version, 0) for version, count in after.items()}
        return After(await self._watched.readback(), answers)

    @asynccontextmanager
    async def _requests(self) -> AsyncIterator[None]:
        """Requests flow as long as the block runs, as many as the machine has room for."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._load.run()), group.create_task(self._keep_pace())]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    async def _keep_pace(self) -> None:
        """Halve the rate while the machine is busy with other things, and come back to it."""
        full, loop = self._load.rate, asyncio.get_running_loop()
        calm = 0
        while True:
            await asyncio.sleep(self._pace.look)
            stable = self._watched.status.stable
            if stable is None:
                continue
            seen = self._account.recent(stable.resolved_version, loop.time(), self._pace.look)
            before, rate = self._load.rate, paced(self._load.rate, full, seen)
            calm = calm + 1 if rate > before else 0
            if rate < before or calm >= CALM_LOOKS:
                what = "has room again" if rate > before else "is busy"
                self._load.rate, calm = rate, 0
                self._watched.tell(f"this machine {what}: {rate:.0f} requests/s from now on")


def _is(arm: Arm | None, version: str) -> bool:
    return arm is not None and arm.resolved_version == version


def paced(rate: float, full: float, stable: Recent) -> float:
    """The rate that fits what stable's answers say about the machine, ``full`` at most."""
    if stable.p90 is None or stable.p90 > BUSY_P90:
        return max(rate / 2, min(LOWEST_RATE, full))
    if stable.p90 < IDLE_P90:
        return min(rate * 2, full)
    return rate
