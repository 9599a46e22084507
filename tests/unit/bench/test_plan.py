"""Servers of a group run together and are asked by turns; the plan is what will be done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.cases import CASES, Case
from bench.peers.catalog import OURS, PEERS, SNIPPET
from bench.plan import Measure, Start, Step, Stop, plan_round
from bench.progress import remaining
from bench.questions import Model

MODELS = {
    name: Model(name, Path("/"), ["a"] if name == "mixed" else [], [], [])
    for name in ("lr", "gbc", "rf", "mixed")
}


def _plan(cases: Sequence[Case], peers: Sequence[str], number: int = 0) -> list[Step]:
    return plan_round(number, cases, MODELS, {name: PEERS[name] for name in peers}, seconds=2.0)


def _measured(steps: Sequence[Step]) -> list[tuple[str, str]]:
    return [(s.kind.name, s.target.name) for s in steps if isinstance(s, Measure)]


def test_one_kind_of_measurement_is_taken_of_all_before_the_next() -> None:
    steps = _plan([CASES["single"]], [OURS, SNIPPET])
    assert _measured(steps) == [
        (kind, target)
        for kind in ("lone", "busy-16", "busy-64", "steady")
        for target in (OURS, SNIPPET)
    ]


def test_each_round_begins_with_another_server() -> None:
    steps = _plan([CASES["single"]], [OURS, SNIPPET], number=1)
    assert [s.peer.name for s in steps if isinstance(s, Start)] == [SNIPPET, OURS]
    assert _measured(steps)[0] == ("lone", SNIPPET)


def test_cases_of_one_group_share_their_servers() -> None:
    steps = _plan([CASES["single"], CASES["rows"], CASES["start"]], [OURS, SNIPPET])
    assert len([s for s in steps if isinstance(s, Start)]) == 2
    assert len([s for s in steps if isinstance(s, Stop)]) == 1


def test_grpc_has_servers_of_its_own() -> None:
    steps = _plan([CASES["single"], CASES["grpc"]], [OURS, "mlserver"])
    assert len([s for s in steps if isinstance(s, Start)]) == 4


def test_a_server_is_started_only_for_the_cases_that_it_is_in() -> None:
    steps = _plan([CASES["forest"]], [OURS, SNIPPET, "mlflow"])
    assert [s.peer.name for s in steps if isinstance(s, Start)] == [OURS, SNIPPET]


def test_a_server_with_two_protocols_is_started_once_and_asked_in_both() -> None:
    steps = _plan([CASES["rows"]], ["kserve"])
    assert len([s for s in steps if isinstance(s, Start)]) == 1
    assert _measured(steps) == [("large", "kserve-v1"), ("large", "kserve-v2")]


def test_three_rounds_of_everything_are_planned_to_take_less_than_twenty_minutes() -> None:
    steps = _plan(list(CASES.values()), list(PEERS))
    assert 3 * sum(step.seconds for step in steps) < 20 * 60


def test_the_time_left_follows_the_pace_so_far() -> None:
    assert remaining(expected=60, behind=0, elapsed=0) == "60 s"
    assert remaining(expected=700, behind=300, elapsed=630) == "13 min"
    assert remaining(expected=700, behind=300, elapsed=300) == "7 min"
    assert remaining(expected=700, behind=700, elapsed=800) == "0 s"
