"""Ends what is left of a sandbox whose owner is gone: ``python -m serinus.sandbox.guard FOLDER``

A tied part is killed by the kernel when its parent ends, but the part's own children are not told.
The guard reads a pipe that only the owner holds open; at its end it kills their process groups.
"""

from __future__ import annotations

import sys
from pathlib import Path

from serinus.sandbox.processes import end_recorded

RECORDS = ("run/*.pid", "node/pods/*/*/process")  # parts, then containers


def main() -> None:
    folder = Path(sys.argv[1])
    sys.stdin.buffer.read()
    for pattern in RECORDS:
        for record in folder.glob(pattern):
            end_recorded(record)


if __name__ == "__main__":
    main()
