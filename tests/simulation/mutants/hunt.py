"""Plants each mutant, lets the simulation loose on it, and says who was caught.

A test that cannot fail is worth nothing: each invariant of the checker is here proven to fire on a bug
that somebody might really write. The operator as it is has to pass the very same runs.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .mutant import Look, Misplaced, Mutant, plant

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "operator" / "src"
LIMIT = 300.0  # seconds for one mutant
SHARES = 6  # parts in which the operator as it is makes the same runs


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutant; of none: of the operator as it is."""

    mutant: Mutant | None
    caught: bool
    told: str

    def line(self) -> str:
        if self.mutant is None:
            return f"{'-':7} {'the operator as it is':34} {'passes' if self.caught else 'FAILS':9} {self.told}"
        word = "caught" if self.caught else "SURVIVED"
        return f"{self.mutant.invariant:7} {self.mutant.name:34} {word:9} {self.told}"


async def judge(mutant: Mutant | None, looks: Sequence[Look], source: Path = SOURCE) -> Verdict:
    """Plants one mutant in a folder of its own and runs its looks in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="serinus-mutant-") as folder:
        target = Path(folder) / "src"
        try:
            plant(source, target, mutant)
        except Misplaced as e:
            return Verdict(mutant, caught=False, told=str(e))
        wanted = mutant.invariant if mutant is not None else "-"
        asked = json.dumps([(look.scenario, look.faults, look.seeds) for look in looks])
        code, out, err = await _run([str(target), wanted, asked], target)
    if code != 0:
        return Verdict(mutant, caught=False, told=f"exit code {code}: {err[-300:].strip()}")
    found = json.loads(out.splitlines()[-1])
    return _verdict(mutant, found["fired"], found["crashed"], found["runs"])


def _verdict(mutant: Mutant | None, fired: dict[str, str], crashed: int, runs: int) -> Verdict:
    """Only the named invariant counts: that something else broke proves nothing about it."""
    others = ", ".join(sorted(fired)) or "nothing"
    crashes = f", {crashed} runs crashed" if crashed else ""
    if mutant is None:
        told = next(iter(fired.values()), f"{runs} runs") + crashes
        return Verdict(None, caught=not fired and not crashed, told=told)
    if mutant.invariant in fired:
        return Verdict(mutant, caught=True, told=fired[mutant.invariant])
    return Verdict(mutant, caught=False, told=f"{others} fired{crashes}")


async def _run(arguments: list[str], target: Path) -> tuple[int, str, str]:
    path = os.pathsep.join((str(target), str(ROOT)))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.simulation.mutants.judge", *arguments,
        cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT):
            out, err = await process.communicate()
    except TimeoutError:
        return -1, "", f"no end within {LIMIT:g} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, out.decode(), err.decode()


async def hunt(mutants: Sequence[Mutant], jobs: int) -> list[Verdict]:
    """All of them, ``jobs`` at a time, and the operator as it is on all runs; prints as they end."""
    gate = asyncio.Semaphore(jobs)
    single = dict.fromkeys(
        Look(look.scenario, look.faults, (seed,))
        for mutant in mutants
        for look in mutant.looks
        for seed in look.seeds
    )
    every = [tuple(single)[share::SHARES] for share in range(SHARES)]

    async def one(mutant: Mutant | None, looks: Sequence[Look]) -> Verdict:
        async with gate:
            verdict = await judge(mutant, looks)
        print(verdict.line()[:200], flush=True)
        return verdict

    clean = [one(None, looks) for looks in every if looks]
    return await asyncio.gather(*clean, *(one(mutant, mutant.looks) for mutant in mutants))
