"""What keeps a rollout from going on, and is no failure of the canary.

Two kinds. Some reasons hold the next step back while they last and are found anew on every pass:
people's wish, a missing approval, missing requests, a clock that is wrong. Others freeze the rollout
(stage Paused), and the reason is kept until what it names is over. Neither keeps a breach from
taking the traffic back.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from serinus.api.spec import Approval, InsufficientPolicy
from serinus.api.status import (
    ModelDeploymentStatus,
    PauseReason,
    RolloutStatus,
    Stage,
    Verdict,
)
from serinus.api.types import format_duration
from serinus.core.analysis import MEASURED, judged_until
from serinus.core.facts import Change, Facts, normal, update, update_rollout, weigh
from serinus.core.revision import describe, named, short
from serinus.core.traffic import hold_at, is_final, step_after

BY_PEOPLE = "PausedByUser"
APPROVAL = "ApprovalRequired"
STARVED = "InsufficientData"
SKEWED = "ClockSkew"
METRICS = "MetricsUnavailable"
DRIFT = "DriftConflict"
STABLE_LOST = "StableNotReady"

MAX_SKEW = timedelta(seconds=30)


def mark(facts: Facts) -> ModelDeploymentStatus:
    """The status with the reasons of this moment; one that lasts keeps its time."""
    rollout = facts.status.rollout
    if rollout is None:
        return facts.status
    kept = rollout.pause_reasons[:1] if rollout.stage is Stage.PAUSED else ()
    since = {reason.reason: reason.since for reason in rollout.pause_reasons}
    passing = tuple(
        PauseReason(reason=reason, message=message, since=since.get(reason, facts.now))
        for reason, message in _passing(facts)
    )
    if (*kept, *passing) == rollout.pause_reasons:
        return facts.status
    return update_rollout(facts.status, pause_reasons=(*kept, *passing))


def held_back(facts: Facts) -> tuple[str, str] | None:
    """Why nothing may start or advance, as (reason, message): people's wish, a wrong clock, a canary
    that nobody asks for any more and that cannot be taken back yet."""
    if facts.spec.rollout.paused:
        return BY_PEOPLE, "spec.rollout.paused is true"
    pause, canary = facts.seen.commands.pause, facts.status.canary
    revision = canary.revision if canary is not None else facts.target
    if pause and revision is not None and named(pause, revision):
        return BY_PEOPLE, "the annotation serinus.dev/pause asks for it"
    if canary is not None and facts.target not in {None, canary.revision}:
        text = "another revision is asked for, and stable has no ready pod to take the traffic"
        return STABLE_LOST, text
    if clock_is_wrong(facts):
        seconds = facts.seen.clock_skew.total_seconds()
        return SKEWED, f"the operator's clock is {seconds:+.0f} s off the API server's"
    return None


def clock_is_wrong(facts: Facts) -> bool:
    """Whether nothing may be concluded from how much time has passed."""
    return abs(facts.seen.clock_skew) > MAX_SKEW


def step_done(facts: Facts) -> bool:
    """The hold is over, and the latest evidence says Healthy."""
    rollout = facts.status.rollout
    return rollout is not None and _hold_is_over(facts) and proven(rollout)


def _hold_is_over(facts: Facts) -> bool:
    """The hold has passed, every boundary of it is judged, and a slot of it was Healthy."""
    status, rollout, canary = facts.status, facts.status.rollout, facts.status.canary
    if rollout is None or canary is None or rollout.stage is not Stage.HOLDING:
        return False
    if rollout.hold_started_at is None:
        return False
    end = rollout.hold_started_at + hold_at(facts.spec, canary.requested_weight)
    if facts.now < end or not judged_until(facts.spec, status, end):
        return False
    return rollout.healthy_slots >= 1


def proven(rollout: RolloutStatus) -> bool:
    """The latest verdict is Healthy; before the first step there is nothing to judge by."""
    if rollout.slot_started_at is None:
        return True
    return bool(rollout.verdicts) and rollout.verdicts[-1].verdict is Verdict.HEALTHY


def cleared(rollout: RolloutStatus) -> bool:
    """Whether the next weight may be written: proven, or asked for by people despite no evidence."""
    return proven(rollout) or (rollout.forced and not rollout.breaches)


def needs_approval(facts: Facts) -> bool:
    """The last step is over, with evidence or at the end of the patience for it, and people have the
    last word. An open slot changes nothing in that."""
    canary = facts.status.canary
    if canary is None or facts.spec.rollout.approval is not Approval.MANUAL:
        return False
    after = step_after(facts.spec, canary.requested_weight)
    return is_final(facts.spec, after) and (_hold_is_over(facts) or starved(facts))


def starved_since(rollout: RolloutStatus) -> datetime | None:
    """Since when there is too little evidence for a verdict; None while nothing is measured."""
    if rollout.stage not in MEASURED or rollout.unavailable_since is not None:
        return None
    if rollout.slot_started_at is None or rollout.step_started_at is None:
        return None
    told = {Verdict.HEALTHY, Verdict.BREACH}
    latest = [
        v.at for v in rollout.verdicts if v.verdict in told and v.at > rollout.step_started_at
    ]
    return max(
        (*latest, rollout.step_started_at, rollout.hold_started_at or rollout.step_started_at)
    )


def starved(facts: Facts) -> bool:
    """Whether the patience of ``analysis.onInsufficient.after`` is at its end."""
    rollout = facts.status.rollout
    since = starved_since(rollout) if rollout is not None else None
    if since is None:
        return False
    return facts.now - since >= facts.spec.analysis.on_insufficient.after


def no_verdict(facts: Facts) -> str:
    """For how long there was none, and what the last look said."""
    rollout, after = facts.status.rollout, facts.spec.analysis.on_insufficient.after
    latest = rollout.verdicts[-1] if rollout is not None and rollout.verdicts else None
    why = "" if latest is None else f" (the last look: {latest.message})"
    return f"no verdict for {format_duration(after)}{why}"[:512]


def _passing(facts: Facts) -> list[tuple[str, str]]:
    reasons = [reason for reason in (held_back(facts),) if reason is not None]
    if needs_approval(facts) and facts.status.canary is not None:
        key = short(facts.status.canary.revision)
        text = f"every step is done: it is promoted by the annotation serinus.dev/promote={key}"
        if facts.status.acknowledged.promote:
            # The same value again would be no change at all, and people would wait for ever.
            text += "; the one that is there was answered before: remove it first"
        reasons.append((APPROVAL, text))
    policy = facts.spec.analysis.on_insufficient
    if policy.do is InsufficientPolicy.PAUSE and starved(facts):
        reasons.append((STARVED, f"{no_verdict(facts)}: it goes on when there is one"))
    return reasons


def freeze(
    status: ModelDeploymentStatus, reason: str, message: str, now: datetime, token: str
) -> ModelDeploymentStatus:
    """The rollout stays where it is, for one reason; ``token`` is the spec's retry token."""
    pause = PauseReason(reason=reason, message=message[:512], since=now)
    return update_rollout(status, stage=Stage.PAUSED, pause_reasons=(pause,), retry_token=token)


def stand_down(status: ModelDeploymentStatus, pause: PauseReason) -> ModelDeploymentStatus:
    """The canary gives its traffic back for a while, and nothing is held against it."""
    if status.canary is None:
        raise ValueError("there is no canary to stand down")
    status = update(status, canary=weigh(status.canary, 0))
    return update_rollout(
        status, stage=Stage.PAUSED, pause_reasons=(pause,), waiting_since=pause.since, forced=False
    )


def resume(facts: Facts, why: str) -> Change | None:
    """From the first step again, with a clean slate: what was measured before is too old."""
    canary = facts.status.canary
    if canary is None:
        return None
    status = update_rollout(
        facts.status,
        stage=Stage.SCALING,
        step=0,
        waiting_since=facts.now,
        step_started_at=None,
        hold_started_at=None,
        slot_started_at=None,
        slot_checked_at=None,
        healthy_slots=0,
        breaches=0,
        step_breaches=0,
        first_breach_at=None,
        evidence=(),
        evidence_until=None,
        step_requests=0,
        step_stable_requests=0,
        unavailable_since=None,
        pause_reasons=(),
    )
    text = f"{why}: {describe(canary)} begins again at the first step"
    return Change(status, (normal("Resumed", text),))
