"""The order of all measurements, made before the first one, so that the time left can be told.

A machine is never quite alone. So all servers of a group run at the same time, idle but for the
one that is asked, the same measurement is taken of one after the other, and each round begins
with another server.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.cases import Case, Group, Kind, Target
from bench.peers.catalog import Peer
from bench.questions import Model

_START_SECONDS = 4.0  # a guess, for the time left
_STOP_SECONDS = 1.0
_AROUND_SECONDS = 0.6  # of every load: the generator's own start and end
WARMUP_SHARE = 0.2  # of a measurement's seconds, before them


@dataclass(frozen=True, slots=True)
class Step(ABC):
    """One thing to do. ``seconds`` is how long it is expected to take."""

    group: Group
    round: int
    seconds: float

    @property
    @abstractmethod
    def text(self) -> str:
        """What is being done, for the progress line."""


@dataclass(frozen=True, slots=True)
class Start(Step):
    """Start a server and check its answers in all its cases."""

    peer: Peer

    @property
    def text(self) -> str:
        return f"{self.group.model}: start {self.peer.name}"


@dataclass(frozen=True, slots=True)
class Measure(Step):
    """Measure one kind of thing of one target."""

    case: Case
    kind: Kind
    target: Target

    @property
    def text(self) -> str:
        return f"{self.case.name}: {self.kind.name} of {self.target.name}"


@dataclass(frozen=True, slots=True)
class Stop(Step):
    """Stop all servers of the group."""

    @property
    def text(self) -> str:
        return f"{self.group.model}: stop"


def plan_round(
    number: int,
    cases: Sequence[Case],
    models: Mapping[str, Model],
    peers: Mapping[str, Peer],
    seconds: float,
) -> list[Step]:
    """The steps of one round. ``peers`` are those that take part; the others are left out."""
    steps: list[Step] = []
    for group in dict.fromkeys(case.group for case in cases):
        own = [case for case in cases if case.group == group]
        taking_part = [peer for peer in peers if any(peer in case.peers for case in own)]
        order = [peers[peer] for peer in _rotated(taking_part, number)]
        steps += [Start(group, number, _START_SECONDS, peer) for peer in order]
        for case in own:
            targets = [
                target
                for peer in order
                if peer.name in case.peers
                for target in case.targets(peer, models[group.model])
            ]
            steps += [
                Measure(group, number, _length(kind, seconds), case, kind, target)
                for kind in case.kinds
                for target in targets
            ]
        steps.append(Stop(group, number, _STOP_SECONDS * len(order)))
    return steps


def _rotated(names: Sequence[str], by: int) -> list[str]:
    if not names:
        return []
    begin = by % len(names)
    return [*names[begin:], *names[:begin]]


def _length(kind: Kind, seconds: float) -> float:
    if not kind.asked:
        return 0.1
    return kind.weight * seconds * (1 + WARMUP_SHARE) + _AROUND_SECONDS
