"""Runs both servers side by side and measures them by turns, round after round.

A machine is never quite alone. So both servers of a pair run at the same time, idle but for the
one that is asked, every measurement of one is followed at once by the same of the other, and each
round begins with the one that came second in the round before.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.load import Exchange, Job, Outcome
from bench.proc import Cores, cpu_seconds, pinned, resident_mib
from bench.servers import OURS, PEER, BenchError, Server, running
from bench.workload import LARGE, Case, Question

_ROOT = Path(__file__).parents[1]
_WARMUP_SHARE = 0.2  # of a measurement's seconds, before them
_LOAD_SPARE_SECONDS = 60.0  # for the load generator's own start and end


@dataclass(frozen=True, slots=True)
class Options:
    """``seconds`` is the length of one measurement, ``time_limit`` that of the whole run."""

    seconds: float
    rounds: int
    time_limit: float
    concurrency: Sequence[int]


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the table; its name is unique."""

    name: str
    unit: str
    higher_is_better: bool


@dataclass(slots=True)
class Measurements:
    """The values of every round by case, metric and server. Filled while the rounds run.

    ``core_shares`` are the parts of a core that a server got while it had more to do than one can:
    far below 1, others were using the core, and the rates say less than the CPU times.
    """

    values: dict[tuple[str, Metric], dict[str, list[float]]] = field(default_factory=dict)
    core_shares: dict[str, list[float]] = field(default_factory=lambda: {OURS: [], PEER: []})
    errors: dict[str, int] = field(default_factory=lambda: {OURS: 0, PEER: 0})
    requests: dict[str, int] = field(default_factory=lambda: {OURS: 0, PEER: 0})
    first_error: str = ""
    rounds: int = 0

    def add(self, case: str, metric: Metric, server: str, value: float) -> None:
        by_server = self.values.setdefault((case, metric), {OURS: [], PEER: []})
        by_server[server].append(value)

    def count(self, server: str, outcome: Outcome) -> None:
        self.requests[server] += outcome.total
        self.errors[server] += outcome.errors
        if outcome.first_error and not self.first_error:
            self.first_error = f"{server}: {outcome.first_error}"


def measure(
    cases: Sequence[Case], options: Options, cores: Cores, say: Callable[[str], None]
) -> Measurements:
    """All rounds; fewer than asked for when another one would pass the time limit.

    Raises:
        BenchError: a server does not start, answers wrongly or not at all.
    """
    found = Measurements()
    begin = time.monotonic()
    longest = 0.0
    for number in range(options.rounds):
        if number and time.monotonic() - begin + longest > options.time_limit:
            say(f"no time for round {number + 1} of {options.rounds}")
            break
        round_begin = time.monotonic()
        names = (OURS, PEER) if number % 2 == 0 else (PEER, OURS)
        for case in cases:
            _Round(case, options, cores, found).run(names)
        took = time.monotonic() - round_begin
        longest = max(longest, took)
        found.rounds += 1
        say(f"round {found.rounds} of {options.rounds} took {took:.0f} s")
    return found


class _Round:
    """One case of one round."""

    def __init__(self, case: Case, options: Options, cores: Cores, found: Measurements) -> None:
        self._case = case
        self._options = options
        self._cores = cores
        self._found = found

    def run(self, names: Sequence[str]) -> None:
        with contextlib.ExitStack() as stack:
            most = max(self._options.concurrency)
            servers = [
                stack.enter_context(running(name, self._case, self._cores.server, most))
                for name in names
            ]
            for server in servers:
                self._add(server, "start to first answer", "s", server.start_seconds)
            single = {server.name: self._exchanges(server, self._case.single) for server in servers}
            large = {server.name: self._exchanges(server, self._case.large) for server in servers}
            for server in servers:
                self._lone(server, single[server.name])
            for concurrency in self._options.concurrency:
                for server in servers:
                    self._busy(server, single[server.name], concurrency)
            for server in servers:
                self._large(server, large[server.name])
            for server in servers:
                self._add(server, "memory after load", "MiB", resident_mib(server.pid))

    def _exchanges(self, server: Server, questions: Sequence[Question]) -> list[Exchange]:
        return [Exchange(*server.ask(question)) for question in questions]

    def _lone(self, server: Server, exchanges: list[Exchange]) -> None:
        outcome = self._load(server, exchanges, 1)
        self._add(server, "lone request, p50", "ms", outcome.p50_ms)
        self._add(server, "lone request, p99", "ms", outcome.p99_ms)

    def _busy(self, server: Server, exchanges: list[Exchange], concurrency: int) -> None:
        before = cpu_seconds(server.pid)
        outcome = self._load(server, exchanges, concurrency)
        used = cpu_seconds(server.pid) - before
        rate = outcome.timed / outcome.seconds
        self._add(server, f"requests, c={concurrency}", "1/s", rate, higher_is_better=True)
        self._add(server, f"CPU per request, c={concurrency}", "µs", 1e6 * used / outcome.total)
        self._found.core_shares[server.name].append(used / outcome.elapsed)

    def _large(self, server: Server, exchanges: list[Exchange]) -> None:
        concurrency = self._options.concurrency[0]
        outcome = self._load(server, exchanges, concurrency)
        rows = LARGE * outcome.timed / outcome.seconds
        name = f"rows, {LARGE} per request, c={concurrency}"
        self._add(server, name, "1/s", rows, higher_is_better=True)

    def _add(
        self, server: Server, name: str, unit: str, value: float, *, higher_is_better: bool = False
    ) -> None:
        self._found.add(self._case.name, Metric(name, unit, higher_is_better), server.name, value)

    def _load(self, server: Server, exchanges: list[Exchange], concurrency: int) -> Outcome:
        seconds = self._options.seconds
        warmup = seconds * _WARMUP_SHARE
        job = Job(server.port, server.dialect.path, exchanges, concurrency, seconds, warmup)
        with pinned(self._cores.load):
            done = subprocess.run(
                [sys.executable, "-m", "bench.load"],
                input=json.dumps(asdict(job)),
                capture_output=True,
                text=True,
                cwd=_ROOT,
                start_new_session=True,
                timeout=warmup + seconds + _LOAD_SPARE_SECONDS,
                check=False,
            )
        if done.returncode != 0:
            raise BenchError(f"the load on {server.name} failed:\n{done.stderr[-2000:]}")
        outcome = Outcome(**json.loads(done.stdout))
        self._found.count(server.name, outcome)
        if outcome.timed == 0:
            raise BenchError(
                f"{server.name} gave no right answer within {seconds} s: {outcome.first_error}"
            )
        return outcome
