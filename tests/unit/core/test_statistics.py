"""The binomial test against SciPy, and what it promises: few false alarms, no missed disasters."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from serinus.core.statistics import SLOT_ALPHA, binomial_tail, breaks_bound


@given(
    total=st.integers(1, 5000),
    share=st.floats(0.0005, 0.999),
    at=st.floats(0, 1),
)
def test_the_tail_agrees_with_scipy(total: int, share: float, at: float) -> None:
    count = round(at * total)
    want = stats.binom.sf(count - 1, total, share)
    assert binomial_tail(count, total, share) == pytest.approx(want, rel=1e-7, abs=1e-12)


def test_the_edges() -> None:
    assert binomial_tail(0, 10, 0.5) == 1.0
    assert binomial_tail(1, 10, 0.0) == 0.0
    assert binomial_tail(10, 10, 1.0) == 1.0


@pytest.mark.parametrize("total", [30, 100, 1000])
def test_a_canary_exactly_at_its_bound_breaches_by_chance_at_most_once_in_a_hundred(
    total: int,
) -> None:
    worst = sum(
        stats.binom.pmf(k, total, 0.01) for k in range(total + 1) if breaks_bound(k, total, 0.01)
    )
    assert worst <= SLOT_ALPHA


@pytest.mark.parametrize(("total", "bad"), [(76, 0.10), (234, 0.05), (2258, 0.02)])
def test_a_bad_canary_is_found_with_the_published_sample_sizes(total: int, bad: float) -> None:
    rng = random.Random(7)  # noqa: S311
    found = sum(
        breaks_bound(sum(rng.random() < bad for _ in range(total)), total, 0.01) for _ in range(400)
    )
    assert found / 400 > 0.9


def test_the_raw_ratio_alone_is_no_breach() -> None:
    assert not breaks_bound(1, 30, 0.01)
