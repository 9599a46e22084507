"""Metrics of rollouts: counted once, from what was committed, and gone with the object."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from serinus.api.status import (
    Arm,
    Failed,
    HistoryEntry,
    ModelDeploymentStatus,
    Outcome,
    Phase,
    RolloutStatus,
    SlotVerdict,
    Stage,
    Verdict,
)
from serinus.app.story import MOST_REASONS, Story
from serinus.reconcile.deps import Key

KEY = Key("ml", "churn")
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Told:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.story = Story(self.registry)

    def tell(self, at: datetime = NOW, key: Key = KEY, **status: Any) -> None:
        self.story.tell(key, ModelDeploymentStatus(**status), at)

    def __call__(self, metric: str, /, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"serinus_operator_{metric}", labels)


@pytest.fixture
def told() -> Told:
    return Told()


def seconds(number: float) -> datetime:
    return NOW + timedelta(seconds=number)


def arm(weight: int) -> Arm:
    return Arm.model_construct(revision="v1:aa", requested_weight=weight)


def rollout(*verdicts: SlotVerdict) -> RolloutStatus:
    return RolloutStatus(
        stage=Stage.HOLDING, step=0, started_at=NOW, waiting_since=NOW, verdicts=verdicts
    )


def verdict(at: float, kind: Verdict) -> SlotVerdict:
    return SlotVerdict(at=seconds(at), step=0, weight=10, verdict=kind, message="")


def entry(revision: str, outcome: Outcome, at: float) -> HistoryEntry:
    return HistoryEntry(
        revision=revision,
        model_uri="models:/churn/2",
        outcome=outcome,
        message="",
        started_at=NOW,
        finished_at=seconds(at),
    )


def failed(revision: str, reason: str, *verdicts: SlotVerdict) -> Failed:
    return Failed(
        revision=revision,
        model_uri="models:/churn/2",
        reason=reason,
        message="",
        at=NOW,
        verdicts=verdicts,
    )


AT = {"namespace": "ml", "name": "churn"}


def test_the_canarys_weight_and_phase_are_told_as_they_are_now(told) -> None:
    told.tell(canary=arm(20), rollout=rollout(), phase=Phase.PROGRESSING)
    assert told("canary_weight", **AT) == 20
    assert told("object_phase", **AT, phase="Progressing") == 1
    assert told("rollout_start_timestamp_seconds", **AT) == NOW.timestamp()
    told.tell(phase=Phase.READY)
    assert told("canary_weight", **AT) == 0
    assert told("object_phase", **AT, phase="Progressing") is None
    assert told("object_phase", **AT, phase="Ready") == 1
    assert told("rollout_start_timestamp_seconds", **AT) is None


def test_series_of_an_object_go_with_it(told) -> None:
    told.tell(canary=arm(20), rollout=rollout(), phase=Phase.PROGRESSING)
    told.story.forget(KEY)
    told.story.forget(KEY)
    assert b'name="churn"' not in generate_latest(told.registry)


def test_a_rollout_is_counted_once_with_its_outcome_and_reason(told) -> None:
    told.tell()
    back = entry("v1:bb", Outcome.ROLLED_BACK, 10)
    for _ in range(3):
        told.tell(history=(back,), failed=failed("v1:bb", "ErrorRate"))
    assert told("rollouts_total", outcome="RolledBack", reason="ErrorRate") == 1
    promoted = entry("v1:cc", Outcome.PROMOTED, 20)
    for history in ((promoted, back), (back, promoted)):
        told.tell(history=history, failed=failed("v1:bb", "ErrorRate"))
    assert told("rollouts_total", outcome="Promoted", reason="") == 1
    assert told("rollouts_total", outcome="RolledBack", reason="ErrorRate") == 1


def test_what_ended_before_this_process_began_is_not_counted_again(told) -> None:
    told.tell(history=(entry("v1:bb", Outcome.PROMOTED, -60),))
    assert told("rollouts_total", outcome="Promoted", reason="") is None


def test_every_verdict_is_counted_once_also_the_one_that_ended_the_rollout(told) -> None:
    first, second = verdict(10, Verdict.HEALTHY), verdict(20, Verdict.BREACH)
    told.tell(rollout=rollout(first))
    told.tell(rollout=rollout(first))
    told.tell(failed=failed("v1:bb", "ErrorRate", first, second))
    assert told("verdicts_total", verdict="Healthy") == 1
    assert told("verdicts_total", verdict="Breach") == 1


def test_reasons_are_bounded_in_number(told) -> None:
    told.tell()
    for number in range(MOST_REASONS + 5):
        history = (entry("v1:bb", Outcome.ROLLED_BACK, number + 1),)
        told.tell(history=history, failed=failed("v1:bb", f"reason-{number}"))
    assert told("rollouts_total", outcome="RolledBack", reason="Other") == 5
