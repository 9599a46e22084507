"""Workers and the resync: from keys to reconciles, and from errors to the next look."""

from __future__ import annotations

import asyncio
from typing import NoReturn

import structlog

from serinus.app.telemetry import Telemetry
from serinus.app.workqueue import WorkQueue
from serinus.ports import ApiError, Conflict, Forbidden, Invalid, NotFound, TooManyRequests
from serinus.reconcile import kinds
from serinus.reconcile.deps import Deps, Key
from serinus.reconcile.loop import reconcile

log = structlog.get_logger("serinus")

REFUSED_RETRY = 30.0
CONFLICT_RETRY = 0.1


class Worker:
    """Takes keys from the queue, one after the other, for ever."""

    def __init__(self, queue: WorkQueue[Key], deps: Deps, telemetry: Telemetry) -> None:
        self._queue = queue
        self._deps = deps
        self._telemetry = telemetry
        self._refused: dict[Key, str] = {}  # shared by all workers of this object

    async def run(self) -> NoReturn:
        while True:
            key = await self._queue.take()
            try:
                with self._telemetry.reconcile_seconds.time():
                    await self._once(key)
            finally:
                self._queue.done(key)

    async def _once(self, key: Key) -> None:
        """One reconcile. The table of errors: what each means for the next look at the object."""
        queue = self._queue
        try:
            outcome = await reconcile(key, self._deps, self._refused.get(key, ""))
        except Conflict:
            queue.add(key, CONFLICT_RETRY)  # someone else wrote: look again at what there is now
        except TooManyRequests as e:
            queue.add(key, e.retry_after)
        except (Invalid, Forbidden, NotFound) as e:
            self._refuse(key, e)
        except ApiError as e:
            delay = queue.failed(key)
            log.warning("the API server failed", object=str(key), error=str(e), retry_in=delay)
        except Exception:
            delay = queue.failed(key)
            self._telemetry.crashes.inc()
            log.exception("the reconcile crashed", object=str(key), retry_in=delay)
        else:
            queue.succeeded(key)
            if self._refused.pop(key, None) is not None:
                queue.add(key)  # take the condition back
            for event in outcome.plan.events if outcome.plan else ():
                log.info(event.message, object=str(key), reason=event.reason)
            if outcome.requeue_after is not None:
                queue.add(key, outcome.requeue_after.total_seconds())

    def _refuse(self, key: Key, error: ApiError) -> None:
        """The API server says no: tell it in a condition, then ask again now and then."""
        known = self._refused.get(key)
        self._refused[key] = str(error)
        if known != str(error):
            log.error("the API server refuses a write", object=str(key), error=str(error))
            self._queue.add(key)
        else:
            self._queue.add(key, REFUSED_RETRY)


async def resync(
    queue: WorkQueue[Key], deps: Deps, namespaces: tuple[str, ...], telemetry: Telemetry
) -> NoReturn:
    """Adds every object to the queue, again and again: lost events cost one interval at most."""
    interval = deps.defaults.resync.total_seconds()
    while True:
        try:
            for namespace in namespaces or (None,):
                for item in await deps.kube.list(kinds.MODEL_DEPLOYMENT, namespace, {}):
                    queue.add(Key(item["metadata"]["namespace"], item["metadata"]["name"]))
            telemetry.resynced()
        except ApiError as e:
            log.warning("the resync failed", error=str(e), retry_in=interval)
        await asyncio.sleep(interval)
