"""Many runs: which, in what order, and what came of them."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random

from .faults import PAIRED, RECIPES, Faults, make, parse
from .host import Setup
from .run import Result, Trouble, run
from .scenarios import SCENARIOS

COLLECT_EVERY = 20  # runs between two collections of garbage


@dataclass(frozen=True, slots=True)
class Case:
    """One run, as it can be asked for on the command line."""

    scenario: str
    seed: int
    faults: str = "none"  # name of a recipe
    at: tuple[str, ...] = ()  # CALL:WHAT
    rest: int = 0  # resyncs without a write at the end; 0: as the story has it

    def command(self) -> str:
        """What to type to have this run again."""
        parts = [f"python -m tests.simulation --scenario {self.scenario} --seed {self.seed}"]
        if self.faults != "none":
            parts.append(f"--faults {self.faults}")
        parts += [f"--at {text}" for text in self.at]
        parts += [f"--rest {self.rest}"] if self.rest else []
        return " ".join(parts)

    def run(self) -> Result:
        """Runs it."""
        scenario = SCENARIOS[self.scenario]
        faults: Faults = parse(self.at) if self.at else make(self.faults, self.seed)
        if set(self.faults.split("+")) & set(PAIRED) and not scenario.setup.lease:
            scenario = replace(scenario, setup=Setup(replicas=2, lease=True))
        if self.rest:
            scenario = replace(scenario, rest=self.rest)
        return run(scenario, self.seed, faults)


@dataclass(slots=True)
class Tally:
    """What many runs have shown."""

    runs: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    failed: list[tuple[Case, list[Trouble]]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def injected(self) -> int:
        return sum(self.faults.values())

    def add(self, case: Case, result: Result) -> None:
        self.runs += 1
        self.calls += result.calls
        self.faults += result.faults
        if result.troubles:
            self.failed.append((case, result.troubles))

    def merge(self, other: Tally) -> None:
        self.runs += other.runs
        self.calls += other.calls
        self.faults += other.faults
        self.failed += other.failed
        self.seconds = max(self.seconds, other.seconds)

    def text(self) -> str:
        """The summary, and how to see each failure again."""
        head = f"{self.runs} runs, {self.calls} API calls, {self.injected} injected faults"
        lines = [f"{head}, {len(self.failed)} runs with violations, {self.seconds:.0f} s"]
        lines += [f"  {count:8} {what}" for what, count in sorted(self.faults.items())]
        return "\n".join([*lines, *(told(*failure) for failure in self.failed[:20])])


def told(case: Case, troubles: list[Trouble]) -> str:
    """A failed run: the command that shows it again, and the first promises that it broke."""
    first = [f"    {t.invariant} at {t.t:.3f} s: {t.message}"[:1000] for t in troubles[:3]]
    return "\n".join([case.command(), *first])


def work(cases: Iterable[Case]) -> Tally:
    """Runs them one after the other."""
    tally, begun = Tally(), time.perf_counter()
    was_on = gc.isenabled()
    gc.disable()
    try:
        for case in cases:
            tally.add(case, case.run())
            if tally.runs % COLLECT_EVERY == 0:
                gc.collect()
    finally:
        if was_on:
            gc.enable()
    tally.seconds = time.perf_counter() - begun
    return tally


def wanders(first: int) -> Iterator[Case]:
    """Stories with faults, at random, for ever; which they are depends on ``first`` alone."""
    recipes = [name for name in RECIPES if name != "none"]
    for seed in count(first):
        rng = Random(seed)  # noqa: S311
        name = rng.choice(sorted(SCENARIOS))
        faults = "mixed" if rng.random() < 0.3 else rng.choice(recipes)
        yield Case(name, seed, faults)
