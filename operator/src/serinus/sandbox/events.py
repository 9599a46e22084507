"""Events: what `kubectl describe` and `kubectl get events` tell people."""

from __future__ import annotations

import asyncio
import logging

from serinus.sandbox import clock
from serinus.sandbox.client import ApiError, ApiUnreachableError, KubeClient
from serinus.sandbox.objects import Object, name_of, namespace_of, uid_of
from serinus.sandbox.resources import EVENTS

log = logging.getLogger(__name__)

_REMEMBER = 1000


class Recorder:
    """Writes Events, in order and beside the work; a repeated one counts up instead."""

    def __init__(self, client: KubeClient, component: str) -> None:
        self._client = client
        self._component = component
        self._queue: asyncio.Queue[tuple[Object, str, str, str]] = asyncio.Queue()
        self._known: dict[tuple[str, str, str], tuple[str, int]] = {}

    def normal(self, about: Object, reason: str, message: str) -> None:
        self._queue.put_nowait((about, "Normal", reason, message))

    def warning(self, about: Object, reason: str, message: str) -> None:
        self._queue.put_nowait((about, "Warning", reason, message))

    async def run(self) -> None:
        """Write for ever. An event that cannot be written is logged and lost."""
        while True:
            about, kind, reason, message = await self._queue.get()
            try:
                await self._write(about, kind, reason, message)
            except (ApiError, ApiUnreachableError) as error:
                log.debug("event %s of %s: %s", reason, name_of(about), error)

    async def _write(self, about: Object, kind: str, reason: str, message: str) -> None:
        namespace = namespace_of(about) or "default"
        now = clock.stamp(clock.now())
        key = (uid_of(about), reason, message)
        if key in self._known:
            name, count = self._known[key]
            patch = {"count": count + 1, "lastTimestamp": now}
            try:
                await self._client.merge(EVENTS, name, namespace, patch)
            except ApiError as error:
                if not error.not_found:
                    raise
            else:
                self._known[key] = (name, count + 1)
                return
        made = await self._client.create(
            EVENTS,
            {
                "metadata": {"generateName": f"{name_of(about)[:57]}.", "namespace": namespace},
                "involvedObject": {
                    "apiVersion": about.get("apiVersion", "v1"),
                    "kind": about.get("kind", ""),
                    "namespace": namespace_of(about),
                    "name": name_of(about),
                    "uid": uid_of(about),
                },
                "type": kind,
                "reason": reason,
                "message": message,
                "count": 1,
                "firstTimestamp": now,
                "lastTimestamp": now,
                "source": {"component": self._component},
                "reportingComponent": self._component,
            },
        )
        while len(self._known) >= _REMEMBER:
            del self._known[next(iter(self._known))]
        self._known[key] = (name_of(made), 1)
