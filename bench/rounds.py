"""Carries out the plan: starts the servers, asks them by turns, and books what is found."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cases import LARGE_ROWS, LONE, MEMORY_NOW, STEADY, Case, Kind, Target
from bench.load.job import Exchange, Job, Outcome
from bench.measurements import (
    CPU,
    LONE_P50,
    LONE_P99,
    MEMORY,
    RATE,
    ROWS,
    SHARED,
    START,
    START_CPU,
    STEADY_P50,
    STEADY_P99,
    Measurements,
    Metric,
    rate_at,
)
from bench.peers.catalog import Peer
from bench.plan import WARMUP_SHARE, Measure, Start, Step, plan_round
from bench.proc import Cores, cpu_seconds, pinned, proportional_mib, resident_mib
from bench.progress import Progress
from bench.questions import LARGE, Model
from bench.servers import BenchError, Server, running

_ROOT = Path(__file__).parents[1]
_LOAD_SPARE_SECONDS = 60.0  # for the load generator's own start and end
_STEADY_SHARE = 0.5  # of the best rate of the same round


@dataclass(frozen=True, slots=True)
class Options:
    """``seconds`` is the length of one measurement, ``time_limit`` that of all rounds."""

    seconds: float
    rounds: int
    time_limit: float


@dataclass(frozen=True, slots=True)
class Setting:
    """What is to be compared: the cases, their models, the servers and their programs.

    ``logs`` is a folder for what the servers print, if anybody wants to read it.
    """

    cases: Sequence[Case]
    models: Mapping[str, Model]
    peers: Mapping[str, Peer]
    programs: Mapping[str, Path]
    logs: Path | None = None


def measure(
    setting: Setting,
    options: Options,
    cores: Cores,
    found: Measurements,
    say: Callable[[str], None],
) -> None:
    """All rounds; fewer than asked for when another one would pass the time limit."""
    rounds = [
        plan_round(number, setting.cases, setting.models, setting.peers, options.seconds)
        for number in range(options.rounds)
    ]
    progress = Progress([step for steps in rounds for step in steps], options.rounds)
    begin = time.monotonic()
    longest = 0.0
    for number, steps in enumerate(rounds):
        round_begin = time.monotonic()
        if number and round_begin - begin + longest > options.time_limit:
            progress.end()
            say(f"no time for round {number + 1} of {options.rounds}")
            break
        with pinned(cores.load):  # starting and asking must not use the servers' core
            _Round(setting, options, cores, found, say).run(steps, progress)
        longest = max(longest, time.monotonic() - round_begin)
        found.rounds += 1
    progress.end()


class _Round:
    """The servers that run, and the questions that each answered rightly."""

    def __init__(
        self,
        setting: Setting,
        options: Options,
        cores: Cores,
        found: Measurements,
        say: Callable[[str], None],
    ) -> None:
        self._setting = setting
        self._options = options
        self._cores = cores
        self._found = found
        self._say = say
        self._servers: dict[str, Server] = {}
        self._exchanges: dict[tuple[str, str, bool], list[Exchange]] = {}

    def run(self, steps: Sequence[Step], progress: Progress) -> None:
        with contextlib.ExitStack() as stack:
            for step in steps:
                progress.begin(step)
                if isinstance(step, Start):
                    self._start(step, stack)
                elif isinstance(step, Measure):
                    self._measure(step)
                else:
                    self._servers.clear()
                    self._exchanges.clear()
                    stack.close()
                progress.done(step)

    def _start(self, step: Start, stack: contextlib.ExitStack) -> None:
        model, peer = self._setting.models[step.group.model], step.peer
        cases = [c for c in self._setting.cases if c.group == step.group and peer.name in c.peers]
        targets = [(case, target) for case in cases for target in case.targets(peer, model)]
        programs = self._setting.programs[peer.environment]
        first = targets[0][1].dialect
        try:
            server = stack.enter_context(
                running(peer, programs, model, first, self._cores.server, self._setting.logs)
            )
        except BenchError as error:
            self._lacks(targets, str(error))
            return
        self._servers[peer.name] = server
        for case, target in targets:
            if START in case.metrics:
                for metric, value in (
                    (START, server.start_seconds),
                    (START_CPU, server.start_cpu),
                ):
                    self._found.add(case.name, metric, target.name, step.round, value)
            self._verify(server, model, case, target)

    def _verify(self, server: Server, model: Model, case: Case, target: Target) -> None:
        """Whoever answers wrongly takes no part in the case."""
        try:
            single = [server.exchange(target.dialect, question) for question in model.single]
            large = [server.exchange(target.dialect, question) for question in model.large]
        except BenchError as error:
            self._lacks([(case, target)], str(error))
            return
        self._exchanges[case.name, target.name, False] = single
        self._exchanges[case.name, target.name, True] = large

    def _measure(self, step: Measure) -> None:
        case, target, kind = step.case, step.target, step.kind
        exchanges = self._exchanges.get((case.name, target.name, kind is LARGE_ROWS))
        if exchanges is None:
            return  # it does not run, or answers wrongly
        server = self._servers[target.peer.name]
        if kind is MEMORY_NOW:
            self._add(step, MEMORY, resident_mib(server.pid))
            self._add(step, SHARED, proportional_mib(server.pid))
            return
        rate = None
        if kind is STEADY:
            best = self._found.of(case.name, RATE, target.name).get(step.round)
            if best is None:
                return
            rate = _STEADY_SHARE * best
        before = cpu_seconds(server.pid)
        try:
            outcome = self._load(server, target, exchanges, kind, rate)
        except BenchError as error:
            self._lacks([(case, target)], f"{kind.name}: {error}")
            return
        self._book(step, outcome, cpu_seconds(server.pid) - before)

    def _book(self, step: Measure, outcome: Outcome, used: float) -> None:
        """``used`` are the seconds of CPU time that the server took for all of it."""
        kind, target = step.kind, step.target
        self._found.count(target.name, outcome)
        reached = outcome.timed / outcome.seconds
        if kind is LONE:
            self._add(step, LONE_P50, outcome.p50_ms)
            self._add(step, LONE_P99, outcome.p99_ms)
        elif kind is STEADY:
            self._add(step, STEADY_P50, outcome.p50_ms)
            self._add(step, STEADY_P99, outcome.p99_ms)
        elif kind is LARGE_ROWS:
            self._add(step, ROWS, LARGE * reached)
            self._add(step, CPU, 1e6 * used / outcome.total)
        else:
            self._add(step, rate_at(kind.concurrency), reached)
            best = self._found.of(step.case.name, RATE, target.name).get(step.round, 0.0)
            if reached > best:
                self._add(step, RATE, reached)
                self._add(step, CPU, 1e6 * used / outcome.total)
            self._found.core_shares.setdefault(target.name, []).append(used / outcome.elapsed)
            self._found.generator.setdefault(target.name, []).append(outcome.cpu / outcome.elapsed)

    def _add(self, step: Measure, metric: Metric, value: float) -> None:
        self._found.add(step.case.name, metric, step.target.name, step.round, value)

    def _lacks(self, targets: Sequence[tuple[Case, Target]], reason: str) -> None:
        self._say(f"{', '.join(target.name for _, target in targets)}: {reason}")
        for case, target in targets:
            self._found.lacks(case.name, target.name, reason)

    def _load(
        self,
        server: Server,
        target: Target,
        exchanges: Sequence[Exchange],
        kind: Kind,
        rate: float | None,
    ) -> Outcome:
        seconds = self._options.seconds * kind.weight
        warmup = seconds * WARMUP_SHARE
        dialect = target.dialect
        job = Job(
            server.port_of(dialect),
            dialect.path,
            exchanges,
            kind.concurrency,
            seconds,
            warmup,
            rate,
            dialect.grpc,
        )
        try:
            done = subprocess.run(
                [sys.executable, "-m", "bench.load"],
                input=job.dumps(),
                capture_output=True,
                text=True,
                cwd=_ROOT,
                start_new_session=True,
                timeout=warmup + seconds + _LOAD_SPARE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BenchError("the load did not end") from None
        if done.returncode != 0:
            raise BenchError(f"the load failed: {done.stderr.strip()[-300:]}")
        outcome = Outcome(**json.loads(done.stdout))
        if outcome.timed == 0:
            self._found.count(target.name, outcome)
            raise BenchError(f"no right answer within {seconds:g} s: {outcome.first_error}")
        return outcome
