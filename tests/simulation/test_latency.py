"""A breach is answered in time, at the defaults, with and without a crash of the operator.

The full measurement, with its distribution, is ``python -m tests.simulation --latency 1000``.
"""

from __future__ import annotations

import pytest

from .latency import PROMISE, PROMISE_ACROSS_A_CRASH, measure

SHARES = 10
SEEDS = 500  # of each kind, in all shares together


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(SHARES))
@pytest.mark.parametrize(("crash", "promise"), [(False, PROMISE), (True, PROMISE_ACROSS_A_CRASH)])
def test_a_breach_takes_the_traffic_back_in_time(
    number: int, promise: float, *, crash: bool
) -> None:
    seeds = range(number, SEEDS, SHARES)
    found = [measure(seed, crash=crash) for seed in seeds]
    wrong = [m for m in found if m.stored > promise or m.troubles]
    assert not wrong, f"{len(wrong)} of {len(found)}: {wrong[:3]}"
