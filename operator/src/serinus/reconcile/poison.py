"""Objects of which every reconcile crashes: told to people, and left alone until something changes.

A bug that one object brings out must not eat the workers' time, and must not be silent either.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serinus.api.types import format_time
from serinus.core.conditions import ConditionType
from serinus.ports import ApiError, Conflict, Manifest, Ref
from serinus.reconcile import kinds
from serinus.reconcile.deps import Deps, Key

CRASHES = 5  # in a row, without a success in between
RETRY = 300.0  # seconds
REASON = "ReconcileCrashing"
_ATTEMPTS = 3
_MARK_SECONDS = 15.0


@dataclass(slots=True)
class _Held:
    """An object in quarantine, until a time or another version of it."""

    until: float
    version: str | None  # as we left it; None: not known, as the condition could not be written
    what: str


class Quarantine:
    """Counts crashes per object, and says when an object may be tried again."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._crashes: dict[Key, int] = {}
        self._held: dict[Key, _Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    async def wait(self, key: Key) -> float:
        """Seconds for which the object is to be left alone; 0 when it may be tried.

        Raises:
            ApiError: it cannot be told whether the object has changed.
        """
        held = self._held.get(key)
        if held is None:
            return 0.0
        left = held.until - asyncio.get_running_loop().time()
        if left <= 0:
            return 0.0
        if held.version is None:
            held.version = await mark(key, self._deps, held.what)
            return left
        found = await self._deps.kube.get(_ref(key))
        if found is None or found["metadata"]["resourceVersion"] != held.version:
            return 0.0
        return left

    async def crashed(self, key: Key, error: BaseException) -> float | None:
        """Counts a crash. Seconds of quarantine from now on, or None while it is not that bad yet."""
        count = self._crashes[key] = self._crashes.get(key, 0) + 1
        if count < CRASHES:
            return None
        until = asyncio.get_running_loop().time() + RETRY
        held = self._held[key] = _Held(until, None, type(error).__name__)
        with contextlib.suppress(ApiError, TimeoutError):  # tried again at the next look
            async with asyncio.timeout(_MARK_SECONDS):
                held.version = await mark(key, self._deps, held.what)
        return RETRY

    def succeeded(self, key: Key) -> bool:
        """Forgets the object's crashes; whether it was in quarantine."""
        self._crashes.pop(key, None)
        return self._held.pop(key, None) is not None


async def mark(key: Key, deps: Deps, what: str) -> str:
    """Writes the condition and nothing else; the version of the object then, "" when it is gone.

    Only the exception's type is told: its text may hold what is not for everybody's eyes.

    Raises:
        ApiError: it could not be written.
    """
    attempt = 0
    while True:
        live = await deps.kube.get(_ref(key))
        if live is None:
            return ""
        conditions = _with_crash(live, what, format_time(deps.clock.now()))
        if conditions is None:
            return str(live["metadata"]["resourceVersion"])
        meta = {k: live["metadata"][k] for k in ("resourceVersion", "uid")}
        patch = {"metadata": meta, "status": {"conditions": conditions}}
        attempt += 1
        try:
            written = await deps.kube.patch(_ref(key), patch, subresource="status")
        except Conflict:
            if attempt >= _ATTEMPTS:
                raise
            continue
        return str(written["metadata"]["resourceVersion"])


def _with_crash(live: Manifest, what: str, now: str) -> list[Mapping[str, Any]] | None:
    """The conditions with ours among them; None when it is there already."""
    before = [c for c in (live.get("status") or {}).get("conditions") or () if isinstance(c, dict)]
    kind = ConditionType.READY.value
    old = next((c for c in before if c.get("type") == kind), {})
    was_false = old.get("status") == "False"
    new = {
        "type": kind,
        "status": "False",
        "reason": REASON,
        "message": f"every look at this object ends in an error of the operator ({what}): nothing of it is "
        "followed any more; the operator's log has the details",
        "lastTransitionTime": old.get("lastTransitionTime", now) if was_false else now,
        "observedGeneration": int(live["metadata"].get("generation", 0)),
    }
    if new == old:
        return None
    return [new, *(c for c in before if c.get("type") != kind)]


def _ref(key: Key) -> Ref:
    return Ref(kinds.MODEL_DEPLOYMENT, key.namespace, key.name)
