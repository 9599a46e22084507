"""Each request counts once, whatever is missing, late or changed between two looks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.spec import Analysis
from serinus.api.status import RolloutStatus, Stage
from serinus.core.evidence import _written, alarm, key
from serinus.core.observed import NoData, QueryFailed, Series
from serinus.core.sequential import no_wealth

from .measured import Step, moment

BOUND = {"name": "errors", "type": "ErrorRate", "max": "0.01"}
SLOW = {"name": "latency", "type": "Latency", "max": "250ms", "quantile": "0.95"}
COMPARED = {"name": "versus", "type": "ErrorRate", "compareTo": "Stable", "margin": "0.005"}


def analysis(*metrics: dict, **fields) -> Analysis:
    return Analysis.model_validate({"minRequests": 100, "metrics": list(metrics), **fields})


def sums(step: Step) -> list[tuple[int, int, int, int]]:
    return [(e.total, e.bad, e.stable_total, e.stable_bad) for e in step.rollout.evidence]


def test_every_look_adds_what_came_since_the_last_one() -> None:
    step = Step(analysis(BOUND, SLOW, COMPARED))
    for at in (10, 20, 30):
        step.serve(at, (40, 1, 3), (60, 2, 0))
        step.look(at)
    assert sums(step) == [(120, 3, 0, 0), (120, 9, 0, 0), (120, 3, 180, 6)]
    assert (step.rollout.step_requests, step.rollout.step_stable_requests) == (120, 180)
    assert step.rollout.evidence_until == moment(30)


def test_looking_twice_at_the_same_samples_counts_them_once() -> None:
    step = Step(analysis(BOUND, COMPARED))
    step.serve(10, (40, 1), (60, 2))
    step.look(10)
    before = step.rollout
    step.look(20)  # nothing was scraped since
    assert replace_times(step.rollout) == replace_times(before)


def replace_times(rollout: RolloutStatus) -> RolloutStatus:
    return rollout.model_copy(update={"slot_checked_at": None})


@given(
    served=st.lists(
        st.tuples(st.floats(0.001, 9), st.integers(0, 60), st.integers(0, 60)),
        min_size=1,
        max_size=25,
    ),
    late=st.integers(0, 40),
    data=st.data(),
)
def test_no_request_is_ever_counted_twice_and_none_is_lost_that_was_there(
    served, late, data
) -> None:
    """Scrapes at any moment (with microseconds), looks at any of them, arms scraped at different times."""
    step = Step(analysis(BOUND, COMPARED, minRequests=1000))
    at = last = 0.0
    for gap, canary, stable in served:
        at += gap
        step.canary.serve(at, canary, canary // 2)
        step.stable.serve(at + data.draw(st.floats(0, 0.5)), stable)
        last = at + 0.6
        if data.draw(st.booleans()):
            step.look(last)
        at = last
    step.serve(
        last + 1, (1,), (1,)
    )  # so that nobody's last requests wait for some of the other arm
    step.look(last + 1 + late)
    counted = sums(step)[0]
    assert counted[:2] == (1 + sum(n for _, n, _ in served), sum(n // 2 for _, n, _ in served))


def test_a_sample_that_arrives_after_its_look_is_never_counted_twice() -> None:
    step = Step(analysis(BOUND))
    step.serve(5, (30,), (9,))
    step.look(10)
    step.canary.serve(9, 20)  # it was on its way
    step.serve(14, (10,), (9,))
    step.look(20)
    assert sums(step)[0][0] == 60  # newer than all that was counted: nothing is lost
    step.canary.serve(23, 10)
    step.stable.serve(24.5, 5)
    step.look(30)
    step.canary.serve(24, 20)  # older than what was counted of the other arm: lost
    step.serve(34, (10,), (5,))
    step.look(40)
    assert sums(step)[0][0] == 80


def test_a_new_step_begins_a_bounds_evidence_anew_and_goes_on_with_a_comparisons() -> None:
    step = Step(analysis(BOUND, COMPARED))
    step.serve(10, (40, 2), (60, 1))
    step.look(10)
    step.serve(25, (500, 400), (500, 0))  # while the weight is on its way
    step.next_step(25)
    step.look(26, canary=NoData("not yet"))
    assert sums(step) == [(0, 0, 0, 0), (40, 2, 60, 1)]
    assert (step.rollout.step_requests, step.rollout.step_stable_requests) == (0, 0)
    step.serve(35, (10, 1), (20, 0))
    step.look(35)
    assert sums(step) == [(10, 1, 0, 0), (50, 3, 80, 1)]
    assert (step.rollout.step_requests, step.rollout.step_stable_requests) == (10, 20)


CHANGES = {
    "another bound": {**BOUND, "max": "0.02"},
    "another name": {**BOUND, "name": "failures"},
    "compared now": {"name": "errors", "type": "ErrorRate", "compareTo": "Stable"},
}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES)
def test_a_metric_that_is_changed_in_mid_rollout_begins_anew_and_the_others_go_on(changed) -> None:
    step = Step(analysis(BOUND, COMPARED))
    step.serve(10, (40, 2), (60, 1))
    step.look(10)
    step.spec = analysis(COMPARED, changed)
    step.serve(20, (10, 1), (20, 0))
    step.look(20)
    assert sums(step)[0] == (50, 3, 80, 1)
    assert sums(step)[1][:2] == (10, 1)
    assert len(step.rollout.evidence) == 2  # what was removed is forgotten


DEFINITIONS = [
    BOUND, {**BOUND, "max": "0.02"}, COMPARED, {**COMPARED, "margin": "0.01"},
    {**COMPARED, "confidence": "0.95"}, SLOW, {**SLOW, "max": "100ms"}, {**SLOW, "quantile": "0.9"},
]  # fmt: skip


def test_no_two_definitions_share_their_evidence() -> None:
    keys = {key(analysis(d).metrics[0]) for d in DEFINITIONS}
    assert len(keys) == len(DEFINITIONS)


@pytest.mark.parametrize("silent", [NoData("none"), QueryFailed("gone"), ()])
def test_what_stable_could_not_tell_is_neither_compared_nor_held_against_the_router(silent) -> None:
    step = Step(analysis(BOUND, COMPARED))
    step.serve(10, (40, 2), (60, 1))
    step.look(10, stable=silent)
    step.serve(20, (10, 1), (20, 0))
    step.look(20)
    assert sums(step) == [(50, 3, 0, 0), (10, 1, 20, 0)]
    assert (step.rollout.step_requests, step.rollout.step_stable_requests) == (10, 20)


def test_what_is_no_count_is_no_evidence() -> None:
    step = Step(analysis(BOUND))
    step.serve(10, (40, 2), (60, 1))
    good = step.canary.series()
    bad = replace(good[1], points=((moment(5), float("nan")),))
    step.look(10, canary=(*good, bad))
    assert sums(step) == [(0, 0, 0, 0)]


def test_a_latency_without_its_bucket_gets_no_evidence() -> None:
    step = Step(analysis(SLOW))
    step.serve(10, (40, 0, 40), (60,))
    without = tuple(s for s in step.canary.series() if s.labels.get("le") != "0.25")
    step.look(10, canary=without)
    assert sums(step) == [(0, 0, 0, 0)]


def by_turns(step: Step, bad: int, looks: int) -> list[str]:
    """Pods scraped every 30 s, the arms by turns, looked at every 10 s; what the tests were certain of."""
    told = []
    for second in range(10, 10 * looks + 1, 10):
        if second % 30 == 10:
            step.canary.serve(second - 1, 30, bad)
        if second % 30 == 20:
            step.stable.serve(second - 1, 570, 0)
        told.append(step.look(second).sequential)
    return told


def test_arms_that_are_scraped_by_turns_are_compared_all_the_same() -> None:
    step = Step(analysis(COMPARED), weight=5)
    told = by_turns(step, bad=3, looks=60)
    assert any(told)
    good = Step(analysis(COMPARED), weight=5)
    assert not any(by_turns(good, bad=0, looks=60))
    assert sums(good) == [(20 * 30, 0, 20 * 570, 0)]
    assert (good.rollout.step_requests, good.rollout.step_stable_requests) == (600, 20 * 570)


def test_a_bound_waits_for_nobody() -> None:
    step = Step(analysis(BOUND, COMPARED))
    step.canary.serve(9, 40, 20)
    judged = step.look(10)
    assert "20 of 40" in judged.sequential
    assert sums(step) == [(0, 0, 0, 0), (0, 0, 0, 0)]


def test_requests_that_wait_for_the_other_arm_are_kept_after_a_minute_and_counted_once() -> None:
    step = Step(analysis(BOUND), weight=100)
    for at in range(10, 100, 10):
        step.canary.serve(at, 10, 0)
        step.stable.serve(at, 0)
        step.look(at)
        kept = sums(step)[0][0]
        assert kept == (0 if at < 70 else 70)
        assert at < 70 or step.rollout.evidence_until == moment(70)


def test_while_the_weight_is_on_its_way_the_split_is_not_counted() -> None:
    step = Step(analysis(BOUND))
    step.rollout = step.rollout.model_copy(update={"stage": Stage.SHIFTING})
    step.serve(10, (40, 2), (60, 1))
    step.look(10)
    assert sums(step) == [(40, 2, 0, 0)]
    assert (step.rollout.step_requests, step.rollout.step_stable_requests) == (0, 0)


def test_samples_that_reach_less_far_back_than_the_evidence_lose_requests_and_repeat_none() -> None:
    step = Step(analysis(BOUND))
    step.serve(10, (40, 2), (60, 1))
    step.look(10)
    step.canary.serve(20, 50)
    step.serve(30, (7,), (9,))
    reach = tuple(
        Series(s.name, s.labels, tuple(p for p in s.points if p[0] >= moment(15)))
        for s in step.canary.series()
    )
    step.look(30, canary=reach)
    assert sums(step) == [(47, 2, 0, 0)]


@pytest.mark.parametrize("wealth", [("x",) * 7, ("1.0",), ("nan",) * 7, ("inf",) * 7])
def test_wealth_that_we_did_not_write_begins_anew(wealth) -> None:
    step = Step(analysis(COMPARED))
    step.serve(10, (40, 2), (60, 1))
    step.look(10)
    (old,) = step.rollout.evidence
    spoilt = old.model_copy(update={"wealth": wealth})
    assert alarm(step.spec.metrics[0], spoilt) == ""
    step.rollout = step.rollout.model_copy(update={"evidence": (spoilt,)})
    step.serve(20, (10, 1), (20, 0))
    step.look(20)
    assert sums(step) == [(10, 1, 20, 0)]
    assert len(step.rollout.evidence[0].wealth) == len(no_wealth())


def test_wealth_is_rounded_down() -> None:
    assert _written((1.23456789, -1.23456789)) == ("1.234567", "-1.234568")


def test_certainties_at_their_ends_mean_what_they_say() -> None:
    step = Step(
        analysis({**COMPARED, "confidence": "1"}, {**COMPARED, "name": "v", "confidence": "0"})
    )
    certain, loose = step.spec.metrics
    step.look(10)
    assert alarm(loose, step.rollout.evidence[1]) == ""  # nothing was seen
    step.serve(20, (1000, 1000), (1000, 0))
    step.look(20)
    assert alarm(certain, step.rollout.evidence[0]) == ""
    assert alarm(loose, step.rollout.evidence[1]) != ""


def test_the_status_keeps_milliseconds_and_no_sample_counts_again_for_that() -> None:
    step = Step(analysis(BOUND))
    step.serve(9.1234567, (40,), (40,))
    step.look(10)
    assert step.rollout.evidence_until == moment(9.124)
    step.look(20)
    assert sums(step) == [(40, 0, 0, 0)]
