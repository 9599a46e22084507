"""The simulation behind the table of the verdicts' operating characteristics."""

from __future__ import annotations

import numpy as np
import pytest
from bench.verdicts import INTERVAL, Slots, bound, comparison, summary


def test_three_breached_slots_in_a_row_fail_and_a_healthy_one_resets_them() -> None:
    slots = Slots()
    assert [slots.look(100, bad) for bad in (9, 9, 0, 9, 9)] == [True, True, False, True, True]
    assert not slots.failed
    slots.look(100, 9)
    assert slots.failed


def test_six_breached_slots_of_one_step_fail() -> None:
    slots = Slots()
    for bad in (9, 9, 0, 9, 9, 0, 9):
        slots.look(100, bad)
        assert not slots.failed
    slots.look(100, 9)
    assert slots.failed


def test_a_slot_stays_open_until_it_has_its_requests() -> None:
    slots = Slots()
    assert not slots.look(60, 30)
    assert slots.look(40, 0)


@pytest.mark.parametrize("sequential", [False, True])
def test_a_broken_canary_is_taken_back_and_a_perfect_one_is_not(sequential) -> None:
    rng = np.random.default_rng(1)
    end = bound(rng, 1000, 0.5, sequential=sequential)
    assert end == (INTERVAL if sequential else 3 * INTERVAL)
    assert bound(rng, 100, 0.0, sequential=sequential) is None


def test_a_canary_worse_than_stable_is_taken_back_and_one_as_good_is_not() -> None:
    rng = np.random.default_rng(1)
    assert comparison(rng, 1000, 0.5, 0.01) == INTERVAL
    assert comparison(rng, 100, 0.01, 0.01) is None


def test_a_summary_tells_how_many_and_when() -> None:
    assert summary([None, None]) == "0 of 2"
    assert summary([None, 10.0, 20.0, 90.0]) == "75 %, 20 s (90 s)"
