"""What a decision may rest on, and who may make it: evidence, commands, epochs."""

from __future__ import annotations

from typing import Any

import pytest
from handmade import BREACH, A, B, C, arm, asked, held, rolling, serving, short

# --- I10 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["nodata", "failed"])
def test_i10_weight_rises_on_no_evidence(answer: str) -> None:
    log = held().look().metrics(0, answer=answer).weigh(50)
    assert f"the last answer, 0.0 s before, was {answer}" in log.told("I10")


def test_i10_weight_rises_on_too_few_requests() -> None:
    log = rolling().weigh(10).wait(31).look().metrics(49).weigh(50)
    assert "on 49 requests, of 50 that make evidence" in log.told("I10")


def test_i10_holds_when_only_an_answer_was_lost_with_its_process() -> None:
    log = held().look().metrics(0, answer="failed")
    assert log.look().weigh(50).check() == []


def test_i10_a_revision_fails_because_the_source_does() -> None:
    log = held().look().metrics(0, answer="failed")
    log.status(canary=arm(B, 0), rollout={"stage": "RollingBack", "breach": BREACH})
    assert "failed bbbbbbbb without evidence" in log.told("I10")


def test_i10_a_revision_fails_without_an_error() -> None:
    log = (
        held()
        .look()
        .metrics(400)
        .status(canary=arm(B, 0), rollout={"stage": "RollingBack", "breach": BREACH})
    )
    assert "failed bbbbbbbb on 400 requests and not one error" in log.told("I10")


def test_i10_holds_when_there_were_errors_or_something_else_is_judged_too() -> None:
    breached = {"stage": "RollingBack", "breach": BREACH}
    assert "I10" not in held().look().metrics(400, 9).status(rollout=breached).broken()
    latency = {"name": "latency", "type": "Latency", "max": "100ms"}
    spec: dict[str, Any] = {**asked(), "analysis": {"minRequests": 50, "metrics": [latency]}}
    assert "I10" not in held(spec).look().metrics(400).status(rollout=breached).broken()


def test_i10_holds_when_another_source_of_the_same_pass_has_answered() -> None:
    log = held().look().metrics(400, source="pods").metrics(0, answer="failed")
    assert log.weigh(50).check() == []


def test_i10_holds_when_a_revision_fails_because_its_service_is_gone() -> None:
    log = held().remove("services", f"churn-{short(B)}", actor="collector")
    log.look().status(canary=arm(B, 10), rollout={"stage": "Paused", "breach": BREACH})
    assert "I10" not in log.broken()


def test_i10_holds_when_a_revision_fails_because_its_pods_do() -> None:
    log = held().look({A: 2, B: 0}).metrics(0, answer="failed")
    log.status(canary=arm(B, 0), rollout={"stage": "RollingBack", "breach": BREACH})
    assert "I10" not in log.broken()


# --- I12 ------------------------------------------------------------------------------------------


def test_i12_a_child_is_made_after_the_delete() -> None:
    log = serving()
    log.remove("modeldeployments", "churn", actor="user").wait(1).look()
    log.child("services", B)
    assert "apply services churn-bbbbbbbb by operator-1, 1.0 s after the delete" in log.told("I12")


def test_i12_promote_beats_an_abort() -> None:
    log = held().user(abort=B, promote=B).wait(1).look()
    log.status(stable=arm(B, 100), canary=None, rollout=None)
    assert any("after it was aborted" in str(v) for v in log.check() if v.invariant == "I12")


def test_i12_promote_beats_a_pause() -> None:
    log = rolling().weigh(10).user(pause=short(B), promote=short(B)).wait(1).weigh(50)
    assert "raised bbbbbbbb from 10 to 50, 1.0 s after a pause of it" in log.told("I12")


def test_i12_a_rollout_starts_while_the_spec_is_paused() -> None:
    log = serving().user(asked(paused=True)).wait(1).look().status(canary=arm(B, 0))
    assert "started bbbbbbbb, 1.0 s after rollout.paused" in log.told("I12")


def test_i12_an_old_canary_goes_on_although_another_revision_is_asked_for() -> None:
    log = held().user(asked("models:/churn/3")).wait(1).look()
    target = {"uri": "models:/churn/3", "pinnedURI": "models:/churn/cccccccc"}
    log.status(target=target, canary=arm(B, 50))
    assert "1.0 s after the spec asked for another revision" in log.told("I12")


def test_i12_holds_while_the_new_model_is_being_looked_up() -> None:
    log = held().user(asked("models:/churn/3")).wait(1).weigh(50)
    assert log.check() == []


def test_i12_holds_when_another_revision_or_nothing_is_paused() -> None:
    assert held().user(pause=short(C)).wait(1).weigh(50).check() == []
    assert held().user(pause=short(B)).wait(1).user(other="x").wait(1).weigh(50).check() == []


# --- I15 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "new", "broken"), [(1, 2, True), (2, 2, False)])
def test_i15_an_older_epoch_writes_after_a_newer_one(old: int, new: int, broken: bool) -> None:
    log = serving()
    log.epoch = new
    log.look().status(message="new leader")
    log.actor, log.epoch = "operator-0", old
    log.wait(3).look().status(message="old leader")
    assert ("I15" in log.broken()) is broken
    if broken:
        assert "with epoch 1, 3.0 s after operator-1 wrote with epoch 2" in log.told("I15")
