"""The only writer: commits the status, then makes the world follow, then tells the story.

Effects are derived from the committed status and change nothing that already is as wanted, so that
a crash anywhere in here heals on the next pass and an object at rest causes no writes.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from typing import Any

from serinus.api import names
from serinus.api.status import ModelDeploymentStatus
from serinus.api.types import format_time
from serinus.core.plan import Event, Plan
from serinus.ports import ApiError, Ref
from serinus.reconcile import kinds
from serinus.reconcile.deps import Deps
from serinus.reconcile.observe import Snapshot
from serinus.reconcile.writes import Route, write_for

_NAME_LENGTH = 200  # of an Event's 253 characters; the rest tells the Events of one object apart
_VERSION_DIGITS = 20


async def act(plan: Plan, snapshot: Snapshot, deps: Deps) -> None:
    """Commits and carries out a plan.

    Writes that do not depend on each other are all tried: a Deployment that is refused does not keep
    the traffic from going back. Only a route that gives a canary more waits for what it refers to.

    Raises:
        Conflict: the object has changed since it was observed; nothing was written.
        ApiError: the first write that failed; a later pass carries out what was committed.
    """
    if plan.status is None:
        return
    writes = [w for i in plan.intents if (w := write_for(i, snapshot, deps)) is not None]
    version = await _commit(plan, snapshot, deps, needed=bool(writes or plan.events))
    failure: ApiError | None = None
    for index, write in enumerate(writes):
        if failure is not None and index > 0 and isinstance(write, Route):
            continue
        try:
            await write.send(deps)
        except ApiError as e:
            failure = failure or e
    for number, event in enumerate(plan.events):
        await _tell(event, f"{version}{number:02x}", snapshot, deps)
    if failure is not None:
        raise failure


async def _commit(plan: Plan, snapshot: Snapshot, deps: Deps, *, needed: bool) -> str:
    """Compare-and-set of the status; answers which commit it is, in text that sorts by time.

    Before any effect it is written even when nothing in it changed: only so a stale observation is
    found out.
    """
    if plan.status is None:
        return ""
    wanted = stored(plan.status)
    if plan.conditions_only:
        wanted = {**snapshot.status, "conditions": wanted["conditions"]}
    patch = merge_patch(snapshot.status, wanted)
    if not patch and not needed:
        return ""
    ref = Ref(kinds.MODEL_DEPLOYMENT, snapshot.owner.namespace, snapshot.owner.name)
    body = {
        "metadata": {"resourceVersion": snapshot.resource_version, "uid": snapshot.owner.uid},
        "status": patch,
    }
    written = await deps.kube.patch(ref, body, subresource="status")
    return _sortable(str(written["metadata"]["resourceVersion"]))


def _sortable(version: str) -> str:
    """A resourceVersion as part of a name: 20 characters that sort as the numbers do.

    Nearly every API server counts; of one that does not, only the order of a second's Events is lost.
    """
    if version.isdecimal() and len(version) <= _VERSION_DIGITS:
        return version.zfill(_VERSION_DIGITS)
    return hashlib.sha256(version.encode()).hexdigest()[:_VERSION_DIGITS]


def stored(status: ModelDeploymentStatus) -> dict[str, Any]:
    """The status as it is written. Empty strings are left out: old API servers read them as null."""
    written: dict[str, Any] = _without_empty(
        status.model_dump(mode="json", by_alias=True, exclude_none=True)
    )
    return written


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_empty(v) for k, v in value.items() if v != ""}
    return [_without_empty(v) for v in value] if isinstance(value, list) else value


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch that turns ``before`` into ``after``: null removes a key."""
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            inner = merge_patch(old, value)
            if inner:
                patch[key] = inner
        elif old != value:
            patch[key] = value
    return patch


async def _tell(event: Event, told_by: str, snapshot: Snapshot, deps: Deps) -> None:
    """One Event. The story is for people: that it could not be told never stops the rollout.

    Its name comes from the commit that it tells of: told again, it exists already. Its times have
    seconds only, and the name keeps the order of those that share one.
    """
    owner = snapshot.owner
    at = format_time(deps.clock.now().replace(microsecond=0))
    name = f"{owner.name[:_NAME_LENGTH].rstrip('-.')}.{told_by}"
    manifest = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": owner.namespace},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": owner.name,
            "namespace": owner.namespace,
            "uid": owner.uid,
        },
        "type": event.type,
        "reason": event.reason,
        "message": event.message[:1000],
        "source": {"component": "serinus"},
        "reportingComponent": "serinus",
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
    with contextlib.suppress(ApiError):
        await deps.kube.create(Ref(kinds.EVENT, owner.namespace, ""), manifest)
