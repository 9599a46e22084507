"""What the metric sources answered, as far as it became the base of a commit.

An answer counts from the moment when the process that got it has committed a status: one that died in
between leaves no trace. The rules below are necessary conditions only: whatever the operator's statistics
may be, evidence that they fail cannot have been taken for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, lgamma, log, log1p

GUARD_REQUESTS = 50
GUARD_SHARE = 0.5
CERTAIN = 1e-6  # a chance that no slot of evidence ever has


@dataclass(frozen=True, slots=True)
class Answer:
    """One reading of a revision's counters.

    Attributes:
        kind: samples, nodata or failed.
        since: where its window starts and whose it is, only ever compared for equality.
    """

    t: float
    actor: str
    revision: str
    kind: str
    since: object
    requests: int
    errors: int

    @property
    def weight(self) -> tuple[bool, bool, bool]:
        """Of two sources' answers the one that says more counts."""
        return self.kind == "samples", self.requests > 0, self.kind == "nodata"


def tail(count: int, total: int, share: float) -> float:
    """P(X >= count) for X ~ Binomial(total, share)."""
    if count <= 0 or share >= 1:
        return 1.0
    if share <= 0:
        return 0.0
    log_share, log_rest, base = log(share), log1p(-share), lgamma(total + 1)
    out = 0.0
    for k in range(count, total + 1):
        rest = base - lgamma(k + 1) - lgamma(total - k + 1)
        term = exp(rest + k * log_share + (total - k) * log_rest)
        out += term
        if k > total * share and term < out * 1e-9:
            break
    return min(1.0, out)


def breaks(errors: int, requests: int, bound: float, chance: float = CERTAIN) -> bool:
    """Whether so many errors would come with at most ``chance`` of a revision exactly at its bound."""
    return errors > requests * bound and tail(errors, requests, bound) <= chance


def certain_breach(before: Answer | None, answer: Answer, minimum: int, bound: float) -> bool:
    """Whether the slot that this answer closes is a breach, wherever that slot began.

    Only requests after the answer before are certain to be in the slot. It may have had up to
    ``minimum`` good ones more: with more than that it would have been closed by then.
    """
    if answer.kind != "samples":
        return False
    requests, errors = answer.requests, answer.errors
    if before is not None and before.kind == "samples" and before.since == answer.since:
        requests, errors = requests - before.requests, errors - before.errors
    elif before is not None:
        return False
    return requests >= minimum and breaks(errors, requests + minimum, bound)
