"""Workers: from keys to reconciles, and from errors to the next look."""

from __future__ import annotations

import asyncio
from typing import NoReturn

import structlog
from structlog.contextvars import bound_contextvars

from serinus.api.status import ModelDeploymentStatus
from serinus.app.telemetry import Telemetry
from serinus.app.workqueue import WorkQueue
from serinus.core.plan import Plan
from serinus.core.revision import short
from serinus.kube.fence import Deposed
from serinus.ports import ApiError, Conflict, Forbidden, Invalid, NotFound, Stale, TooManyRequests
from serinus.reconcile.deps import Deps, Key
from serinus.reconcile.loop import Outcome, reconcile
from serinus.reconcile.poison import RETRY, Quarantine

log = structlog.get_logger("serinus")

REFUSED_RETRY = 30.0
LEAST_RETRY_AFTER = 1.0
DEADLINE = 60.0
CONFLICTS_AT_ONCE = 3  # in a row; then somebody else writes all the time, and we back off


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
        self._conflicts: dict[Key, int] = {}
        self._quarantine = Quarantine(deps)

    async def run(self) -> NoReturn:
        """
        Raises:
            Deposed: another operator may lead; this process has to end.
        """
        while True:
            key = await self._queue.take()
            try:
                with bound_contextvars(object=str(key)):
                    self._telemetry.reconciled(await self._once(key))
            finally:
                self._queue.done(key)

    async def _once(self, key: Key) -> str:
        """One reconcile, and how it ended."""
        try:
            async with asyncio.timeout(self._deadline):
                left = await self._quarantine.wait(key)
                if left > 0:
                    self._queue.add(key, left)
                    return "quarantined"
                with self._telemetry.reconciling():
                    outcome = await reconcile(key, self._deps, self._refused.get(key, ""))
        except (ApiError, TimeoutError) as e:
            result = self._failed(key, e)
            self._telemetry.retried(result)
            return result
        except Deposed:
            raise
        except Exception as e:
            if isinstance(e, ExceptionGroup) and e.subgroup(Deposed) is not None:
                raise
            log.exception("the reconcile crashed", object=str(key), error=str(e))
            self._telemetry.retried("crash")
            await self._crashed(key, e)
            return "crash"
        self._succeeded(key, outcome)
        return "ok" if outcome.plan is not None else "gone"

    def _failed(self, key: Key, error: ApiError | TimeoutError) -> str:
        """The table of errors: what each means for the next look at the object."""
        match error:
            case TimeoutError():
                told, result = "the reconcile took too long and was given up", "timeout"
            case Stale():
                told, result = "the view is older than our own write", "stale"
            case Conflict():
                self._conflicted(key, error)
                return "conflict"
            case TooManyRequests():
                self._queue.add(key, max(LEAST_RETRY_AFTER, error.retry_after))
                return "throttled"
            case Invalid() | Forbidden() | NotFound():
                self._refuse(key, error)
                return "refused"
            case _:
                told, result = "the API server failed", "api_error"
        delay = self._queue.failed(key)
        log.warning(told, object=str(key), error=str(error), retry_in=delay)
        return result

    def _succeeded(self, key: Key, outcome: Outcome) -> None:
        self._queue.succeeded(key)
        self._conflicts.pop(key, None)
        if self._quarantine.succeeded(key):
            log.info("the object can be reconciled again", object=str(key))
            self._telemetry.quarantined(len(self._quarantine))
        if self._refused.pop(key, None) is not None:
            self._queue.add(key)  # take the condition back
        if outcome.plan is None:
            self._queue.prefer(key, preferred=False)
            self._telemetry.story.forget(key)
        else:
            self._tell(key, outcome.plan)
        if outcome.requeue_after is not None:
            self._queue.add(key, outcome.requeue_after.total_seconds())

    def _tell(self, key: Key, plan: Plan) -> None:
        status = plan.status
        where = _where(status) if status is not None else {}
        for event in plan.events:
            log.info(event.message, object=str(key), reason=event.reason, **where)
        if status is not None and not plan.conditions_only:
            self._queue.prefer(key, preferred=status.rollout is not None)
            self._telemetry.story.tell(key, status, self._deps.clock.now())

    def _conflicted(self, key: Key, error: Conflict) -> None:
        """Someone else wrote: look again at what there is now."""
        count = self._conflicts[key] = self._conflicts.get(key, 0) + 1
        if count <= CONFLICTS_AT_ONCE:
            self._queue.add(key)
            return
        delay = self._queue.failed(key)
        log.info("conflicts go on", object=str(key), error=str(error), count=count, retry_in=delay)

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

    async def _crashed(self, key: Key, error: Exception) -> None:
        """A bug, or an object that nobody thought of. The others go on."""
        known = len(self._quarantine)
        try:
            left = await self._quarantine.crashed(key, error)
        except Deposed:
            raise
        except Exception:  # this object is odd in more than one way; the worker goes on
            log.exception("the crash could not be told in a condition", object=str(key))
            left = RETRY
        if left is None:
            self._queue.failed(key)
            return
        self._queue.succeeded(key)  # its back-off begins anew after the quarantine
        self._queue.add(key, left)
        if len(self._quarantine) > known:
            log.error(
                "every reconcile of this object crashes; its state no longer follows its spec",
                object=str(key),
                retry_in=left,
            )
        self._telemetry.quarantined(len(self._quarantine))


def _where(status: ModelDeploymentStatus) -> dict[str, object]:
    """Where a rollout stands, for the log."""
    arm = status.canary or status.stable
    if arm is None:
        return {}
    told: dict[str, object] = {"revision": short(arm.revision), "weight": arm.requested_weight}
    if status.rollout is not None:
        told["step"] = status.rollout.step + 1  # as people count
    return told
