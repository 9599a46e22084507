"""The resync: every object is looked at again and again, so that lost events cost one interval at most.

Objects at rest are spread over the interval, each at a place of its own that stays the same. Those with
a rollout, with a spec that was not acted on yet, or changed since the last listing, come first.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Sequence
from typing import NoReturn

import structlog

from serinus.app.telemetry import Telemetry
from serinus.app.workqueue import WorkQueue
from serinus.ports import ApiError, Manifest, NotFound
from serinus.reconcile import kinds
from serinus.reconcile.deps import Deps, Key

log = structlog.get_logger("serinus")

RETRY = 5.0  # seconds after a listing that failed, at most

Seen = Callable[[Sequence[Manifest]], None]


def nobody(_: Sequence[Manifest]) -> None:
    """Nobody wants to see the objects."""


async def resync(
    queue: WorkQueue[Key],
    deps: Deps,
    namespaces: Sequence[str],
    telemetry: Telemetry,
    seen: Seen = nobody,
) -> NoReturn:
    """Lists every object and adds them to the queue, for ever.

    Args:
        namespaces: empty: all.
        seen: is handed every object of each listing, before any of them is added.
    """
    interval = deps.defaults.resync.total_seconds()
    known: dict[Key, str] | None = None
    missing = False
    while True:
        wait = min(RETRY, interval)
        try:
            items = [
                item
                for namespace in namespaces or (None,)
                for item in await deps.kube.list(kinds.MODEL_DEPLOYMENT, namespace, {})
            ]
        except NotFound:
            telemetry.resync_failed(answered=True)  # a restart would change nothing
            if not missing:
                log.warning("the resync finds no CRD modeldeployments.serinus.dev")
            missing = True
        except ApiError as e:
            telemetry.resync_failed(answered=False)
            log.warning("the resync failed", error=str(e), retry_in=wait)
        else:
            seen(items)
            known = add(queue, items, known, interval)
            telemetry.resynced(len(items))
            missing, wait = False, interval
        await asyncio.sleep(wait)


def add(
    queue: WorkQueue[Key], items: Sequence[Manifest], known: dict[Key, str] | None, interval: float
) -> dict[Key, str]:
    """Adds the objects of one listing; returns their versions, which are ``known`` at the next one."""
    versions = {key_of(item): str(item["metadata"]["resourceVersion"]) for item in items}
    for item in sorted(items, key=lambda i: (not _in_rollout(i), *_place(i))):
        key = key_of(item)
        queue.prefer(key, preferred=_in_rollout(item))
        changed = known is not None and known.get(key) != versions[key]
        queue.add(key, 0.0 if changed or _urgent(item) else interval * slot(key))
    for key in known or ():
        if key not in versions:
            queue.add(key)  # deleted: what is remembered of it goes
    return versions


def key_of(item: Manifest) -> Key:
    """The key of a ModelDeployment."""
    return Key(item["metadata"]["namespace"], item["metadata"]["name"])


def slot(key: Key) -> float:
    """Where in the interval an object at rest has its turn, from 0 to 1; the same in every process."""
    return zlib.crc32(str(key).encode()) / 2**32


def _place(item: Manifest) -> tuple[str, str]:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def _in_rollout(item: Manifest) -> bool:
    return bool((item.get("status") or {}).get("rollout"))


def _urgent(item: Manifest) -> bool:
    meta, status = item["metadata"], item.get("status") or {}
    unseen = meta.get("generation") != status.get("observedGeneration")
    return _in_rollout(item) or unseen or "deletionTimestamp" in meta
