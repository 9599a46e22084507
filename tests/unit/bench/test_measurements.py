"""Ratios pair the values of one round, also when a server missed some."""

from __future__ import annotations

from bench.measurements import RATE, Measurements


def test_only_rounds_that_both_took_part_in_are_compared() -> None:
    found = Measurements()
    for number, (ours, theirs) in enumerate([(100.0, 10.0), (200.0, None), (300.0, 100.0)]):
        found.add("single", RATE, "serinus", number, ours)
        if theirs is not None:
            found.add("single", RATE, "mlflow", number, theirs)
    assert found.ratio("single", RATE, "serinus", "mlflow") == 6.5
    assert found.ratio("single", RATE, "serinus", "bentoml") is None


def test_the_first_reason_for_a_gap_is_kept() -> None:
    found = Measurements()
    found.lacks("single", "mlflow", "does not start")
    found.lacks("single", "mlflow", "the load failed")
    assert found.missing == {("single", "mlflow"): "does not start"}
