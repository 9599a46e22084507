"""The life of one container: pulled, started, probed, restarted, stopped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import aiohttp

from serinus.sandbox import clock
from serinus.sandbox.node import images, probes
from serinus.sandbox.node.process import ContainerProcess
from serinus.sandbox.node.spec import ConfigError, Launch
from serinus.sandbox.node.state import ContainerView, Running, State, Terminated, Waiting
from serinus.sandbox.objects import Object, name_of, namespace_of

log = logging.getLogger(__name__)

FIRST_BACK_OFF, MAX_BACK_OFF = 1.0, 30.0  # seconds; a kubelet's are 10 and 300
LONG_RUN = 60.0  # seconds; who ran that long starts again without having to wait long


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container needs of its pod."""

    pod: Object
    address: str
    folder: Path
    prepare: Callable[[Object], Awaitable[Launch]]
    changed: Callable[[], None]
    started: Callable[[str, Path], None]  # container, log file
    event: Callable[[str, str, str], None]  # type, reason, message
    session: aiohttp.ClientSession


class Container:
    """One container of a pod. ``run`` is its whole life, ``stop`` ends it."""

    def __init__(self, spec: Object, around: Surroundings, restarts: int, last: Terminated | None):
        self.name: str = spec["name"]
        self._spec = spec
        self._around = around
        self._restarts = restarts
        self._last = last
        self._state: State = Waiting("ContainerCreating")
        self._started = False
        self._ready = False
        self._stopping = False
        self._process: ContainerProcess | None = None
        self._back_off = FIRST_BACK_OFF

    def view(self) -> ContainerView:
        """What `kubectl` may know about the container now."""
        process = self._process
        return ContainerView(
            name=self.name,
            image=self._spec["image"],
            state=self._state,
            last=self._last,
            restarts=self._restarts,
            started=self._started,
            ready=self._ready,
            process=f"sandbox://{process.pid}" if process is not None else "",
        )

    async def run(self) -> None:
        """Run, and restart as the pod's policy says, until it is over or stopped."""
        while not self._stopping:
            launch = await self._pull_and_prepare()
            ended = await self._run_once(launch)
            if ended.final:
                return
            await self._wait_before_restart(ended)

    async def stop(self, grace: float) -> None:
        """End it: preStop, SIGTERM, ``grace`` seconds in all, SIGKILL."""
        self._stopping = True
        process = self._process
        if process is None or not isinstance(self._state, Running):
            return
        self._around.event("Normal", "Killing", f"Stopping container {self.name}")
        loop = asyncio.get_running_loop()
        end = loop.time() + grace
        try:
            async with asyncio.timeout_at(end):
                await self._before_stop(process)
        except TimeoutError:
            log.info("%s: preStop took the whole grace period", self._path())
        await process.stop(max(end - loop.time(), 1.0 if grace else 0.0))

    def _path(self) -> str:
        pod = self._around.pod
        return f"{namespace_of(pod)}/{name_of(pod)}/{self.name}"

    def _to(self, state: State, *, started: bool = False, ready: bool = False) -> None:
        self._state, self._started, self._ready = state, started, ready
        self._around.changed()

    async def _pull_and_prepare(self) -> Launch:
        image, event = self._spec["image"], self._around.event
        delay = FIRST_BACK_OFF
        while images.entrypoint(image) is None:
            event("Normal", "Pulling", f'Pulling image "{image}"')
            text = (
                f'failed to pull image "{image}": the sandbox has no registry, only this '
                f"release's serinus-server"
            )
            event("Warning", "Failed", text)
            event("Warning", "Failed", "Error: ErrImagePull")
            self._to(Waiting("ErrImagePull", text))
            await asyncio.sleep(FIRST_BACK_OFF)
            event("Normal", "BackOff", f'Back-off pulling image "{image}"')
            self._to(Waiting("ImagePullBackOff", f'Back-off pulling image "{image}"'))
            delay = min(delay * 2, MAX_BACK_OFF)
            await asyncio.sleep(delay)
        while True:
            try:
                return await self._around.prepare(self._spec)
            except ConfigError as error:
                event("Warning", "Failed", f"Error: {error}")
                self._to(Waiting("CreateContainerConfigError", str(error)))
                await asyncio.sleep(delay)
                delay = min(delay * 2, MAX_BACK_OFF)

    async def _run_once(self, launch: Launch) -> Terminated:
        event = self._around.event
        event("Normal", "Pulled", f'Container image "{self._spec["image"]}" already present')
        folder = self._around.folder / self.name
        process = await ContainerProcess.start(launch, folder, self._restarts)
        self._process = process
        begun = clock.now()
        self._around.started(self.name, process.log)
        event("Normal", "Started", f"Started container {self.name}")
        no_startup = "startupProbe" not in self._spec
        ready = no_startup and "readinessProbe" not in self._spec
        self._to(Running(begun), started=no_startup, ready=ready)
        probing = asyncio.ensure_future(self._probe(process))
        try:
            how = await process.wait(
                last_log_lines=self._spec.get("terminationMessagePolicy") == "FallbackToLogsOnError"
            )
        finally:
            probing.cancel()
        ended = Terminated(
            exit_code=how.code,
            reason=how.reason,
            message=how.message,
            started=begun,
            finished=clock.now(),
            final=self._stopping or not self._restarts_after(how.code),
        )
        log.info("%s ended: %s (%d)", self._path(), how.reason, how.code)
        self._to(ended)
        return ended

    def _restarts_after(self, code: int) -> bool:
        match self._around.pod["spec"].get("restartPolicy", "Always"):
            case "Never":
                return False
            case "OnFailure":
                return code != 0
            case _:
                return True

    async def _wait_before_restart(self, ended: Terminated) -> None:
        if (ended.finished - ended.started).total_seconds() >= LONG_RUN:
            self._back_off = FIRST_BACK_OFF
        pod = self._around.pod
        text = (
            f"back-off {self._back_off:g}s restarting failed container={self.name} "
            f"pod={name_of(pod)}_{namespace_of(pod)}"
        )
        self._last = ended
        self._to(Waiting("CrashLoopBackOff", text))
        self._around.event("Warning", "BackOff", "Back-off restarting failed container")
        await asyncio.sleep(self._back_off)
        self._back_off = min(self._back_off * 2, MAX_BACK_OFF)
        self._restarts += 1

    async def _probe(self, process: ContainerProcess) -> None:
        ports = {
            port["name"]: port["containerPort"]
            for port in self._spec.get("ports") or []
            if "name" in port
        }
        target = probes.Target(self._around.address, ports, process.execute)
        if "startupProbe" in self._spec:
            await self._probe_startup(process, target)
        async with asyncio.TaskGroup() as group:
            if "readinessProbe" in self._spec:
                group.create_task(self._probe_readiness(target))
            if "livenessProbe" in self._spec:
                group.create_task(self._probe_liveness(process, target))

    async def _probe_startup(self, process: ContainerProcess, target: probes.Target) -> None:
        async for verdict in self._verdicts("startupProbe", target):
            if verdict:
                ready = "readinessProbe" not in self._spec
                self._to(self._state, started=True, ready=ready)
                return
            if verdict is False:
                await self._fail(process, "startup")

    async def _probe_readiness(self, target: probes.Target) -> None:
        async for verdict in self._verdicts("readinessProbe", target):
            if verdict is not None and verdict != self._ready:
                self._to(self._state, started=True, ready=verdict)

    async def _probe_liveness(self, process: ContainerProcess, target: probes.Target) -> None:
        async for verdict in self._verdicts("livenessProbe", target):
            if verdict is False and not self._stopping:
                await self._fail(process, "liveness")

    async def _fail(self, process: ContainerProcess, kind: str) -> None:
        text = f"Container {self.name} failed {kind} probe, will be restarted"
        self._around.event("Normal", "Killing", text)
        grace = self._around.pod["spec"].get("terminationGracePeriodSeconds", 30)
        await process.stop(grace)

    async def _verdicts(self, field: str, target: probes.Target) -> AsyncIterator[bool | None]:
        """The probe's verdict after each of its answers, for ever."""
        probe = self._spec[field]
        timing = probes.Timing.of(probe)
        judge = probes.Judge(timing)
        await asyncio.sleep(timing.initial_delay)
        while True:
            outcome = await probes.ask(probe, target, self._around.session)
            if not outcome.ok and not self._stopping:
                kind = field.removesuffix("Probe").capitalize()
                text = f"{kind} probe failed: {outcome.message}"
                self._around.event("Warning", "Unhealthy", text)
            yield judge.judge(ok=outcome.ok)
            await asyncio.sleep(timing.period)

    async def _before_stop(self, process: ContainerProcess) -> None:
        hook = (self._spec.get("lifecycle") or {}).get("preStop") or {}
        if "sleep" in hook:
            await asyncio.sleep(hook["sleep"]["seconds"])
        elif "exec" in hook:
            status, output = await process.execute(hook["exec"]["command"])
            if status != 0:
                text = f"PreStopHook failed: exit status {status}: {output.strip()}"
                self._around.event("Warning", "FailedPreStopHook", text)
        elif "httpGet" in hook:
            target = probes.Target(self._around.address, {}, process.execute)
            outcome = await probes.ask({**hook, "timeoutSeconds": 30}, target, self._around.session)
            if not outcome.ok:
                text = f"PreStopHook failed: {outcome.message}"
                self._around.event("Warning", "FailedPreStopHook", text)


def ended_with_node(status: Object, now: datetime) -> Terminated | None:
    """How a container's earlier run ended if a node that is gone was running it."""
    running = (status.get("state") or {}).get("running")
    if running is None:
        return None
    began = clock.parse(running.get("startedAt") or clock.stamp(now))
    text = "The container ended with the node that ran it"
    return Terminated(137, "ContainerStatusUnknown", text, began, now)
