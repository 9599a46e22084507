"""What the live view says, as plain values: one frame from the resource's status and the requests.

Nothing here knows a terminal, so every sentence and number that people see can be tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from serinus.api.spec import MetricKind, ModelDeploymentSpec
from serinus.api.status import (
    Arm,
    ModelDeploymentStatus,
    RolloutStatus,
    SlotVerdict,
    Stage,
    Verdict,
)
from serinus.sandbox.demo.traffic import Recent


class Tone(StrEnum):
    """How a line of the story feels."""

    ACTION = "action"  # what the demo did, as a person would with kubectl
    NORMAL = "normal"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the story: an Event of the operator, or what the demo did."""

    at: datetime
    tone: Tone
    text: str


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that is known at one moment."""

    now: datetime
    began: datetime
    act: str  # which part of the demo this is, for example "2 of 3: a better model"
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus
    recent: Mapping[str, Recent]  # by version
    requests: int
    refused: int
    wrong: int
    story: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One revision: what the resource says about it and what the client sees of it."""

    role: str
    version: str
    ready: int
    weight: int | None  # percent
    recent: Recent
    errors_bad: bool  # over the bound, as the client sees it
    p99_bad: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the current step is."""

    text: str
    share: float  # of the hold, 0..1


@dataclass(frozen=True, slots=True)
class Reading:
    """What the operator measured of the canary, for one bound."""

    verdict: Verdict
    text: str


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of the live view."""

    elapsed: timedelta
    act: str
    sentence: str
    canary_weight: int
    stable: ArmRow | None
    canary: ArmRow | None
    progress: Progress | None
    readings: tuple[Reading, ...]
    verdicts: tuple[Verdict, ...]
    judged: tuple[datetime, Verdict] | None  # the latest slot that was decided
    story: tuple[tuple[timedelta, Line], ...]
    requests: int
    refused: int
    wrong: int


def frame(scene: Scene) -> Frame:
    """The picture of one moment."""
    status, rollout = scene.status, scene.status.rollout
    verdicts: Sequence[SlotVerdict] = rollout.verdicts if rollout else ()
    judged = _latest_judged(verdicts)
    return Frame(
        elapsed=scene.now - scene.began,
        act=scene.act,
        sentence=sentence(scene.spec, status),
        canary_weight=_weight(status.canary, status) or 0,
        stable=_row("stable", status.stable, scene),
        canary=_row("canary", status.canary, scene),
        progress=progress(scene.spec, rollout, scene.now) if rollout else None,
        readings=tuple(
            Reading(metric.verdict, metric.display or f"{metric.name}: {metric.canary}")
            for metric in (judged.metrics if judged else ())
        ),
        verdicts=tuple(slot.verdict for slot in verdicts),
        judged=(judged.at, judged.verdict) if judged else None,
        story=tuple((line.at - scene.began, line) for line in scene.story),
        requests=scene.requests,
        refused=scene.refused,
        wrong=scene.wrong,
    )


def sentence(spec: ModelDeploymentSpec, status: ModelDeploymentStatus) -> str:
    """What happens now, in one sentence."""
    stable, canary, rollout = status.stable, status.canary, status.rollout
    if stable is None:
        return "The operator looks the model up."
    if stable.requested_weight == 0:
        return f"{version(stable)} is loading; it is the first and will get all requests."
    if canary is not None and rollout is not None:
        return _rollout_sentence(spec, canary, stable, rollout)
    if status.failed is not None:
        return (
            f"Version {status.failed.resolved_version} was taken back; "
            f"{version(stable).lower()} answers every request."
        )
    return f"{version(stable)} answers every request."


def _rollout_sentence(
    spec: ModelDeploymentSpec, canary: Arm, stable: Arm, rollout: RolloutStatus
) -> str:
    weights = [step.weight for step in spec.rollout.steps] + [100]
    goal = weights[min(rollout.step, len(weights) - 1)]
    who = version(canary)
    match rollout.stage:
        case Stage.SCALING if canary.requested_weight == 0:
            return f"{who} is loading beside {version(stable).lower()}, without traffic."
        case Stage.SCALING:
            return f"{who} did well and gets ready for {goal} % of the requests."
        case Stage.SHIFTING if goal == 100:
            return f"{who} has passed every step and takes over."
        case Stage.SHIFTING:
            return f"The gateway gives {goal} % of the requests to {who.lower()}."
        case Stage.HOLDING if rollout.breaches:
            threshold = spec.analysis.failure_threshold
            return f"{who} breaks its bounds: breach {rollout.breaches} of {threshold}."
        case Stage.HOLDING:
            return f"{who} has {canary.requested_weight} % of the requests and is being judged."
        case Stage.PAUSED:
            return f"{who} is paused and waits for people."
        case Stage.ROLLING_BACK:
            return f"{who} loses its traffic now."


def progress(spec: ModelDeploymentSpec, rollout: RolloutStatus, now: datetime) -> Progress:
    """The step and how much of its hold has passed; a breach begins the hold again."""
    steps = spec.rollout.steps
    if rollout.step >= len(steps):
        return Progress("promotion to 100 %", 1.0)
    step = steps[rollout.step]
    name = f"step {rollout.step + 1} of {len(steps)} · {step.weight} %"
    if rollout.stage is not Stage.HOLDING or rollout.hold_started_at is None:
        return Progress(f"{name} · {_STAGE_WORDS[rollout.stage]}", 0.0)
    held = max(now - rollout.hold_started_at, timedelta(0))
    share = min(held / step.hold, 1.0) if step.hold else 1.0
    seconds = min(held, step.hold).total_seconds()
    return Progress(f"{name} · held {seconds:.0f} of {step.hold.total_seconds():.0f} s", share)


_STAGE_WORDS = {
    Stage.SCALING: "pods starting",
    Stage.SHIFTING: "shifting",
    Stage.HOLDING: "holding",
    Stage.PAUSED: "paused",
    Stage.ROLLING_BACK: "rolling back",
}


def version(arm: Arm) -> str:
    """How people call a revision."""
    return f"Version {arm.resolved_version}"


def _row(role: str, arm: Arm | None, scene: Scene) -> ArmRow | None:
    if arm is None:
        return None
    recent = scene.recent.get(arm.resolved_version, Recent(0, 0.0, None, None, None))
    errors, latency = _bounds(scene.spec)
    return ArmRow(
        role=role,
        version=arm.resolved_version,
        ready=arm.ready_replicas,
        weight=_weight(arm, scene.status),
        recent=recent,
        errors_bad=_over(recent.error_rate, errors),
        p99_bad=_over(recent.p99, latency),
    )


def _weight(arm: Arm | None, status: ModelDeploymentStatus) -> int | None:
    """What the router does; while it has not confirmed that of both, what it was asked for."""
    if arm is None:
        return None
    known = all(
        one is None or one.observed_weight is not None for one in (status.stable, status.canary)
    )
    return arm.observed_weight if known else arm.requested_weight


def _over(value: float | None, limit: float | None) -> bool:
    return value is not None and limit is not None and value > limit


def _bounds(spec: ModelDeploymentSpec) -> tuple[float | None, float | None]:
    """The tightest error rate (0..1) and latency (seconds) that the spec asks for."""
    metrics = spec.analysis.metrics
    errors = [float(m.max_ratio) for m in metrics if m.type is MetricKind.ERROR_RATE]
    latencies = [m.max_duration.total_seconds() for m in metrics if m.type is MetricKind.LATENCY]
    return min(errors, default=None), min(latencies, default=None)


def _latest_judged(verdicts: Sequence[SlotVerdict]) -> SlotVerdict | None:
    return next((slot for slot in reversed(verdicts) if slot.metrics), None)
