"""Keeps the status small: at most 32 KiB in every state that can be reached.

What people need least goes first; what the rollout is decided by never goes.
"""

from __future__ import annotations

from collections.abc import Callable

from serinus.api.status import ModelDeploymentStatus, SlotVerdict

LIMIT = 30 * 1024  # bytes of JSON; the rest is for what other writers may add
READINGS_KEPT = 2  # verdicts that keep their numbers metric by metric

Trim = Callable[[ModelDeploymentStatus], ModelDeploymentStatus]


def fit(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """The status, with as little left out as it takes to be within the limit."""
    status = _readings(READINGS_KEPT)(status)
    for trim in (
        _readings(1),
        _failed_verdicts,
        _history(5),
        _readings(0),
        _verdicts(3),
        _history(1),
    ):
        if size(status) <= LIMIT:
            break
        status = trim(status)
    return status


def size(status: ModelDeploymentStatus) -> int:
    """Bytes of the status as it is stored."""
    return len(status.model_dump_json(by_alias=True, exclude_none=True).encode())


def _readings(kept: int) -> Trim:
    def trim(verdicts: tuple[SlotVerdict, ...]) -> tuple[SlotVerdict, ...]:
        border = len(verdicts) - kept
        return tuple(
            v if i >= border or not v.metrics else v.model_copy(update={"metrics": ()})
            for i, v in enumerate(verdicts)
        )

    def apply(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
        fields = {}
        for name in ("rollout", "failed"):
            part = getattr(status, name)
            if part is not None and any(v.metrics for v in part.verdicts):
                fields[name] = part.model_copy(update={"verdicts": trim(part.verdicts)})
        return status.model_copy(update=fields) if fields else status

    return apply


def _verdicts(kept: int) -> Trim:
    def apply(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
        if status.rollout is None:
            return status
        last = status.rollout.verdicts[-kept:]
        return status.model_copy(
            update={"rollout": status.rollout.model_copy(update={"verdicts": last})}
        )

    return apply


def _failed_verdicts(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    if status.failed is None:
        return status
    return status.model_copy(update={"failed": status.failed.model_copy(update={"verdicts": ()})})


def _history(kept: int) -> Trim:
    return lambda status: status.model_copy(update={"history": status.history[-kept:]})
