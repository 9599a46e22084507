"""What the API server says about the demo's ModelDeployment, kept fresh by watches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

from serinus.api import names
from serinus.api.status import ConditionStatus, ModelDeploymentStatus
from serinus.sandbox import clock
from serinus.sandbox.client import KubeClient
from serinus.sandbox.demo.evidence import Readback, Shift
from serinus.sandbox.demo.frame import Line, Tone
from serinus.sandbox.informer import Informer
from serinus.sandbox.objects import Object
from serinus.sandbox.resources import EVENTS, HTTP_ROUTES, Resource

MODEL_DEPLOYMENTS = Resource(names.GROUP, names.VERSION, names.PLURAL, names.KIND)
LOOK_SECONDS = 0.2  # conditions about requests change without an event of the API


class Watched:
    """One ModelDeployment, the Events about it and the shifts of its canaries. Call ``run``."""

    def __init__(self, client: KubeClient, namespace: str, name: str) -> None:
        self.status = ModelDeploymentStatus()
        self.story: list[Line] = []
        self.shifts: list[Shift] = []
        self._client = client
        self._namespace, self._name = namespace, name
        self._versions: dict[str, str] = {}  # by revision
        self._changed = asyncio.Event()
        self._objects = Informer(client, MODEL_DEPLOYMENTS)
        self._events = Informer(client, EVENTS)

    async def run(self) -> None:
        """Watch for ever."""
        self._objects.on_change(self._object_changed)
        self._events.on_change(self._event_changed)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._objects.run())
            group.create_task(self._events.run())

    def tell(self, text: str) -> None:
        """Add what the demo itself did to the story."""
        self.story.append(Line(clock.now(), Tone.ACTION, text))
        self._changed.set()

    async def until(self, what: str, seconds: float, holds: Callable[[], bool]) -> None:
        """Wait until ``holds()``.

        Raises:
            TimeoutError: after ``seconds``; the message says what was awaited and what was there.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not holds():
            if loop.time() > end:
                raise TimeoutError(f"{what}: not within {seconds:.0f} s. {self.state()}")
            self._changed.clear()
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def state(self) -> str:
        """The resource's own words for where it stands."""
        told = [
            f"{c.type}={c.status} {c.reason}: {c.message}"
            for c in self.status.conditions
            if c.type in ("Ready", "Progressing", "ModelResolved")
        ]
        return f"phase {self.status.phase}; " + "; ".join(told or ["no conditions yet"])

    async def readback(self) -> Readback:
        """Ask the API server afresh. Raises ApiError or ApiUnreachableError."""
        found = await self._client.get(MODEL_DEPLOYMENTS, self._name, self._namespace)
        route = await self._client.get(HTTP_ROUTES, names.route_name(self._name), self._namespace)
        status = _status(found)
        rolled_back = any(
            c.type == "RolledBack" and c.status is ConditionStatus.TRUE for c in status.conditions
        )
        return Readback(
            stable=status.stable.resolved_version if status.stable else "",
            failed=status.failed.resolved_version if status.failed else "",
            rolled_back=rolled_back,
            weights=self.weights(route),
        )

    def weights(self, route: Object) -> Mapping[str, int]:
        """Weights of an HTTPRoute by version; a backend that no revision explains keeps its name."""
        by_service = {
            names.child_name(self._name, revision.partition(":")[2][:8]): version
            for revision, version in self._versions.items()
        }
        found: dict[str, int] = {}
        for rule in route["spec"].get("rules") or []:
            for backend in rule.get("backendRefs") or []:
                version = by_service.get(backend["name"], backend["name"])
                found[version] = found.get(version, 0) + backend.get("weight", 1)
        return found

    def _object_changed(self, _: Object | None, after: Object | None) -> None:
        if after is None or not self._is_ours(after["metadata"]):
            return
        before, self.status = self.status, _status(after)
        for arm in (self.status.stable, self.status.canary):
            if arm is not None:
                self._versions[arm.revision] = arm.resolved_version
        self._note_shift(before, clock.now())
        self._changed.set()

    def _note_shift(self, before: ModelDeploymentStatus, now: datetime) -> None:
        """The router confirmed a weight: of the canary, or of what was the canary until now."""
        old, new = before.canary, self.status.canary
        if new is not None and new.observed_weight is not None:
            known = old.observed_weight if old and old.revision == new.revision else 0
            if new.observed_weight != (known or 0):
                self.shifts.append(Shift(now, new.resolved_version, new.observed_weight))
            return
        if old is None or new is not None:
            return
        stable, failed = self.status.stable, self.status.failed
        promoted = stable is not None and stable.revision == old.revision
        if promoted and old.observed_weight != 100:
            self.shifts.append(Shift(now, old.resolved_version, 100))
        elif failed is not None and failed.revision == old.revision and old.observed_weight != 0:
            self.shifts.append(Shift(now, old.resolved_version, 0))

    def _event_changed(self, before: Object | None, after: Object | None) -> None:
        if before is not None or after is None:
            return
        about = after.get("involvedObject") or {}
        if about.get("kind") != names.KIND or not self._is_ours(about):
            return
        tone = Tone.WARNING if after.get("type") == "Warning" else Tone.NORMAL
        self.story.append(Line(clock.now(), tone, after.get("message") or after.get("reason", "")))
        self._changed.set()

    def _is_ours(self, meta: Object) -> bool:
        return (meta.get("namespace"), meta.get("name")) == (self._namespace, self._name)


def _status(found: Object) -> ModelDeploymentStatus:
    return ModelDeploymentStatus.model_validate(found.get("status") or {})
