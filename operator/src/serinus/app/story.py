"""Metrics of what the operator does to each object: weights, rollouts, verdicts.

Everything is read off the status that a pass has committed. What ended before this process began is
not counted again. Series of an object go with it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge

from serinus.api.status import HistoryEntry, ModelDeploymentStatus, Outcome, Phase
from serinus.reconcile.deps import Key

MOST_REASONS = 40  # values of the label ``reason``; what comes after them is told as Other


@dataclass(slots=True)
class _Told:
    """Up to when this object's story is counted."""

    finished: datetime
    judged: datetime
    phase: Phase | None = None


class Story:
    """One gauge or counter per thing that people ask about a rollout."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._weight = Gauge(
            "serinus_operator_canary_weight",
            "Percent of the traffic that was asked for the canary; 0 without one.",
            ("namespace", "name"),
            registry=registry,
        )
        self._phase = Gauge(
            "serinus_operator_object_phase",
            "1 for the phase that an object is in.",
            ("namespace", "name", "phase"),
            registry=registry,
        )
        self._rollout = Gauge(
            "serinus_operator_rollout_start_timestamp_seconds",
            "When the rollout that runs began; no series without one.",
            ("namespace", "name"),
            registry=registry,
        )
        self._rollouts = Counter(
            "serinus_operator_rollouts",
            "Rollouts that ended.",
            ("outcome", "reason"),
            registry=registry,
        )
        self._verdicts = Counter(
            "serinus_operator_verdicts",
            "Verdicts on slots of evidence.",
            ("verdict",),
            registry=registry,
        )
        self._objects: dict[Key, _Told] = {}
        self._reasons: set[str] = set()
        self._began: datetime | None = None

    def tell(self, key: Key, status: ModelDeploymentStatus, now: datetime) -> None:
        """What an object's status says after a pass."""
        if self._began is None:
            self._began = now.astimezone(UTC).replace(microsecond=0)
        told = self._objects.setdefault(key, _Told(self._began, self._began))
        at = (key.namespace, key.name)
        canary, rollout = status.canary, status.rollout
        self._weight.labels(*at).set(canary.requested_weight if canary is not None else 0)
        if rollout is not None:
            self._rollout.labels(*at).set(rollout.started_at.timestamp())
        else:
            _remove(self._rollout, *at)
        if told.phase is not status.phase:
            if told.phase is not None:
                _remove(self._phase, *at, told.phase)
            self._phase.labels(*at, status.phase).set(1)
            told.phase = status.phase
        self._count(told, status)

    def forget(self, key: Key) -> None:
        """The object is gone, and its series with it."""
        told = self._objects.pop(key, None)
        if told is None:
            return
        at = (key.namespace, key.name)
        _remove(self._weight, *at)
        _remove(self._rollout, *at)
        if told.phase is not None:
            _remove(self._phase, *at, told.phase)

    def _count(self, told: _Told, status: ModelDeploymentStatus) -> None:
        ended = [entry for entry in status.history if entry.finished_at > told.finished]
        for entry in ended:
            self._rollouts.labels(entry.outcome, self._reason(entry, status)).inc()
            told.finished = max(told.finished, entry.finished_at)
        verdicts = (
            *(status.rollout.verdicts if status.rollout is not None else ()),
            *(status.failed.verdicts if status.failed is not None else ()),
        )
        for at, verdict in sorted({(v.at, v.verdict) for v in verdicts if v.at > told.judged}):
            self._verdicts.labels(verdict).inc()
            told.judged = at

    def _reason(self, entry: HistoryEntry, status: ModelDeploymentStatus) -> str:
        failed = status.failed
        if entry.outcome is Outcome.PROMOTED or failed is None:
            return ""
        if failed.revision != entry.revision:
            return ""
        if failed.reason not in self._reasons and len(self._reasons) >= MOST_REASONS:
            return "Other"
        self._reasons.add(failed.reason)
        return failed.reason


def _remove(gauge: Gauge, *labels: str) -> None:
    with contextlib.suppress(KeyError):  # what older clients say of a series that is not there
        gauge.remove(*labels)
