"""Verdicts: what is Healthy, what is a Breach, and what is too little to say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.spec import Analysis
from serinus.api.status import Stage, Verdict
from serinus.core.observed import NoData, QueryFailed

from .measured import Step

BOUND = {"name": "errors", "type": "ErrorRate", "max": "0.01"}
SLOW = {"name": "latency", "type": "Latency", "max": "250ms", "quantile": "0.95"}
COMPARED = {"name": "versus", "type": "ErrorRate", "compareTo": "Stable", "margin": "0.005"}
COMPARED_SLOW = {"name": "slower", "type": "Latency", "compareTo": "Stable", "max": "250ms"}
GONE = QueryFailed("connection refused")


def analysis(*metrics: dict, **fields) -> Analysis:
    return Analysis.model_validate({"minRequests": 100, "metrics": list(metrics), **fields})


def test_a_good_slot_is_healthy_and_closes() -> None:
    step = Step(analysis(BOUND, SLOW, COMPARED))
    step.serve(10, (500, 2, 5), (500, 2, 5))
    judged = step.look(10)
    assert (judged.verdict.verdict, judged.closes, judged.guard) == (Verdict.HEALTHY, True, False)
    assert judged.sequential == ""
    assert (judged.verdict.canary_requests, judged.verdict.stable_requests) == (500, 500)


# --- sequential tests


def test_a_step_that_is_certainly_bad_breaches_while_its_slot_is_still_open() -> None:
    step = Step(analysis(BOUND, minRequests=1000))
    step.serve(10, (40, 8), (40, 0))
    judged = step.look(10)
    assert judged.verdict.verdict is Verdict.BREACH
    assert judged.closes
    assert not judged.guard
    assert judged.sequential == (
        "errors: 8 of 40 (20 %) of this step's requests failed, "
        "more than the limit of 1 % with a certainty of 99.9 %"
    )
    assert judged.verdict.message == judged.sequential
    assert [(r.name, r.verdict) for r in judged.verdict.metrics] == [("errors", Verdict.BREACH)]


def test_slots_that_are_each_in_doubt_are_certain_together() -> None:
    step = Step(analysis(BOUND))
    verdicts, sequential = [], ""
    for at in range(10, 200, 10):
        step.serve(at, (100, 3), (100, 0))
        judged = step.look(at)
        verdicts.append(judged.verdict.verdict)
        sequential = judged.sequential
        if sequential:
            break
    assert verdicts[:-1] == [Verdict.HEALTHY] * (len(verdicts) - 1)
    assert verdicts[-1] is Verdict.BREACH
    assert len(verdicts) > 3
    assert "of this step's requests failed" in sequential


def test_too_slow_requests_are_tested_like_failed_ones() -> None:
    step = Step(analysis(SLOW, minRequests=1000))
    step.serve(10, (60, 0, 30), (60, 0, 0))
    judged = step.look(10)
    assert "30 of 60 (50 %) of this step's requests took longer than 250ms" in judged.sequential
    assert "limit of 5 %" in judged.sequential


def test_a_disaster_is_the_guards_and_the_sequential_test_agrees() -> None:
    step = Step(analysis(BOUND))
    step.serve(10, (100, 90), (100, 0))
    judged = step.look(10)
    assert judged.guard
    assert judged.verdict.message == "90 of 100 requests failed"
    assert judged.sequential


def test_a_canary_worse_than_stable_breaches_and_one_as_bad_as_stable_does_not() -> None:
    for canary, stable, worse in ((50, 10, True), (50, 50, False)):
        step = Step(analysis(COMPARED))
        judged = None
        for at in (10, 20, 30):
            step.serve(at, (1000, canary), (1000, stable))
            judged = step.look(at)
            if judged.sequential:
                break
        assert judged is not None
        assert bool(judged.sequential) == worse
        assert judged.verdict.verdict is (Verdict.BREACH if worse else Verdict.HEALTHY)
        if worse:
            assert "above stable with a certainty of 99 %" in judged.sequential


def test_a_comparison_reads_for_people() -> None:
    step = Step(analysis(COMPARED, COMPARED_SLOW))
    step.serve(10, (1000, 4, 20), (1000, 2, 20))
    errors, slow = step.look(10).verdict.metrics
    assert (errors.canary, errors.stable, errors.limit) == ("0.0040", "0.0020", "stable + 0.005")
    assert errors.display == "versus: 0.4 % (stable 0.2 %, limit stable + 0.5 points)"
    assert slow.display == "slower: 2 % slower than 250ms (stable 2 %, limit stable + 0.5 points)"


# --- a comparison needs both arms


@pytest.mark.parametrize("silent", [NoData("none"), GONE, ()], ids=["no data", "gone", "no series"])
def test_without_stables_numbers_a_comparison_is_insufficient_and_the_slot_stays_open(
    silent,
) -> None:
    step = Step(analysis(BOUND, COMPARED))
    step.serve(10, (500, 2), (500, 2))
    judged = step.look(10, stable=silent)
    assert judged.verdict.verdict is Verdict.INSUFFICIENT
    assert not judged.closes
    assert [r.verdict for r in judged.verdict.metrics] == [Verdict.HEALTHY, Verdict.INSUFFICIENT]
    assert "versus" in judged.verdict.message


def test_without_stables_numbers_a_bound_is_judged_all_the_same() -> None:
    step = Step(analysis(BOUND))
    step.serve(10, (500, 2), (500, 2))
    assert step.look(10, stable=GONE).verdict.verdict is Verdict.HEALTHY


def test_a_stable_that_answers_nothing_is_nothing_to_compare_with() -> None:
    step = Step(analysis(COMPARED), weight=90)
    step.serve(10, (150, 0), (0, 0))
    assert step.look(10).verdict.verdict is Verdict.INSUFFICIENT


def test_few_requests_of_stable_are_waited_for() -> None:
    step = Step(analysis(COMPARED), weight=80)
    verdicts = []
    for at in (10, 20):
        step.serve(at, (240, 0), (60, 0))
        verdicts.append(step.look(at).verdict.verdict)
    assert verdicts == [Verdict.INSUFFICIENT, Verdict.HEALTHY]


def test_at_weight_100_stable_gets_nothing_by_design_and_blocks_nothing() -> None:
    step = Step(analysis(COMPARED), weight=100)
    step.serve(10, (500, 2), (0, 0))
    judged = step.look(10)
    assert judged.verdict.verdict is Verdict.HEALTHY
    assert "stable gets no requests at this weight" in judged.verdict.message


# --- the split


def test_a_router_that_does_not_split_as_asked_keeps_a_good_slot_open() -> None:
    step = Step(analysis(BOUND), weight=5)
    step.serve(10, (310, 0), (690, 0))
    judged = step.look(10)
    assert judged.verdict.verdict is Verdict.INSUFFICIENT
    assert not judged.closes
    assert judged.verdict.message.startswith("the canary got 31 % of 1000 requests instead of 5 %")
    step.serve(20, (300, 0), (11_300, 0))  # mended, and the whole of the step is as asked again
    assert step.look(20).verdict.verdict is Verdict.HEALTHY


def test_a_bad_slot_is_a_breach_however_the_router_splits() -> None:
    step = Step(analysis(BOUND), weight=5)
    step.serve(10, (310, 9), (690, 0))
    assert step.look(10).verdict.verdict is Verdict.BREACH


def test_while_the_weight_is_on_its_way_the_split_is_not_judged() -> None:
    step = Step(analysis(BOUND), weight=50)
    step.serve(10, (500, 0), (500, 0))
    step.look(10)
    step.weight = 100
    step.rollout = step.rollout.model_copy(update={"stage": Stage.SHIFTING})
    step.serve(20, (500, 0), (500, 0))
    assert step.look(20).verdict.verdict is Verdict.HEALTHY


# --- freshness


def test_samples_that_stopped_are_insufficient_however_good_they_were() -> None:
    step = Step(analysis(BOUND))
    step.serve(10, (500, 0), (500, 0))
    judged = step.look(71)
    assert judged.verdict.verdict is Verdict.INSUFFICIENT
    assert judged.verdict.message == "the latest sample is 61 s old"
    assert not judged.closes
    assert step.rollout.evidence_until is None
    assert step.look(70).verdict.verdict is Verdict.HEALTHY


def test_a_long_interval_allows_samples_as_old_as_two_of_it() -> None:
    step = Step(analysis(BOUND, interval="1m"))
    step.serve(10, (500, 0), (500, 0))
    assert step.look(130).verdict.verdict is Verdict.HEALTHY
    step.serve(131, (500, 0), (500, 0))
    assert step.look(252).verdict.verdict is Verdict.INSUFFICIENT


def test_stale_samples_of_stable_are_no_comparison() -> None:
    step = Step(analysis(COMPARED))
    step.serve(10, (500, 0), (500, 0))
    step.look(10)
    step.canary.serve(80, 500)
    judged = step.look(80)
    assert judged.verdict.verdict is Verdict.INSUFFICIENT
    assert judged.verdict.stable_requests == 0


# --- the second source


def backup(step: Step):
    return step.canary.series(), step.stable.series()


def test_the_pods_own_numbers_are_judged_only_when_asked_for() -> None:
    step = Step(analysis(BOUND))
    step.serve(10, (500, 15), (500, 0))
    judged = step.look(10, canary=GONE, stable=GONE, backup=backup(step))
    assert judged.verdict.verdict is Verdict.UNAVAILABLE
    assert judged.verdict.message == "the metrics cannot be read: connection refused"
    judged = step.look(10, canary=GONE, stable=GONE, backup=backup(step), use_backup=True)
    assert judged.verdict.verdict is Verdict.BREACH
    assert judged.verdict.message.startswith("scraped from the pods: errors: 3 %")


def test_when_the_pods_do_not_answer_either_the_source_is_unavailable() -> None:
    step = Step(analysis(BOUND))
    told = (QueryFailed("no pod"), QueryFailed("no pod"))
    judged = step.look(10, canary=GONE, stable=GONE, backup=told, use_backup=True)
    assert judged.verdict.verdict is Verdict.UNAVAILABLE
    assert "no pod" in judged.verdict.message
    judged = step.look(10, canary=GONE, stable=GONE, use_backup=True)
    assert judged.verdict.verdict is Verdict.UNAVAILABLE


def test_while_the_first_source_answers_the_pods_are_not_asked() -> None:
    step = Step(analysis(BOUND))
    step.serve(10, (500, 0), (500, 0))
    judged = step.look(10, backup=(GONE, GONE), use_backup=True)
    assert judged.verdict.verdict is Verdict.HEALTHY


def test_two_sources_never_count_the_same_requests() -> None:
    step = Step(analysis(BOUND, COMPARED))
    step.serve(10, (500, 2), (500, 2))
    step.look(10)
    before = step.rollout.evidence
    step.serve(20, (500, 2), (500, 2))
    judged = step.look(20, canary=GONE, stable=GONE, backup=backup(step), use_backup=True)
    assert judged.verdict.verdict is Verdict.HEALTHY
    assert step.rollout.evidence == before
    step.look(30)  # the first source is back, and tells of the time between too
    assert [e.total for e in step.rollout.evidence] == [1000, 1000]


def test_by_the_pods_own_numbers_a_comparison_is_judged_slot_by_slot() -> None:
    for bad, want in ((100, Verdict.BREACH), (2, Verdict.HEALTHY)):
        step = Step(analysis(COMPARED))
        step.serve(10, (500, 2), (500, 2))
        step.look(10)
        step.serve(20, (500, bad), (500, 2))
        judged = step.look(20, canary=GONE, stable=GONE, backup=backup(step), use_backup=True)
        assert judged.verdict.verdict is want
        assert judged.sequential == ""


# --- properties


looks = st.lists(
    st.tuples(
        st.integers(0, 300), st.floats(0, 1), st.integers(0, 300), st.floats(0, 1),
        st.sampled_from(["fine", "no data", "gone", "backup", "stable gone", "no scrape"]),
    ),
    min_size=1,
    max_size=12,
)  # fmt: skip


@given(looks=looks, weight=st.sampled_from([1, 50, 100]))
def test_whatever_is_counted_only_good_fresh_evidence_is_healthy(looks, weight) -> None:
    step = Step(analysis(BOUND, SLOW, COMPARED), weight=weight)
    at = 0.0
    for n, share, m, other, kind in looks:
        at += 10
        if kind != "no scrape":
            step.serve(at, (n, int(n * share), int(n * share)), (m, int(m * other)))
        gone = {"canary": GONE, "stable": GONE, "backup": backup(step), "use_backup": True}
        how = {
            "no data": {"canary": NoData("none")},
            "gone": {"canary": GONE},
            "backup": gone,
            "stable gone": {"stable": GONE},
        }.get(kind, {})
        judged = step.look(at, **how)
        verdict = judged.verdict
        assert judged.closes == (verdict.verdict in {Verdict.HEALTHY, Verdict.BREACH})
        assert len(verdict.message) <= 512
        if judged.sequential or judged.guard:
            assert verdict.verdict is Verdict.BREACH
        if verdict.verdict is Verdict.HEALTHY:
            assert verdict.canary_requests >= 100
            assert len(verdict.metrics) == 3
            assert {r.verdict for r in verdict.metrics} == {Verdict.HEALTHY}
            assert weight == 100 or kind != "stable gone"
            assert kind not in {"no data", "gone"}
