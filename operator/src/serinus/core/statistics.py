"""Statistics of verdicts. Standard library only."""

from __future__ import annotations

from math import exp, fsum, lgamma, log, log1p

# A slot of a canary that is exactly at its bound breaches by chance this often, at most.
SLOT_ALPHA = 0.01


def binomial_tail(count: int, total: int, share: float) -> float:
    """P(X >= count) for X ~ Binomial(total, share): how likely so many bad requests are by chance.

    Exact sum of the probability mass function, each term from log-gamma. ``count`` of breaches below
    a hundredth is what Clopper and Pearson's one-sided lower limit above ``share`` says (C. J. Clopper,
    E. S. Pearson, Biometrika 26, 1934).

    >>> round(binomial_tail(4, 100, 0.01), 4)
    0.0184
    >>> binomial_tail(0, 100, 0.01), binomial_tail(1, 100, 0.0)
    (1.0, 0.0)
    """
    if count <= 0:
        return 1.0
    if share <= 0:
        return 0.0
    if share >= 1:
        return 1.0
    if count <= total * share:
        return 1.0 - _mass(range(count), total, share)
    return _mass(range(count, total + 1), total, share)


def _mass(counts: range, total: int, share: float) -> float:
    """Sum of P(X = k) for ``counts``; upper tails stop when their terms vanish."""
    log_share, log_rest = log(share), log1p(-share)
    base = lgamma(total + 1)
    terms: list[float] = []
    for k in counts:
        term = exp(
            base - lgamma(k + 1) - lgamma(total - k + 1) + k * log_share + (total - k) * log_rest
        )
        terms.append(term)
        if k > total * share and term < 1e-18:
            break
    return min(1.0, fsum(terms))


def breaks_bound(bad: int, total: int, bound: float, alpha: float = SLOT_ALPHA) -> bool:
    """Whether ``bad`` of ``total`` requests show that the true share is above ``bound``.

    One-sided: the lower limit of the share's exact confidence interval, of confidence ``1 - alpha``,
    is above the bound. A raw ratio above it is not enough: at 30 requests chance alone does that.

    >>> breaks_bound(1, 30, 0.01), breaks_bound(4, 30, 0.01)
    (False, True)
    """
    return bad > total * bound and binomial_tail(bad, total, bound) <= alpha
