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
from serinus.reconcile.loop import Outcome, reconcile

log = structlog.get_logger("serinus")

REFUSED_RETRY = 30.0
LEAST_RETRY_AFTER = 1.0
DEADLINE = 60.0
POISON = 5  # crashes without a success in between


class Worker:
    """Takes keys from the queue, one after the other, for ever. May run several times at once.

    Args:
        deadline: seconds after which one reconcile is given up.
    """

    def __init__(
        self,
        queue: WorkQueue[Key],
        deps: Deps,
        telemetry: Telemetry,
        deadline: float = DEADLINE,
    ) -> None:
        self._queue = queue
        self._deps = deps
        self._telemetry = telemetry
        self._deadline = deadline
        self._refused: dict[Key, str] = {}
        self._crashes: dict[Key, int] = {}

    async def run(self) -> NoReturn:
        while True:
            key = await self._queue.take()
            try:
                with self._telemetry.reconciling():
                    await self._once(key)
            finally:
                self._queue.done(key)

    async def _once(self, key: Key) -> None:
        """One reconcile. The table of errors: what each means for the next look at the object."""
        queue = self._queue
        try:
            async with asyncio.timeout(self._deadline):
                outcome = await reconcile(key, self._deps, self._refused.get(key, ""))
        except Conflict:
            queue.failed(key)  # someone else wrote: look again at what there is now
        except TooManyRequests as e:
            queue.add(key, max(LEAST_RETRY_AFTER, e.retry_after))
        except (Invalid, Forbidden, NotFound) as e:
            self._refuse(key, e)
        except ApiError as e:
            delay = queue.failed(key)
            log.warning("the API server failed", object=str(key), error=str(e), retry_in=delay)
        except TimeoutError:
            delay = queue.failed(key)
            log.warning(
                "the reconcile took too long and was given up",
                object=str(key),
                seconds=self._deadline,
                retry_in=delay,
            )
        except Exception as e:
            log.exception("the reconcile crashed", object=str(key), error=str(e))
            self._crashed(key)
        else:
            self._succeeded(key, outcome)

    def _succeeded(self, key: Key, outcome: Outcome) -> None:
        self._queue.succeeded(key)
        if self._crashes.pop(key, 0) >= POISON:
            log.info("the object can be reconciled again", object=str(key))
            self._tell_poison()
        if self._refused.pop(key, None) is not None:
            self._queue.add(key)  # take the condition back
        for event in outcome.plan.events if outcome.plan else ():
            log.info(event.message, object=str(key), reason=event.reason)
        if outcome.requeue_after is not None:
            self._queue.add(key, outcome.requeue_after.total_seconds())

    def _refuse(self, key: Key, error: ApiError) -> None:
        """The API server says no: tell it in a condition, then ask again now and then.

        Only the first refusal looks again at once. Whether the text is a new one means nothing:
        webhooks put request numbers and times into theirs.
        """
        known = self._refused.get(key)
        self._refused[key] = str(error)
        if known != str(error):
            log.error("the API server refuses a write", object=str(key), error=str(error))
        self._queue.add(key, 0.0 if known is None else REFUSED_RETRY)

    def _crashed(self, key: Key) -> None:
        """A bug, or an object that nobody thought of. The others go on."""
        self._queue.failed(key)
        count = self._crashes[key] = self._crashes.get(key, 0) + 1
        self._telemetry.crashes.inc()
        if count == POISON:
            log.error(
                "every reconcile of this object crashes; its state no longer follows its spec",
                object=str(key),
                crashes=count,
            )
            self._tell_poison()

    def _tell_poison(self) -> None:
        poisoned = sum(count >= POISON for count in self._crashes.values())
        self._telemetry.poison_objects.set(poisoned)


async def resync(
    queue: WorkQueue[Key], deps: Deps, namespaces: tuple[str, ...], telemetry: Telemetry
) -> NoReturn:
    """Adds every object to the queue, again and again: lost events cost one interval at most."""
    interval = deps.defaults.resync.total_seconds()
    missing = False
    while True:
        try:
            for namespace in namespaces or (None,):
                for item in await deps.kube.list(kinds.MODEL_DEPLOYMENT, namespace, {}):
                    queue.add(Key(item["metadata"]["namespace"], item["metadata"]["name"]))
            telemetry.resynced()
            missing = False
        except NotFound:
            telemetry.alive()  # the API server did answer; a restart would change nothing
            if not missing:
                log.warning("the resync finds no CRD modeldeployments.serinus.dev")
            missing = True
        except ApiError as e:
            log.warning("the resync failed", error=str(e), retry_in=interval)
        await asyncio.sleep(interval)
