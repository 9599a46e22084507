"""The pods are asked while the metric source does not answer, and only then."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from memory import KEY, Shell

from serinus.core.observed import Measurement, NoData, QueryFailed, Reading
from serinus.ports import Manifest, Ref, SeriesQuery
from serinus.reconcile.observe import observe


class Source:
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self, answer: Reading | Exception = ()) -> None:
        self.answer = answer
        self.asked: list[SeriesQuery] = []

    async def read(self, query: SeriesQuery) -> Reading:
        self.asked.append(query)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
async def shell() -> Shell:
    """A canary gets traffic and the next boundary has come."""
    made = Shell()
    made.deps = dataclasses.replace(made.deps, metrics=Source(), second=Source())
    await made.run()
    made.model("2")
    await made.run(20)
    assert made.weights() == [95, 5]
    return made


async def measured(shell: Shell, first: Source, second: Source | None) -> Measurement:
    rollout = shell.status["rollout"]
    for _ in range(30):
        deps = dataclasses.replace(shell.deps, metrics=first, second=second)
        snapshot = await observe(KEY, deps, shell.clock.now())
        assert snapshot is not None
        if snapshot.seen.measurement is not None:
            return snapshot.seen.measurement
        shell.clock.time += timedelta(seconds=1)
    raise AssertionError(f"nothing was due: {rollout}")


async def test_a_source_that_answers_is_the_only_one_asked(shell: Shell) -> None:
    second = Source()
    for answer in ((), NoData("nothing")):
        seen = await measured(shell, Source(answer), second)
        assert (seen.canary, seen.backup) == (answer, None)
    assert second.asked == []


@pytest.mark.parametrize("answer", [QueryFailed("refused"), RuntimeError("a bug")], ids=str)
async def test_at_the_first_failure_the_pods_are_asked_for_the_same_window(
    shell: Shell, answer
) -> None:
    first, second = Source(answer), Source(NoData("no baseline yet"))
    seen = await measured(shell, first, second)
    assert isinstance(seen.canary, QueryFailed)
    assert seen.backup == (NoData("no baseline yet"), NoData("no baseline yet"))
    assert second.asked == first.asked
    assert all(query.targets for query in second.asked)


async def test_pods_that_do_not_answer_either_are_a_value(shell: Shell) -> None:
    seen = await measured(shell, Source(QueryFailed("refused")), Source(OSError("refused")))
    assert seen.backup is not None
    assert all(isinstance(arm, QueryFailed) for arm in seen.backup)


async def test_where_the_pods_are_the_only_source_there_is_no_backup(shell: Shell) -> None:
    assert (await measured(shell, Source(QueryFailed("refused")), None)).backup is None


async def test_during_an_outage_the_pods_are_asked_even_when_the_source_answers_again(
    shell: Shell,
) -> None:
    """Both at once: one observation lasts no longer than the slower of them."""
    shell.status["rollout"]["unavailableSince"] = "2026-01-01T12:00:00Z"
    second = Source()
    seen = await measured(shell, Source(), second)
    assert seen.backup == ((), ())


async def test_the_skew_of_the_clock_is_observed(shell: Shell) -> None:
    minute = shell.deps.defaults.resync * 2
    deps = dataclasses.replace(shell.deps, clock_skew=lambda: minute)
    snapshot = await observe(KEY, deps, shell.clock.now())
    assert snapshot is not None
    assert snapshot.seen.clock_skew == minute


@pytest.mark.parametrize("minutes", [5, -5])
async def test_a_clock_that_is_set_right_during_a_look_was_wrong_when_the_look_began(
    shell: Shell, minutes: int
) -> None:
    wrong = timedelta(minutes=minutes)
    right = shell.clock.time
    skewed = dataclasses.replace(shell.deps, clock_skew=lambda: shell.clock.time - right)
    shell.clock.time = now = right + wrong
    original = shell.kube.get

    async def get(ref: Ref) -> Manifest | None:
        shell.clock.time = right
        return await original(ref)

    shell.kube.get = get
    snapshot = await observe(KEY, skewed, now)
    assert snapshot is not None
    assert abs(snapshot.seen.clock_skew - wrong) < timedelta(seconds=1)
    assert skewed.clock_skew() == timedelta(0)
