"""A bar is passed only by what was measured, against every server that was asked for."""

from __future__ import annotations

import pytest
from bench.bars import BARS, MODEL_SERVERS, judge
from bench.cases import CASES
from bench.measurements import (
    CPU,
    LONE_P50,
    MEMORY,
    RATE,
    Measurements,
    Metric,
)
from bench.peers.catalog import LIMIT, OURS, PEERS, SNIPPET

EVERY_TARGET = {target for peer in PEERS.values() for target in (peer.name, *peer.dialects)}


def _found(case: str, metric: Metric, **values: float) -> Measurements:
    """One round; names have ``_`` where targets have ``-``."""
    found = Measurements()
    for name, value in values.items():
        found.add(case, metric, name.replace("_", "-"), 0, value)
    return found


def test_a_rate_passes_from_its_ratio_on() -> None:
    for snippet, state in ((250.0, "pass"), (251.0, "fail")):
        found = _found("single", RATE, serinus=1000, snippet=snippet)
        (verdict,) = judge(found, ["single"], [SNIPPET])[:1]
        assert (verdict.state, verdict.against) == (state, SNIPPET)
        assert verdict.ratio == pytest.approx(1000 / snippet)


def test_what_should_be_small_passes_only_below_its_ratio() -> None:
    for ours, state in ((0.59, "pass"), (0.60, "fail")):
        found = _found("single", LONE_P50, serinus=ours, snippet=1.0)
        (verdict,) = [v for v in judge(found, ["single"], [SNIPPET]) if v.bar.metric == LONE_P50]
        assert verdict.state == state


def test_the_best_peer_decides_whatever_the_others_do() -> None:
    others = {name.replace("-", "_"): 10.0 for name in MODEL_SERVERS}
    found = _found("single", RATE, serinus=1000, **{**others, "kserve_v1": 126.0})
    (verdict,) = judge(found, ["single"], MODEL_SERVERS)[:1]
    assert (verdict.state, verdict.against) == ("fail", "kserve-v1")


def test_the_smallest_peer_decides_where_less_is_better() -> None:
    found = _found(
        "start", MEMORY, serinus=270, mlflow=500, snippet_mlflow=265, mlserver_mlflow=290
    )
    (verdict,) = [v for v in judge(found, ["start"], EVERY_TARGET) if v.bar.metric == MEMORY]
    assert (verdict.state, verdict.against) == ("fail", "snippet-mlflow")


def test_a_peer_that_was_asked_for_and_not_measured_keeps_a_bar_from_passing() -> None:
    found = _found("single", RATE, serinus=1000, mlflow=1)
    (verdict,) = judge(found, ["single"], ["mlflow", "bentoml"])[:1]
    assert verdict.state == "not judged"
    assert verdict.missing == ["bentoml"]


def test_a_bar_that_is_missed_stays_missed_when_peers_are_missing() -> None:
    found = _found("single", RATE, serinus=1000, mlflow=900)
    (verdict,) = judge(found, ["single"], ["mlflow", "bentoml"])[:1]
    assert verdict.state == "fail"


def test_peers_that_nobody_asked_for_are_told_and_do_not_count() -> None:
    found = _found("single", RATE, serinus=1000, mlflow=1)
    (verdict,) = judge(found, ["single"], ["mlflow"])[:1]
    assert verdict.state == "pass"
    assert "kserve-v1" in verdict.left_out


def test_without_an_answer_of_ours_nothing_passes() -> None:
    found = _found("single", RATE, snippet=1, raw=1)
    verdicts = judge(found, ["single"], [SNIPPET, LIMIT])
    assert {verdict.state for verdict in verdicts} == {"not judged"}


def test_the_ratio_by_cpu_time_is_theirs_to_ours() -> None:
    found = _found("single", RATE, serinus=1000, snippet=100)
    found.add("single", CPU, OURS, 0, 50.0)
    found.add("single", CPU, SNIPPET, 0, 350.0)
    (verdict,) = judge(found, ["single"], [SNIPPET])[:1]
    assert verdict.by_cpu == 7.0


def test_every_bar_is_over_what_its_case_measures() -> None:
    for bar in BARS:
        case = CASES[bar.case]
        assert bar.metric in (*case.metrics, case.compared)
        targets = {name for peer in case.peers for name in (peer, *PEERS[peer].dialects)}
        assert set(bar.over) <= targets
