"""The child process of one mutant: runs the simulation on the operator that ``PYTHONPATH`` names.

Prints one line of JSON: which invariants fired and the first sentence of each.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str]) -> int:
    """``argv``: the source folder that must be in use, the invariant (``-``: none may fire), the looks."""
    import serinus

    source, wanted, looks = Path(argv[0]), argv[1], json.loads(argv[2])
    if not Path(serinus.__file__).is_relative_to(source):
        print(f"serinus comes from {serinus.__file__}, not from {source}", file=sys.stderr)
        return 2
    from tests.simulation.checker import check
    from tests.simulation.mutants.stories import tell

    fired: dict[str, str] = {}
    crashed = runs = 0
    for scenario, faults, seeds in looks:
        for seed in seeds:
            result = tell(scenario, seed, faults)
            runs += 1
            crashed += any(trouble.invariant == "crash" for trouble in result.troubles)
            for violation in check(result.events):
                fired.setdefault(violation.invariant, str(violation))
            if wanted in fired:
                break
        if wanted in fired:
            break
    print(json.dumps({"fired": fired, "crashed": crashed, "runs": runs}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
