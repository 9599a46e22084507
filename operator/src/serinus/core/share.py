"""Observed share of the traffic: does the router send the canary what it was asked to send?

A route that is accepted is not yet a route that works: a router may ignore weights, split by connection,
or send everything to one side. The requests that both arms counted tell.
"""

from __future__ import annotations

from serinus.core.statistics import binomial_tail

# A router that splits exactly as asked is called wrong this often, at most.
SHARE_ALPHA = 0.001

# With fewer requests of a step nothing is said.
SHARE_REQUESTS = 200

# What may be off: two points, or a fifth of the weight, whichever is more.
TOLERATED_POINTS = 2.0
TOLERATED_PART = 0.2


def mismatch(weight: int, requests: int, stable_requests: int) -> str:
    """Why the split that was seen is not the one asked for (``weight`` percent); empty: it is.

    Both must hold: the difference is larger than the tolerance, and larger than chance explains (exact
    binomial test, two-sided).

    >>> mismatch(5, 620, 1380)
    'the canary got 31 % of 2000 requests instead of 5 %: the router does not split as asked'
    >>> mismatch(5, 130, 1870), mismatch(5, 8, 12)
    ('', '')
    """
    total = requests + stable_requests
    if total < SHARE_REQUESTS or requests < 0 or stable_requests < 0:
        return ""
    percent = 100 * requests / total
    if abs(percent - weight) <= max(TOLERATED_POINTS, TOLERATED_PART * weight):
        return ""
    if percent > weight:
        chance = binomial_tail(requests, total, weight / 100)
    else:
        chance = binomial_tail(stable_requests, total, 1 - weight / 100)
    if 2 * chance > SHARE_ALPHA:
        return ""
    return (
        f"the canary got {percent:.3g} % of {total} requests instead of {weight} %: "
        "the router does not split as asked"
    )
