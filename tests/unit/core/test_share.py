"""The split that was seen against the split that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.core.share import SHARE_REQUESTS, mismatch

# weight, canary's and stable's requests, whether it is a mismatch
CASES = {
    "as asked": (5, 50, 950, False),
    "by chance a little off": (5, 65, 935, False),
    "far more than asked": (5, 310, 690, True),
    "far less than asked": (50, 100, 900, True),
    "nothing arrives": (25, 0, 1000, True),
    "everything arrives": (5, 1000, 0, True),
    "certain, but within two points": (1, 2_500, 97_500, False),
    "certain, but within a fifth of the weight": (50, 45_000, 55_000, False),
    "certain, and beyond a fifth of the weight": (50, 39_000, 61_000, True),
    "beyond the tolerance, but on too few requests": (5, 20, 179, False),
    "beyond the tolerance, but chance does that": (10, 28, 202, False),
    "weight 0 and no request": (0, 0, 1000, False),
    "weight 0 and a straggler": (0, 3, 997, False),
    "weight 0 and a twentieth": (0, 50, 950, True),
    "weight 100 and all of them": (100, 1000, 0, False),
    "weight 100 and half of them": (100, 500, 500, True),
    "no request at all": (50, 0, 0, False),
}


@pytest.mark.parametrize(("weight", "canary", "stable", "wrong"), CASES.values(), ids=CASES)
def test_mismatch(weight: int, canary: int, stable: int, wrong: bool) -> None:
    assert bool(mismatch(weight, canary, stable)) == wrong


def test_the_message_names_what_was_seen_and_what_was_asked_for() -> None:
    assert mismatch(5, 310, 690) == (
        "the canary got 31 % of 1000 requests instead of 5 %: the router does not split as asked"
    )


@given(
    weight=st.integers(0, 100),
    canary=st.integers(-10, 10**7),
    stable=st.integers(-10, 10**7),
)
def test_no_counts_make_it_fail(weight: int, canary: int, stable: int) -> None:
    assert isinstance(mismatch(weight, canary, stable), str)


@pytest.mark.parametrize("weight", [1, 5, 25, 50, 95])
def test_a_router_that_splits_by_chance_as_asked_is_hardly_ever_called_wrong(weight: int) -> None:
    rng = np.random.default_rng(weight)
    seen = rng.binomial(SHARE_REQUESTS, weight / 100, size=4000).tolist()
    assert sum(bool(mismatch(weight, n, SHARE_REQUESTS - n)) for n in seen) <= 4 * 4000 / 1000
