"""What the benchmark's table is calculated with."""

from __future__ import annotations

import pytest
from bench.arithmetic import Spread, paired_ratio, percentile, spread


def test_a_spread_has_the_median_and_the_extremes_in_any_order() -> None:
    assert spread([5.0, 1.0, 3.0]) == Spread(median=3.0, low=1.0, high=5.0)


def test_the_median_of_an_even_number_of_rounds_is_between_the_middle_ones() -> None:
    assert spread([1.0, 2.0, 4.0, 100.0]).median == 3.0


@pytest.mark.parametrize(
    ("share", "value"), [(0.5, 50.0), (0.99, 99.0), (0.991, 100.0), (1.0, 100.0), (0.001, 1.0)]
)
def test_a_percentile_is_the_smallest_value_that_the_share_does_not_exceed(
    share: float, value: float
) -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], share) == value


def test_every_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 0.01) == percentile([7.0], 0.99) == 7.0


def test_ratios_are_taken_within_a_round_so_that_a_slow_round_does_not_count() -> None:
    # The machine was ten times slower in the second round, for both. Medians of each side
    # (200 and 90) would say 2.2.
    assert paired_ratio([200.0, 18.0, 220.0], [100.0, 9.0, 90.0]) == 2.0


def test_what_has_no_value_is_an_error() -> None:
    for calculate in (spread, lambda values: percentile(values, 0.5)):
        with pytest.raises(ValueError, match="no values"):
            calculate([])
    with pytest.raises(ValueError, match="share"):
        percentile([1.0], 0.0)
    with pytest.raises(ValueError, match="zip"):
        paired_ratio([1.0, 2.0], [1.0])
