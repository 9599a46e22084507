"""One job, from standard input to standard output."""

from __future__ import annotations

import gc
import json
import sys
from dataclasses import asdict

import uvloop

from bench.load.job import Job
from bench.load.run import run


def main() -> None:
    """Do it."""
    gc.disable()  # for the few seconds of a job; its pauses would be taken for the servers'
    outcome = uvloop.run(run(Job.loads(sys.stdin.read())))
    json.dump(asdict(outcome), sys.stdout)


if __name__ == "__main__":
    main()
