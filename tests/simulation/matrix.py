"""Every API call of a story, with every fault, without running what comes before it each time.

The run is forked at each call: the child has the fault and runs to its end, the parent goes on without
it. What a child finds is what the same case finds when it is run alone.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import traceback
from collections import Counter
from collections.abc import Callable, Sequence

from .campaign import Case, Tally
from .client import Call, CallFault
from .faults import Faults
from .faults.calls import POINTS, one
from .run import Trouble, run
from .scenarios import SCENARIOS

_Told = tuple[list[Trouble], "Counter[str]", int]  # troubles, faults, API calls


class _Forks(Faults):
    """Has the run forked at the chosen calls, once for each kind of fault."""

    def __init__(self, case: Case, kinds: Sequence[str], chosen: Callable[[int], bool]) -> None:
        self._case = case
        self._kinds = kinds
        self._chosen = chosen
        self._pipe: int | None = None  # of a child: where to tell its end
        self.tally = Tally()

    def on_call(self, call: Call) -> CallFault | None:
        if self._pipe is not None or not self._chosen(call.index):
            return None
        self.world.judge()  # once, not in every child
        for what in self._kinds:
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(reading)
                self._pipe = writing
                # asyncio forgets at a fork which loop runs, for fear of two that share their files.
                asyncio.events._set_running_loop(call.host.world.loop)
                return one(what)
            os.close(writing)
            with os.fdopen(reading, "rb") as file:
                told: _Told = pickle.load(file)  # noqa: S301  our own child wrote it
            os.waitpid(child, 0)
            self._add(f"{call.index}:{what}", told)
        return None

    def _add(self, at: str, told: _Told) -> None:
        troubles, faults, calls = told
        self.tally.runs += 1
        self.tally.calls += calls
        self.tally.faults += faults
        if troubles:
            case = Case(self._case.scenario, self._case.seed, at=(at,))
            self.tally.failed.append((case, troubles))

    def end_if_child(self, told: _Told) -> None:
        """In a child: tells what it has found, and ends the process."""
        if self._pipe is not None:
            with os.fdopen(self._pipe, "wb") as file:
                pickle.dump(told, file)
            os._exit(0)


def explore(
    name: str,
    seed: int = 1,
    kinds: Sequence[str] = POINTS,
    chosen: Callable[[int], bool] = lambda index: True,
) -> Tally:
    """Runs a story once for each chosen API call (by its number) and each kind of fault."""
    case = Case(name, seed)
    forks = _Forks(case, kinds, chosen)
    try:
        result = run(SCENARIOS[name], seed, forks)
    except BaseException:
        text = traceback.format_exc()
        forks.end_if_child(([Trouble("crash", 0.0, text)], Counter(), 0))
        raise
    forks.end_if_child((result.troubles, result.faults, result.calls))
    return forks.tally
