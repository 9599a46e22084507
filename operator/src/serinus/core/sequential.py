"""Anytime-valid tests: they may be asked at every look, and stopped at any, without false alarms piling up.

Both keep a *wealth*: what a gambler has who began with 1 and bets against the null hypothesis at odds that
are fair or worse while it is true. Wealth of at least ``1 / alpha`` is then reached with probability ``alpha``
at most, over all looks together (J. Ville, Etude critique de la notion de collectif, 1939). Wealth is
kept as its natural logarithm. Requests are taken as independent of each other, given their time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, log, log1p

# A canary exactly at its bound is called broken with this probability at most, per metric and step.
SEQUENTIAL_ALPHA = 0.001

# Shares bet on, as multiples of the bound: from barely above it to a canary that answers nothing.
MULTIPLES = (1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)


def bound_wealth(bad: int, total: int, bound: float) -> float:
    """Logarithm of the wealth against "the share of bad requests is at most ``bound``".

    The mean of the likelihood ratios of a few alternatives above the bound to the bound itself
    (H. Robbins, Statistical methods related to the law of the iterated logarithm, 1970). Each ratio's
    expectation per request is ``1 + (share - bound) * (alternative - bound) / (bound * (1 - bound))``, which
    is at most 1 for every share up to the bound, also for one that changes over time.

    >>> bound_wealth(0, 0, 0.01)
    0.0
    >>> round(exp(bound_wealth(7, 100, 0.01)))
    499
    >>> bound_wealth(1, 1000, 0.0), bound_wealth(0, 1000, 0.0), bound_wealth(9, 9, 1.0)
    (inf, 0.0, 0.0)
    """
    total = max(total, 0)
    bad = min(max(bad, 0), total)
    if bound <= 0:
        return inf if bad else 0.0  # a single one proves it
    if bound >= 1:
        return 0.0
    half = bound + (1 - bound) / 2
    shares = sorted({min(bound * multiple, half) for multiple in MULTIPLES})
    return mean_wealth([_ratio(bad, total, share, bound) for share in shares])


def exceeds_bound(bad: int, total: int, bound: float, alpha: float = SEQUENTIAL_ALPHA) -> bool:
    """Whether ``bad`` of ``total`` requests, looked at as often as one likes, are above ``bound``.

    >>> exceeds_bound(7, 100, 0.01), exceeds_bound(8, 100, 0.01)
    (False, True)
    """
    return bound_wealth(bad, total, bound) >= -log(alpha)


def mean_wealth(wealth: Sequence[float]) -> float:
    """Logarithm of the mean of several bets' wealth.

    >>> round(mean_wealth([0.0, log(3)]), 6) == round(log(2), 6)
    True
    """
    best = max(wealth)
    if best in {inf, -inf}:
        return best
    return best + log(sum(exp(one - best) for one in wealth) / len(wealth))


def _ratio(bad: int, total: int, share: float, null: float) -> float:
    """Logarithm of the likelihood ratio of two shares, both inside (0, 1)."""
    return bad * log(share / null) + (total - bad) * (log1p(-share) - log1p(-null))


# A canary is compared at stable's share plus margin plus each of these.
BETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.3)

# Before stable has answered anything it counts as half a bad request in 50.
_PRIOR_BAD, _PRIOR_TOTAL = 0.5, 50.0

# Share of the wealth that is dealt out anew among the bets, per request of the canary and at most.
_DEALT, _DEALT_AT_MOST = 1e-5, 0.01


@dataclass(frozen=True, slots=True)
class Arms:
    """Requests of both arms over the same time, and how many of them were bad."""

    total: int = 0
    bad: int = 0
    stable_total: int = 0
    stable_bad: int = 0


def no_wealth() -> tuple[float, ...]:
    """Where a comparison begins: one for each bet, and one for what is not bet."""
    return (0.0,) * (len(BETS) + 1)


def compare(wealth: Sequence[float], before: Arms, look: Arms, margin: float) -> tuple[float, ...]:
    """Logarithms of the bets' wealth after one more look; :func:`mean_wealth` of them is the evidence.

    The null hypothesis is "the canary's share is at most stable's plus ``margin``", in every look anew:
    what the shares are may change from look to look, and is never pooled. A bet names a pair of shares
    in which the canary is worse, the stable one estimated from ``before`` (the sums of the earlier looks)
    alone. It wins the likelihood ratio of that pair to the pair of the null hypothesis that is nearest to
    it by Kullback and Leibler's measure, weighted with the look's counts (R. J. Turner, A. Ly, P. D.
    Grunwald, Generic E-variables for exact sequential k-sample tests that allow for optional stopping,
    J. Statistical Planning and Inference 230, 2024). Its expectation is at most 1: per request it is 1 + x for stable
    and 1 + y for the canary, both linear in the true shares; the nearest point of a convex set has
    n_s * x + n_c * y <= 0 on all of it; and (1 + x)^n_s * (1 + y)^n_c <= exp(n_s * x + n_c * y).

    After the look a little of the wealth is dealt out evenly, so that a bet that an incident of both
    arms ruined can win again (M. Herbster, M. K. Warmuth, Tracking the best expert, 1998); the sum stays.
    """
    look, before = _sane(look), _sane(before)
    if len(wealth) != len(BETS) + 1:
        wealth = no_wealth()
    stable = (before.stable_bad + _PRIOR_BAD) / (before.stable_total + _PRIOR_TOTAL)
    room = 1 - stable - margin
    if not look.total or not look.stable_total or room < 1e-6 or margin < 0:
        return tuple(wealth)
    grown = [
        one + _won(look, stable, min(bet, room / 2), margin)
        for one, bet in zip(wealth, BETS, strict=False)
    ]
    return _dealt([*grown, wealth[-1]], min(_DEALT * look.total, _DEALT_AT_MOST))


def _sane(arms: Arms) -> Arms:
    total, stable = max(arms.total, 0), max(arms.stable_total, 0)
    return Arms(total, min(max(arms.bad, 0), total), stable, min(max(arms.stable_bad, 0), stable))


def _won(look: Arms, stable: float, bet: float, margin: float) -> float:
    canary = stable + margin + bet
    null = _nearest(look, stable, canary, margin)
    return _ratio(look.bad, look.total, canary, null + margin) + _ratio(
        look.stable_bad, look.stable_total, stable, null
    )


def _nearest(look: Arms, stable: float, canary: float, margin: float) -> float:
    """Stable's share at the point of the null hypothesis nearest to an alternative outside it.

    It lies on the boundary, where the canary's share is stable's plus margin, between the two where one
    arm alone would have it. The divergence is convex there: Newton's method on its derivative, kept inside
    a shrinking bracket.
    """
    low, high = stable, canary - margin
    weight = look.total / (look.total + look.stable_total)
    at = low + (high - low) * weight
    for _ in range(100):
        other = at + margin
        slope = look.stable_total * ((1 - stable) / (1 - at) - stable / at)
        slope += look.total * ((1 - canary) / (1 - other) - canary / other)
        bend = look.stable_total * ((1 - stable) / (1 - at) ** 2 + stable / at**2)
        bend += look.total * ((1 - canary) / (1 - other) ** 2 + canary / other**2)
        low, high = (at, high) if slope < 0 else (low, at)
        step = at - slope / bend
        step = step if low < step < high else (low + high) / 2
        if abs(step - at) <= 1e-13 * at:
            return step
        at = step
    return at


def _dealt(wealth: Sequence[float], share: float) -> tuple[float, ...]:
    best = max(wealth)
    parts = [exp(one - best) for one in wealth]
    even = share * sum(parts) / len(parts)
    return tuple(best + log((1 - share) * part + even) for part in parts)
