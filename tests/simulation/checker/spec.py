"""The spec of a ModelDeployment as the documentation describes it, with every default filled in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .views import seconds

DEFAULT_STEPS = (
    {"weight": 5, "hold": "2m"},
    {"weight": 25, "hold": "5m"},
    {"weight": 50, "hold": "5m"},
)
DEFAULT_HOLD = "2m"
DEFAULT_METRICS = ({"name": "errors", "type": "ErrorRate", "max": "0.01"},)


@dataclass(frozen=True, slots=True)
class Spec:
    """Effective values. Times in seconds.

    Attributes:
        base: what a revision is made of; another value asks for another revision.
        key: ``base`` and the retry token; another value allows a failed revision to be tried again.
        made: of ``base``, what stands under ``server``.
        steps: (weight, hold).
        error_bound: the largest allowed share of errors; None without such a metric.
        slow_bound: the largest allowed share of slow answers; None without such a metric.
        only_errors: every metric is such a bound on errors: without an error nothing can be wrong.
        insufficient: what happens after ``insufficient_after`` without enough evidence.
    """

    base: str
    key: str
    made: str
    uri: str
    replicas: int
    steps: tuple[tuple[int, float], ...]
    progress_deadline: float
    on_breach: str
    scale_down_delay: float
    paused: bool
    manual: bool
    interval: float
    failure_threshold: int
    min_requests: int
    error_bound: float | None
    slow_bound: float | None
    only_errors: bool
    insufficient: str
    insufficient_after: float

    def hold_of(self, weight: int) -> float | None:
        """The hold of the step with this weight; None when no step has it."""
        return next((hold for w, hold in self.steps if w == weight), None)

    def next_weight(self, weight: int) -> int:
        """The weight of the step after the one with ``weight``; 100 after the last."""
        return next((w for w, _ in self.steps if w > weight), 100)


def read_spec(raw: Mapping[str, Any]) -> Spec:
    """The effective spec of the stored one."""
    server, rollout = raw.get("server") or {}, raw.get("rollout") or {}
    analysis = raw.get("analysis") or {}
    insufficient = analysis.get("onInsufficient") or {}
    made = json.dumps({k: v for k, v in server.items() if k != "replicas"}, sort_keys=True)
    base = f"{json.dumps(raw.get('model') or {}, sort_keys=True)} {made}"
    steps = rollout.get("steps", DEFAULT_STEPS)
    metrics = analysis.get("metrics") or DEFAULT_METRICS
    plain = [m for m in metrics if not m.get("compareTo")]
    errors = [float(m["max"]) for m in plain if m.get("type") == "ErrorRate"]
    slow = [1.0 - float(m.get("quantile", "0.99")) for m in plain if m.get("type") == "Latency"]
    return Spec(
        base=base,
        key=f"{base} {rollout.get('retryToken', '')}",
        made=made,
        uri=str((raw.get("model") or {}).get("uri", "")),
        replicas=int(server.get("replicas", 2)),
        steps=tuple((int(s["weight"]), seconds(s.get("hold", DEFAULT_HOLD))) for s in steps),
        progress_deadline=seconds(rollout.get("progressDeadline", "10m")),
        on_breach=str(rollout.get("onBreach", "Rollback")),
        scale_down_delay=seconds(rollout.get("scaleDownDelay", "30s")),
        paused=bool(rollout.get("paused", False)),
        manual=rollout.get("approval", "Automatic") == "Manual",
        interval=seconds(analysis.get("interval", "10s")),
        failure_threshold=int(analysis.get("failureThreshold", 3)),
        min_requests=int(analysis.get("minRequests", 100)),
        error_bound=min(errors, default=None),
        slow_bound=min(slow, default=None),
        only_errors=len(errors) == len(metrics),
        insufficient=str(insufficient.get("do", "Pause")),
        insufficient_after=seconds(insufficient.get("after", "30m")),
    )
