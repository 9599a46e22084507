"""The main job in three acts, each with a deadline, and what each one must leave behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from serinus.api.spec import ModelDeploymentSpec
from serinus.api.status import Arm, Phase
from serinus.sandbox import clock
from serinus.sandbox.client import KubeClient
from serinus.sandbox.demo.evidence import BETTER, FIRST, WORSE, After, Evidence
from serinus.sandbox.demo.traffic import Account, Load, Outcome
from serinus.sandbox.demo.watched import MODEL_DEPLOYMENTS, Watched
from serinus.sandbox.objects import Object
from serinus.sandbox.resources import NAMESPACES

NAMESPACE, NAME, HOSTNAME = "ml", "tumor", "tumor.example.com"
MANAGER = "serinus-demo"

# A weight that was written takes this long at most until the last request of before is answered:
# the slowest rows of version 3 take a second, several times that on a busy machine.
IN_FLIGHT_SECONDS = 4.0
WITNESS_SECONDS = 4.0  # how long is watched who answers after a promotion or a rollback

# A machine that is busy with other things gets fewer requests, so that a good version is not taken
# back for being slow.
SETTLE_SECONDS = 3.0
SETTLED_P99 = 0.2  # seconds, as the client sees it
LOWEST_RATE = 15.0  # requests per second
FIRST_DEADLINE = 90.0  # seconds, as the others
FIRST_ANSWER_DEADLINE = 10.0
PROMOTION_DEADLINE = 120.0
ROLLBACK_DEADLINE = 90.0

ACTS = (
    "1 of 3 · the first model goes straight to 100 %",
    "2 of 3 · a better model proves itself, step by step",
    "3 of 3 · a model that only looks better is taken back",
)


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
                    {"weight": 10, "hold": "6s"},
                    {"weight": 30, "hold": "6s"},
                    {"weight": 60, "hold": "6s"},
                ],
                "progressDeadline": "2m",
                "scaleDownDelay": "5s",
            },
            "analysis": {
                "interval": "2s",
                "failureThreshold": 3,
                "minRequests": 20,
                "metrics": [
                    {"name": "errors", "type": "ErrorRate", "max": "0.01"},
                    {"name": "latency", "type": "Latency", "quantile": "0.99", "max": "500ms"},
                ],
            },
        },
    }


SPEC = ModelDeploymentSpec.model_validate(model_deployment(FIRST)["spec"])


class Story:
    """Plays the three acts and fills the evidence."""

    def __init__(self, client: KubeClient, watched: Watched, account: Account, load: Load) -> None:
        self.act = ACTS[0]
        self.evidence = Evidence(account, steps=tuple(s.weight for s in SPEC.rollout.steps))
        self.evidence.shifts = watched.shifts
        self._client = client
        self._watched = watched
        self._account = account
        self._load = load

    async def play(self, registered: Mapping[str, asyncio.Event]) -> None:
        """All acts; each waits for its version to be in the registry.

        Raises:
            StoryError: something did not happen in time.
        """
        try:
            await self._client.apply(NAMESPACES, {"metadata": {"name": NAMESPACE}}, MANAGER)
            await self._first(registered[FIRST])
            async with self._requests():
                await self._better(registered[BETTER])
                await self._worse(registered[WORSE])
        except TimeoutError as error:
            raise StoryError(str(error)) from error

    async def _first(self, registered: asyncio.Event) -> None:
        await self._apply(FIRST, registered)
        await self._watched.until("version 1 answers", FIRST_DEADLINE, lambda: self._at_rest(FIRST))

    async def _better(self, registered: asyncio.Event) -> None:
        await self._watched.until(
            "the gateway passes requests to version 1",
            FIRST_ANSWER_DEADLINE,
            lambda: self._account.total(FIRST, Outcome.OK) > 0,
        )
        await self._settle()
        self.act = ACTS[1]
        await self._apply(BETTER, registered)
        await self._watched.until(
            "version 2 is promoted", PROMOTION_DEADLINE, lambda: self._promoted(BETTER)
        )
        self.evidence.promotion = await self._after()

    async def _worse(self, registered: asyncio.Event) -> None:
        self.act = ACTS[2]
        await self._apply(WORSE, registered)
        await self._watched.until(
            "version 3 is rolled back", ROLLBACK_DEADLINE, lambda: self._rolled_back(WORSE)
        )
        self.evidence.failed = self._watched.status.failed
        self.evidence.rollback = await self._after()

    async def _apply(self, version: str, registered: asyncio.Event) -> None:
        if not registered.is_set():
            self._watched.tell(f"waiting for models:/{NAME}/{version} to be registered")
            await registered.wait()
        self.evidence.marks[version] = clock.now()
        self._watched.tell(f"kubectl apply: spec.model.uri is models:/{NAME}/{version} now")
        await self._client.apply(MODEL_DEPLOYMENTS, model_deployment(version), MANAGER)

    async def _settle(self) -> None:
        """Send no more than this machine can answer swiftly."""
        while self._load.rate > LOWEST_RATE:
            await asyncio.sleep(SETTLE_SECONDS)
            now = asyncio.get_running_loop().time()
            p99 = self._account.recent(FIRST, now, SETTLE_SECONDS).p99
            if p99 is not None and p99 < SETTLED_P99:
                return
            self._load.rate = max(self._load.rate / 2, LOWEST_RATE)
            self._watched.tell(f"this machine is busy: {self._load.rate:.0f} requests/s now")

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
        await asyncio.sleep(IN_FLIGHT_SECONDS)
        before = self._account.shares()
        await asyncio.sleep(WITNESS_SECONDS)
        after = self._account.shares()
        answers = {version: count - before.get(version, 0) for version, count in after.items()}
        return After(await self._watched.readback(), answers)

    @asynccontextmanager
    async def _requests(self) -> AsyncIterator[None]:
        """Requests flow as long as the block runs."""
        task = asyncio.create_task(self._load.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


def _is(arm: Arm | None, version: str) -> bool:
    return arm is not None and arm.resolved_version == version
