"""The anytime-valid tests keep their promise: few false alarms whenever one stops, and no missed disaster."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import accumulate
from math import exp, inf, isfinite, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from serinus.core.sequential import (
    BETS,
    Arms,
    _nearest,
    bound_wealth,
    compare,
    exceeds_bound,
    mean_wealth,
    no_wealth,
)

counts = st.integers(-5, 10**7)


# --- a bound


@given(bad=counts, total=counts, bound=st.floats(-1, 2))
def test_no_counts_and_no_bound_make_the_test_of_a_bound_fail(bad, total, bound) -> None:
    wealth = bound_wealth(bad, total, bound)
    assert wealth == inf or isfinite(wealth)


@given(total=st.integers(1, 5000), bad=st.integers(0, 4999), bound=st.floats(0.0001, 0.9999))
def test_one_more_bad_request_never_makes_the_evidence_weaker(total, bad, bound) -> None:
    bad = min(bad, total - 1)
    assert bound_wealth(bad + 1, total, bound) >= bound_wealth(bad, total, bound)


def test_a_bound_of_zero_is_broken_by_one_request_and_a_bound_of_one_by_none() -> None:
    assert exceeds_bound(1, 10**6, 0.0)
    assert not exceeds_bound(0, 10**6, 0.0)
    assert not exceeds_bound(10**6, 10**6, 1.0)


def _false_alarms(share: Callable[[int], float], test: Callable[[int, int], bool]) -> float:
    """Share of 2000 runs of 3000 requests, looked at after every 60, in which a test ever alarms."""
    rng = np.random.default_rng(20)
    looks = np.column_stack([rng.binomial(60, share(i), size=2000) for i in range(50)])
    told = cache(test)
    alarms = 0
    for run in looks.tolist():
        alarms += any(told(bad, 60 * (i + 1)) for i, bad in enumerate(accumulate(run)))
    return alarms / 2000


@pytest.mark.parametrize(
    "share",
    [lambda _: 0.01, lambda i: 0.02 * (i % 2) / 2, lambda i: 0.0002 * i],
    ids=["at the bound", "up and down to the bound", "rising to the bound"],
)
def test_a_canary_at_its_bound_is_stopped_by_chance_no_more_often_than_said(share) -> None:
    assert _false_alarms(share, lambda bad, n: exceeds_bound(bad, n, 0.01, alpha=0.05)) <= 0.05
    assert _false_alarms(share, lambda bad, n: exceeds_bound(bad, n, 0.01)) <= 0.003


def test_looking_again_and_again_with_the_test_of_one_slot_would_alarm_far_too_often() -> None:
    """The harness above can see a test that is not made for many looks."""

    def naive(bad: int, total: int) -> bool:
        return (bad / total - 0.01) / sqrt(0.01 * 0.99 / total) > 1.645

    assert _false_alarms(lambda _: 0.01, naive) > 0.2


@pytest.mark.parametrize(("share", "requests"), [(0.02, 5000), (0.05, 500), (0.2, 60), (1.0, 4)])
def test_a_canary_above_its_bound_is_found_within_so_many_requests(share, requests) -> None:
    rng = np.random.default_rng(3)
    found = [exceeds_bound(int(rng.binomial(requests, share)), requests, 0.01) for _ in range(400)]
    assert np.mean(found) >= 0.9


# --- a comparison


def _play(
    look: Callable[[int], tuple[int, int, float, float]],
    margin: float,
    looks: int,
    seed: int,
    runs: int,
) -> list[list[tuple[float, Arms]]]:
    """Per run and look: the logarithm of the wealth, and the sums of both arms."""
    rng = np.random.default_rng(seed)
    played = []
    for _ in range(runs):
        wealth, sums, run = no_wealth(), Arms(), []
        for i in range(looks):
            total, stable_total, share, stable = look(i)
            new = Arms(
                total,
                int(rng.binomial(total, share)),
                stable_total,
                int(rng.binomial(stable_total, stable)),
            )
            wealth = compare(wealth, sums, new, margin)
            sums = _sum(sums, new)
            run.append((mean_wealth(wealth), sums))
        played.append(run)
    return played


def _sum(a: Arms, b: Arms) -> Arms:
    return Arms(
        a.total + b.total,
        a.bad + b.bad,
        a.stable_total + b.stable_total,
        a.stable_bad + b.stable_bad,
    )


# look -> requests of canary and stable, their true shares; and the margin. All on the null's boundary.
NULLS = {
    "five percent of the traffic": (lambda _: (50, 950, 0.015, 0.01), 0.005),
    "most of the traffic, no margin": (lambda _: (190, 10, 0.05, 0.05), 0.0),
    "hardly any errors": (lambda _: (500, 9500, 0.0002, 0.0002), 0.0),
    "a base rate that rises as the canary's weight does": (
        lambda i: (20 + 20 * i, 400 - 20 * i, 0.005 + 0.02 * i, 0.02 * i), 0.005,
    ),
    "an incident of both arms": (
        lambda i: (50, 150, 0.405 if i % 5 == 3 else 0.015, 0.4 if i % 5 == 3 else 0.01), 0.005,
    ),
    "two requests per look": (lambda _: (2, 38, 0.205, 0.2), 0.005),
}  # fmt: skip


@pytest.mark.parametrize(("look", "margin"), NULLS.values(), ids=NULLS)
def test_a_canary_just_as_bad_as_allowed_is_stopped_by_chance_no_more_often_than_said(
    look, margin
) -> None:
    runs = _play(look, margin, looks=10, seed=5, runs=2000)
    highest = np.array([max(wealth for wealth, _ in run) for run in runs])
    assert np.mean(highest >= log(10)) <= 0.1
    assert np.mean(highest >= log(100)) <= 0.01
    assert np.mean([exp(run[-1][0]) for run in runs]) <= 1.1  # expectation at most 1


def test_pooled_totals_would_blame_the_canary_for_a_base_rate_that_changes() -> None:
    """The harness above can see a test that does not compare like with like."""

    def alarms(sums: Arms) -> bool:
        if not sums.total or not sums.stable_total:
            return False
        share, stable = sums.bad / sums.total, sums.stable_bad / sums.stable_total
        error = sqrt(share * (1 - share) / sums.total + stable * (1 - stable) / sums.stable_total)
        return error > 0 and (share - stable - 0.005) / error > 2.33

    look, margin = NULLS["a base rate that rises as the canary's weight does"]
    runs = _play(look, margin, looks=15, seed=5, runs=200)
    assert np.mean([any(alarms(sums) for _, sums in run) for run in runs]) > 0.5


# Shares of canary and stable, its part of the traffic, and canary requests by which 9 of 10 are found.
POWER = {
    "1 % against 5 % at 5 % weight": (0.05, 0.01, 0.05, 600),
    "1 % against 20 % at 5 % weight": (0.2, 0.01, 0.05, 100),
    "0.1 % against 2 % at 25 % weight": (0.02, 0.001, 0.25, 1500),
    "20 % against 30 % at 10 % weight": (0.3, 0.2, 0.1, 1100),
}


@pytest.mark.parametrize(("bad", "stable", "part", "within"), POWER.values(), ids=POWER)
def test_a_worse_canary_is_found_within_so_many_requests(bad, stable, part, within) -> None:
    other = round(50 * (1 - part) / part)
    runs = _play(lambda _: (50, other, bad, stable), 0.005, within // 50, seed=9, runs=100)
    found = [any(wealth >= log(100) for wealth, _ in run) for run in runs]
    assert np.mean(found) >= 0.9


def test_an_incident_of_both_arms_does_not_blind_the_test_for_what_comes_after() -> None:
    def look(i: int) -> tuple[int, int, float, float]:
        if 5 <= i < 8:
            return 50, 950, 0.5, 0.5
        return 50, 950, 0.05 if i >= 8 else 0.01, 0.01

    runs = _play(look, 0.005, looks=48, seed=11, runs=50)
    assert np.mean([any(wealth >= log(100) for wealth, _ in run) for run in runs]) >= 0.9
    assert not any(wealth >= log(100) for run in runs for wealth, _ in run[:8])


arms = st.builds(Arms, total=counts, bad=counts, stable_total=counts, stable_bad=counts)


@given(before=arms, look=arms, margin=st.floats(0, 1), wealth=st.lists(st.floats(-700, 700)))
def test_no_counts_make_a_comparison_fail(before, look, margin, wealth) -> None:
    after = compare(wealth, before, look, margin)
    assert len(after) == len(no_wealth())
    assert all(isfinite(one) for one in after)


@given(
    stable=st.floats(1e-6, 0.9),
    margin=st.floats(0, 0.05),
    bet=st.sampled_from(BETS),
    total=st.integers(1, 10**6),
    stable_total=st.integers(1, 10**6),
)
def test_the_nearest_point_of_the_null_agrees_with_scipy(
    stable, margin, bet, total, stable_total
) -> None:
    bet = min(bet, (1 - stable - margin) / 2)
    canary = stable + margin + bet

    def slope(at: float) -> float:
        return stable_total * (at - stable) / (at * (1 - at)) + total * (at + margin - canary) / (
            (at + margin) * (1 - at - margin)
        )

    want = optimize.brentq(slope, stable, stable + bet, xtol=1e-15, rtol=1e-14)
    found = _nearest(Arms(total, 0, stable_total, 0), stable, canary, margin)
    assert found == pytest.approx(want, rel=1e-9)


@given(
    truth=st.floats(0, 1),
    gap=st.floats(-1, 1),
    before=st.builds(Arms, stable_total=st.integers(0, 500), stable_bad=st.integers(0, 50)),
    margin=st.floats(0, 0.1),
    total=st.integers(1, 4),
    stable_total=st.integers(1, 4),
)
def test_no_true_shares_within_the_margin_let_the_wealth_grow_in_expectation(
    truth, gap, before, margin, total, stable_total
) -> None:
    """The theorem's condition, exactly: the sum over all outcomes of a small look."""
    share = min(max(truth + margin - abs(gap), 0.0), 1.0)
    expected = 0.0
    for bad in range(total + 1):
        for other in range(stable_total + 1):
            chance = _binomial(bad, total, share) * _binomial(other, stable_total, truth)
            look = Arms(total, bad, stable_total, other)
            expected += chance * exp(mean_wealth(compare(no_wealth(), before, look, margin)))
    assert expected <= 1 + 1e-9


def _binomial(count: int, total: int, share: float) -> float:
    ways = 1.0
    for k in range(count):
        ways = ways * (total - k) / (k + 1)
    return float(ways * share**count * (1 - share) ** (total - count))


@given(bad=st.integers(0, 99), other=st.integers(0, 500))
def test_one_more_bad_request_of_the_canary_never_makes_the_comparison_weaker(bad, other) -> None:
    def after(count: int) -> float:
        look = Arms(100, count, 1000, other)
        return mean_wealth(compare(no_wealth(), Arms(0, 0, 1000, 10), look, 0.005))

    assert after(bad + 1) >= after(bad)


def test_what_only_one_arm_answered_is_no_comparison() -> None:
    before = Arms(0, 0, 1000, 10)
    for look in (Arms(50, 50, 0, 0), Arms(0, 0, 900, 0)):
        assert compare(no_wealth(), before, look, 0.005) == no_wealth()
