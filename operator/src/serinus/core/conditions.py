"""Conditions: what is true of the object now, with a reason for programs and a message for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from serinus.api.status import Condition, ConditionStatus


class ConditionType(StrEnum):
    READY = "Ready"
    AVAILABLE = "Available"
    PROGRESSING = "Progressing"
    MODEL_RESOLVED = "ModelResolved"
    METRICS_AVAILABLE = "MetricsAvailable"
    ROLLED_BACK = "RolledBack"


class Conditions:
    """Collects the conditions of one pass; the time of a transition survives until the next one."""

    def __init__(self, before: Sequence[Condition], generation: int, now: datetime) -> None:
        self._items = {condition.type: condition for condition in before}
        self._generation = generation
        self._now = now

    def mark(
        self,
        kind: ConditionType,
        status: bool | None,
        reason: str,
        message: str,
    ) -> None:
        """Sets one condition; ``None`` means Unknown."""
        value = {
            True: ConditionStatus.TRUE,
            False: ConditionStatus.FALSE,
            None: ConditionStatus.UNKNOWN,
        }
        old = self._items.get(kind)
        same = old is not None and old.status is value[status]
        self._items[kind] = Condition(
            type=kind,
            status=value[status],
            reason=reason,
            message=message[:512],
            last_transition_time=old.last_transition_time if same and old else self._now,
            observed_generation=self._generation,
        )

    def result(self) -> tuple[Condition, ...]:
        """All conditions, in the order of :class:`ConditionType`."""
        order = {kind: index for index, kind in enumerate(ConditionType)}
        known = [c for c in self._items.values() if c.type in order]
        return tuple(sorted(known, key=lambda c: order[ConditionType(c.type)]))


def find(conditions: Sequence[Condition], kind: ConditionType) -> Condition | None:
    """The condition of this type, if it was ever set."""
    return next((c for c in conditions if c.type == kind), None)
