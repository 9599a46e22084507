"""What the reference model is told: plain values, in nobody's types.

Revisions are opaque names; times are seconds of the operator's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Sight:
    """What a pass saw."""

    now: float
    valid: bool  # the spec can be read
    wish: str  # the revision that the spec asks for; empty: not known
    steps: tuple[int, ...]
    holds: dict[int, float]  # by the step's weight
    replicas: int
    threshold: int
    token: str
    held: bool  # people, or a clock that is wrong
    manual: bool
    on_breach_pause: bool
    starving: str  # onInsufficient: do
    patience: float  # onInsufficient: after
    deadline: float
    abort: str
    promote: str
    ready: Mapping[str, int]
    route: Mapping[str, int] | None
    confirmed: bool  # the route, for the weights of the state before
    drifted: bool
    verdict: str  # booked by this pass; empty: none
    verdict_at: float  # the end of what it is about


@dataclass(frozen=True)
class State:
    """What a status says."""

    stable: str = ""
    stable_weight: int = 0
    canary: str = ""
    weight: int = 0
    stage: str = ""
    pause: str = ""
    breach: str = ""
    outcome: str = ""  # of the newest rollout that has ended
    ended: str = ""  # when
    acknowledged: str = ""  # commands that were dealt with
