"""The command line of the simulation."""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from .campaign import Case, Tally, told, wanders, work
from .faults import RECIPES
from .faults.calls import ALL
from .matrix import explore
from .run import Result, line
from .scenarios import SCENARIOS

BATCH = 100  # runs between two lines of progress


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 1 when a promise was broken."""
    args = _parser().parse_args(argv)
    if args.list:
        print("\n".join((*sorted(SCENARIOS), "", *RECIPES, "mixed")))
        return 0
    if args.soak:
        return _soak(args.soak, args.jobs, args.seed)
    if args.latency:
        from .latency import main as latency

        return latency(args.latency, args.jobs, args.seed)
    if args.matrix:
        return _matrix(args.matrix, args.seed, args.jobs)
    if not args.scenario:
        print("name a --scenario, or --soak N, --latency N, --list", file=sys.stderr)
        return 2
    return _replay(args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--scenario", choices=sorted(SCENARIOS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", default="none", help="a recipe, several with +, or mixed")
    parser.add_argument("--at", action="append", default=[], metavar="CALL:WHAT")
    parser.add_argument("--crash", action="append", default=[], metavar="CALL:POINT")
    parser.add_argument("--rest", type=int, default=0, help="resyncs without a write at the end")
    parser.add_argument("--log", type=Path, help="write the whole log here, one event per line")
    parser.add_argument("--soak", type=int, metavar="N", help="until N faults were injected")
    parser.add_argument("--latency", type=int, metavar="N", help="N seeds: breach to weight 0")
    parser.add_argument(
        "--matrix", choices=sorted(SCENARIOS), help="every API call of a story x every fault"
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="scenarios and recipes")
    return parser


def _replay(args: argparse.Namespace) -> int:
    case = Case(args.scenario, args.seed, args.faults, (*args.at, *args.crash), args.rest)
    result = case.run()
    if args.log:
        args.log.write_text("".join(map(line, result.events)))
    print(
        f"{result.seconds:.1f} simulated seconds, {result.calls} API calls, "
        f"{sum(result.faults.values())} faults, log sha256 {result.digest()}"
    )
    print(f"in the end: {dict(result.facts)}")
    for trouble in result.troubles:
        print(f"{trouble.invariant} at {trouble.t:.3f} s: {trouble.message}")
        print(_before(result, trouble.t))
    return 1 if result.troubles else 0


def _before(result: Result, moment: float, count: int = 12) -> str:
    """The last events before a violation that changed something."""
    telling = [
        event
        for event in result.events
        if event["t"] <= moment + 1e-6
        and (event["kind"] != "request" or event["verb"] not in {"get", "list"})
        and event["kind"] not in {"traffic", "pass"}
    ]
    return "\n".join(f"    {line(event)[:300].rstrip()}" for event in telling[-count:])


def _matrix(name: str, seed: int, jobs: int) -> int:
    total = Tally()
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        parts = [(name, seed, number, 4 * jobs) for number in range(4 * jobs)]
        for tally in pool.imap_unordered(_part, parts):
            total.merge(tally)
    print(total.text())
    return 1 if total.failed else 0


def _part(part: tuple[str, int, int, int]) -> Tally:
    name, seed, number, of = part
    return explore(name, seed, ALL, lambda index: index % of == number)


def _soak(faults: int, jobs: int, seed: int) -> int:
    total, begun = Tally(), time.perf_counter()
    with multiprocessing.get_context("fork").Pool(jobs, _ignore_interrupts) as pool:
        source = wanders(seed)
        batches = iter(lambda: list(islice(source, BATCH)), [])
        try:
            for tally in pool.imap_unordered(work, _until(batches, total, faults), chunksize=1):
                total.merge(tally)
                for failure in tally.failed:
                    print(told(*failure), file=sys.stderr)
                print(
                    f"{total.runs} runs, {total.injected} faults, {len(total.failed)} failed",
                    file=sys.stderr,
                )
                if total.injected >= faults or len(total.failed) > 50:
                    break
        except KeyboardInterrupt:
            print("interrupted: this far", file=sys.stderr)
        pool.terminate()
    total.seconds = time.perf_counter() - begun
    print(total.text())
    return 1 if total.failed else 0


def _ignore_interrupts() -> None:
    """Ctrl-C is the parent's: it tells what was found so far."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _until(batches: Iterator[list[Case]], total: Tally, faults: int) -> Iterator[list[Case]]:
    """Batches as long as more faults are wanted."""
    for batch in batches:
        if total.injected >= faults:
            return
        yield batch
