"""``python -m tests.simulation.mutants``: exit code 1 when a mutant survives, or the operator does not pass."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from tests.simulation.checker import NAMES

from .catalogue import MUTANTS
from .hunt import hunt


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants")
    parser.add_argument("names", nargs="*", help="mutants or invariants; default: all")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args(argv)
    chosen = [m for m in MUTANTS if not args.names or {m.name, m.invariant} & set(args.names)]
    verdicts = asyncio.run(hunt(chosen, args.jobs))
    caught = sum(v.caught for v in verdicts if v.mutant is not None)
    bare = [name for name in NAMES if name not in {m.invariant for m in MUTANTS}]
    print(f"{caught} of {len(chosen)} mutants caught; without any: {', '.join(bare) or 'none'}")
    return 0 if all(verdict.caught for verdict in verdicts) and not bare else 1


if __name__ == "__main__":
    sys.exit(main())
