"""Faults of single API calls: crashes around them, errors instead of them, storms of both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random

from ..client import Call, CallFault
from .base import Faults

POINTS = ("before", "after-commit", "after-reply")
CODES = (409, 422, 429, 500, 503, 403)


def one(what: str) -> CallFault:
    """A fault by its name: a crash point, an HTTP status, ``lost``, ``reset`` or ``late``.

    Raises:
        ValueError: there is none of that name.
    """
    if what in POINTS:
        return CallFault(f"crash {what}", crash=what)
    if what.isdecimal():
        return CallFault(f"api {what}", code=int(what), retry_after=2.0)
    match what:
        case "lost":
            return CallFault("api timeout after commit", lost=True)
        case "reset":
            return CallFault("api reset", reset=True)
        case "late":
            return CallFault("api late", delay=25.0)
        case _:
            raise ValueError(f"{what!r} is none of {ALL}")


ALL = (*POINTS, *map(str, CODES), "lost", "reset", "late")
ERRORS = tuple(what for what in ALL if what not in POINTS)


class At(Faults):
    """The calls with these numbers have these faults."""

    def __init__(self, faults: Mapping[int, str]) -> None:
        self._faults = {index: one(what) for index, what in faults.items()}

    @classmethod
    def random(cls, rng: Random, kinds: Iterable[str], count: int, calls: int) -> At:
        """``count`` faults of these kinds among the first ``calls`` calls."""
        choices = list(kinds)
        return cls({rng.randint(1, calls): rng.choice(choices) for _ in range(count)})

    def on_call(self, call: Call) -> CallFault | None:
        return self._faults.get(call.index)


def parse(texts: Iterable[str]) -> At:
    """``["17:before", "40:409"]``: call 17 crashes before it is sent, call 40 is answered 409."""
    pairs = (text.partition(":") for text in texts)
    return At({int(index): what for index, _, what in pairs})


class CrashLoop(Faults):
    """The operator crashes at every k-th call, for a while."""

    def __init__(self, rng: Random) -> None:
        self._every = rng.randint(8, 60)
        self._rng = rng
        self.calm_at = 45.0

    def on_call(self, call: Call) -> CallFault | None:
        if self.on and call.index % self._every == 0:
            return one(self._rng.choice(POINTS))
        return None


class Errors(Faults):
    """Some of the calls fail, each in a way of its own."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._share = rng.choice((0.02, 0.05, 0.15))
        self.calm_at = 40.0

    def on_call(self, call: Call) -> CallFault | None:
        if self.on and self._rng.random() < self._share:
            return one(self._rng.choice(ERRORS))
        return None


class Storm(Faults):
    """For some seconds half of all calls fail, and all are slow."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._from = rng.uniform(1.0, 20.0)
        self.calm_at = self._from + rng.uniform(3.0, 12.0)

    def on_call(self, call: Call) -> CallFault | None:
        if not self.on or self.world.now < self._from:
            return None
        if self._rng.random() < 0.5:
            return one(self._rng.choice(("429", "500", "503", "lost", "reset")))
        return CallFault("api slow", delay=self._rng.uniform(0.1, 20.0))


class Outage(Faults):
    """For some seconds nobody answers."""

    def __init__(self, rng: Random) -> None:
        self._from = rng.uniform(0.0, 25.0)
        self.calm_at = self._from + rng.uniform(2.0, 20.0)

    def on_call(self, call: Call) -> CallFault | None:
        if self.on and self.world.now >= self._from:
            return one("reset")
        return None
