"""I13: the status is at most 32 KiB, also when everything in it is as long as it can get."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError
from world import SPEC, START, World, ended

from serinus.api.server import EnvVar
from serinus.api.status import (
    MAX_DRIFTS,
    MAX_HISTORY,
    MAX_VERDICTS,
    Drift,
    Failed,
    HistoryEntry,
    MetricReading,
    ModelDeploymentStatus,
    Outcome,
    SlotVerdict,
    Verdict,
)
from serinus.core.revision import short

LIMIT = 32 * 1024
TEXT = "x" * 512


def metrics(number: int) -> list[dict]:
    """Comparisons keep the most evidence."""
    return [
        {"name": f"{i:02}" + "m" * 61, "type": "Latency", "max": "250ms", "compareTo": "Stable",
         "margin": "0.123456789", "confidence": "0.999999999"}
        for i in range(number)
    ]  # fmt: skip


def large_spec() -> dict:
    return {
        **SPEC,
        "traffic": {"hostnames": [f"{i:02}." + "h" * 60 + ".example.com" for i in range(16)]},
        "rollout": {
            **SPEC["rollout"],
            "steps": [{"weight": w, "hold": "30s"} for w in range(5, 105, 5)],
            "onBreach": "Pause",
            "retryToken": "t" * 63,
        },
        "analysis": {**SPEC["analysis"], "metrics": metrics(16)},
    }


def verdict(index: int) -> SlotVerdict:
    readings = tuple(
        MetricReading(
            name=metric["name"],
            verdict=Verdict.HEALTHY,
            canary="0.0000",
            stable="0.0000",
            limit="stable + 0.123456789",
            display="d" * 200,
        )
        for metric in metrics(16)
    )
    return SlotVerdict(
        at=START + timedelta(milliseconds=index),
        step=19,
        weight=95,
        verdict=Verdict.HEALTHY,
        message=TEXT,
        canary_requests=10**9,
        stable_requests=10**9,
        metrics=readings,
    )


def filled(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    """A status in the middle of a rollout, with its lists full and its texts long."""
    verdicts = tuple(verdict(i) for i in range(MAX_VERDICTS))
    past = {"model_uri": status.stable.model_uri, "resolved_version": "123"}
    entry = HistoryEntry(
        revision=status.stable.revision,
        outcome=Outcome.ROLLED_BACK,
        message=TEXT,
        started_at=START,
        finished_at=START,
        **past,
    )
    failed = Failed(
        revision="v1:" + "0" * 64,
        reason="ProgressDeadlineExceeded",
        message=TEXT,
        at=START,
        first_breach_at=START,
        weight_zero_at=START,
        verdicts=verdicts,
        retry_token="t" * 63,
        **past,
    )
    # Not so many of the last ten minutes that the rollout stops for it.
    times = tuple(START - timedelta(minutes=20 - i * 20 / MAX_DRIFTS) for i in range(MAX_DRIFTS))
    drift = Drift(at=times, next_at=START)
    return status.model_copy(
        update={
            "rollout": status.rollout.model_copy(update={"verdicts": verdicts}),
            "history": (entry,) * MAX_HISTORY,
            "failed": failed,
            "drift": drift,
        }
    )


def in_the_first_hold(world: World) -> World:
    world.serving()
    world.model("2")
    return world.run(lambda w: w.status.rollout is not None and w.status.rollout.healthy_slots == 1)


def stored_size(world: World) -> int:
    """Bytes of the status as the API server keeps it."""
    return len(world.status.model_dump_json(by_alias=True, exclude_none=True).encode())


def fits(world: World) -> bool:
    world.look()
    return stored_size(world) <= LIMIT


def test_the_largest_status_of_twenty_steps_and_sixteen_metrics_fits_and_the_rollout_goes_on() -> (
    None
):
    world = in_the_first_hold(World(spec=large_spec()))
    world.status = filled(world.status)
    assert stored_size(world) > LIMIT
    rollout, canary = world.status.rollout, short(world.status.canary.revision)
    assert fits(world)
    kept = world.status.rollout
    assert (kept.stage, kept.step, kept.evidence) == (rollout.stage, rollout.step, rollout.evidence)
    assert short(world.status.canary.revision) == canary
    for _ in range(100):
        world.pass_time()
        assert fits(world)
    world.run(ended, limit=2000)
    assert world.status.stable.resolved_version == "2"


def with_environment(letter: str) -> World:
    env = [{"name": f"MODEL_{i:02}" + "N" * 56, "value": letter * 128} for i in range(16)]
    world = in_the_first_hold(World(spec={**large_spec(), "server": {"replicas": 2, "env": env}}))
    world.status = filled(world.status)
    return world


def test_the_environment_of_both_revisions_fits_as_well() -> None:
    assert fits(with_environment("e"))


def test_letters_of_more_than_one_byte_are_refused_in_an_environment() -> None:
    with pytest.raises(ValidationError, match="pattern"):
        EnvVar(name="MODEL_X", value="\N{HIRAGANA LETTER A}")
