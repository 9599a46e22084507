"""From raw counter samples to the counts of a slot."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.core.observed import Series, Window
from serinus.core.samples import Counts, counts, increase
from serinus_server import contract

from .world import START


def at(seconds: float):
    return START + timedelta(seconds=seconds)


def series(
    *points: tuple[float, float], name: str = contract.METRIC_REQUESTS, **labels: str
) -> Series:
    return Series(name, labels, tuple((at(t), v) for t, v in points))


def window(start: float, end: float, floor: float = 0) -> Window:
    return Window(at(start), at(end), at(floor))


CASES = {
    "the baseline is the last sample at or before the start": (
        [(8, 100), (10, 110), (12, 115), (20, 150)], window(10, 20), 40,
    ),
    "the first slot of a step begins at its first sample, never before the step": (
        [(8, 100), (12, 115), (20, 150)], window(10, 20, floor=10), 35,
    ),
    "samples after the end do not count": ([(10, 1), (20, 5), (21, 500)], window(10, 20), 4),
    "a restarted process counts from zero": ([(10, 100), (15, 120), (20, 7)], window(10, 20), 27),
    "a pod that appears in the window counts from its first sample": (
        [(14, 3), (20, 9)], window(10, 20), 6,
    ),
    "without a sample in reach there is no answer": ([(30, 9)], window(10, 20), None),
    "one sample is an increase of nothing": ([(10, 9)], window(10, 20), 0),
}  # fmt: skip


@pytest.mark.parametrize(("points", "over", "want"), CASES.values(), ids=CASES)
def test_increase(points, over, want) -> None:
    assert increase(series(*points), over) == want


@given(
    steps=st.lists(st.integers(0, 50), min_size=2, max_size=40),
    cuts=st.lists(st.integers(1, 39), min_size=1, max_size=8, unique=True),
)
def test_consecutive_slots_add_up_to_the_whole(steps: list[int], cuts: list[int]) -> None:
    total, points = 0, []
    for second, grown in enumerate(steps):
        total += grown
        points.append((float(second), float(total)))
    one = series(*points)
    end = len(steps) - 1
    marks = sorted({0, end, *(c for c in cuts if c < end)})
    parts = [increase(one, window(a, b)) for a, b in pairwise(marks)]
    assert sum(parts) == increase(one, window(0, end))


@pytest.mark.parametrize("bad", [nan, inf, -1.0])
def test_a_sample_that_is_no_count_spoils_the_evidence(bad: float) -> None:
    good = series((10, 1), (20, 50), code="2xx")
    assert counts([good, series((10, 0), (20, bad), code="5xx")], window(10, 20)) is None


def test_counts_are_summed_over_pods_and_protocols() -> None:
    found = counts(
        [
            series((10, 0), (20, 90), code="2xx", pod="a"),
            series((10, 0), (20, 60), code="2xx", pod="b"),
            series((10, 0), (20, 3), code="5xx", pod="a"),
            series((10, 0), (20, 2), code="4xx", pod="a"),
            series((10, 0), (20, 100), name=f"{contract.METRIC_DURATION}_bucket", le="0.25"),
            series((10, 0), (20, 155), name=f"{contract.METRIC_DURATION}_bucket", le="+Inf"),
        ],
        window(10, 20),
    )
    assert found == Counts(requests=155, errors=3, buckets={0.25: 100, inf: 155})
    assert found.slower_than(0.25) == 55


@pytest.mark.parametrize(
    ("code", "is_error"),
    [
        ("INTERNAL", True),
        ("UNAVAILABLE", True),
        ("DEADLINE_EXCEEDED", True),
        ("RESOURCE_EXHAUSTED", True),
        ("OK", False),
        ("INVALID_ARGUMENT", False),
        ("NOT_FOUND", False),
        ("CANCELLED", False),
        ("4xx", False),
    ],
)
def test_grpc_codes_count_as_errors_where_the_server_is_to_blame(
    code: str, *, is_error: bool
) -> None:
    over_http = series((10, 0), (20, 7), code="2xx")
    found = counts([over_http, series((10, 0), (20, 3), code=code)], window(10, 20))
    assert found is not None
    assert (found.requests, found.errors) == (10, 3 if is_error else 0)


def test_a_bound_without_a_bucket_is_not_guessed() -> None:
    assert Counts(10, 0, {0.1: 5, inf: 10}).slower_than(0.25) is None


def test_no_series_is_no_evidence() -> None:
    assert counts([], window(10, 20)) is None


@pytest.mark.parametrize(("share", "want"), [(0.5, 0.1), (0.75, 0.15), (0.99, 0.196), (1.0, 0.2)])
def test_quantiles_are_linear_within_a_bucket(share: float, want: float) -> None:
    found = Counts(100, 0, {0.1: 50, 0.2: 100, inf: 100}).quantile(share)
    assert found == pytest.approx(want, abs=0.003)
