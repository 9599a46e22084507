"""What the Date of answers proves of our clock, and what it does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.kube.skew import ANSWERS, Skew

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECONDS = st.floats(0, 10).map(lambda s: timedelta(seconds=s))


def answer(skew: Skew, at: datetime, ahead: timedelta, there: timedelta, back: timedelta) -> None:
    """A request sent at the true time ``at``, by a clock that is ``ahead``."""
    date = format_datetime((at + there).replace(microsecond=0), usegmt=True)
    skew.heard(date, at + ahead, at + there + back + ahead)


@given(
    st.integers(-100_000, 100_000).map(lambda ms: timedelta(milliseconds=ms)),
    st.lists(st.tuples(SECONDS, SECONDS, SECONDS), min_size=1, max_size=2 * ANSWERS),
)
def test_what_is_told_is_never_more_than_the_truth_and_misses_little(
    ahead: timedelta, trips: list[tuple[timedelta, timedelta, timedelta]]
) -> None:
    skew, at = Skew(), START
    for pause, there, back in trips:
        at += pause
        answer(skew, at, ahead, there, back)
        at += there + back
    told = skew()
    assert timedelta(0) <= told <= ahead or ahead <= told <= timedelta(0)
    quickest = min(there + back for _, there, back in trips[-ANSWERS:])
    assert abs(ahead - told) <= quickest + timedelta(seconds=1)


def test_a_clock_that_was_set_right_is_right_with_the_next_answer() -> None:
    skew, trip = Skew(), timedelta(milliseconds=5)
    for i in range(ANSWERS):
        answer(skew, START + i * timedelta(seconds=1), timedelta(minutes=5), trip, trip)
    assert skew() > timedelta(minutes=4, seconds=58)
    answer(skew, START + timedelta(minutes=1), timedelta(0), trip, trip)
    assert skew() == timedelta(0)


@pytest.mark.parametrize("date", [None, "", "yesterday", "Thu, 01 Jan 2026 12:00:00 -0000"])
def test_an_answer_without_a_usable_date_proves_nothing(date: str | None) -> None:
    skew = Skew()
    skew.heard(date, START, START)
    assert skew() == timedelta(0)


def test_a_clock_that_jumped_back_during_a_request_proves_nothing() -> None:
    skew = Skew()
    skew.heard(format_datetime(START, usegmt=True), START + timedelta(hours=1), START)
    assert skew() == timedelta(0)
