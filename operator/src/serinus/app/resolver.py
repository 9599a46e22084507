"""Look-ups of models in the background, so that a slow registry never holds a worker.

Hashing a large model takes minutes. A reconcile starts that, waits a moment, and hears
``Resolving`` until the answer is there. Nothing is kept on disk: a restart starts again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from serinus.api.status import PinnedModel
from serinus.core.observed import RESOLVING, ResolveFailed
from serinus.ports import Registry

_STILL = ResolveFailed(RESOLVING, "the model is being looked up and its files hashed")
_FULL = ResolveFailed(RESOLVING, "many other models are being looked up first")

_Answer = PinnedModel | ResolveFailed


@dataclass(slots=True)
class _Lookup:
    task: asyncio.Task[_Answer]
    asked: float  # event loop time


class BackgroundRegistry:
    """A registry that answers within ``patience`` seconds, if only to say that it is still at it.

    One look-up per URI, and ``limit`` of them at a time; the others wait for their turn. An answer
    is handed to those who wait for it, or to who asks next, and then forgotten, since what an alias
    stands for changes. Close it with :meth:`close`.

    Args:
        deadline: seconds that one look-up may take from its turn on.
        unasked: seconds without a question after which a look-up is stopped and forgotten.
        most: look-ups, running and waiting, beyond which none is started.
    """

    def __init__(
        self,
        inner: Registry,
        limit: int = 2,
        patience: float = 2.0,
        deadline: float = 900.0,
        *,
        unasked: float = 300.0,
        most: int = 1000,
    ) -> None:
        self._unasked = unasked
        self._most = most
        self._inner = inner
        self._patience = patience
        self._deadline = deadline
        self._turns = asyncio.Semaphore(limit)
        self._lookups: dict[str, _Lookup] = {}

    def __len__(self) -> int:
        return len(self._lookups)

    async def resolve(self, uri: str) -> PinnedModel | ResolveFailed:
        now = asyncio.get_running_loop().time()
        self._forget_unasked(now - self._unasked)
        lookup = self._lookups.get(uri)
        if lookup is None:
            if len(self._lookups) >= self._most:
                return _FULL
            task = asyncio.create_task(self._look_up(uri), name=f"look up {uri}")
            lookup = self._lookups[uri] = _Lookup(task, now)
        lookup.asked = now
        await asyncio.wait({lookup.task}, timeout=self._patience)  # cancels nothing
        if not lookup.task.done():
            return _STILL
        if self._lookups.get(uri) is lookup:
            del self._lookups[uri]
        # Cancelled only when the operator stops: its successor starts again.
        return _STILL if lookup.task.cancelled() else lookup.task.result()

    async def close(self) -> None:
        """Stops every look-up, and returns when they have ended."""
        tasks = [lookup.task for lookup in self._lookups.values()]
        self._lookups.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_up(self, uri: str) -> _Answer:
        async with self._turns:
            try:
                async with asyncio.timeout(self._deadline) as limit:
                    return await self._inner.resolve(uri)
            except TimeoutError:
                if not limit.expired():
                    raise
                return ResolveFailed(
                    "RegistryUnavailable",
                    f"the model could not be looked up and hashed within {self._deadline:g} s",
                )

    def _forget_unasked(self, before: float) -> None:
        """Their objects are gone or want another model: nobody comes for the answers."""
        for uri, lookup in list(self._lookups.items()):
            if lookup.asked < before:
                del self._lookups[uri]
                lookup.task.cancel()
                if lookup.task.done() and not lookup.task.cancelled():
                    lookup.task.exception()  # nobody else will look at it
