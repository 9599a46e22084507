"""``python -m bench``: the command line.

Exit codes: 0 done, 1 wrong answers or a server that does not run, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

_EXIT_OK, _EXIT_FAILED = 0, 1


def main() -> int:
    """Measure and print."""
    arguments = _parser().parse_args()
    if not sys.platform.startswith("linux"):
        sys.stderr.write("bench: memory and CPU time are read from /proc, which needs Linux\n")
        return _EXIT_FAILED
    # So that servers and files are cleaned up, as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    load_before = os.getloadavg()[0]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other people's import time
        from bench import proc, report, rounds, servers, workload

        _say(f"load average {load_before:.1f}; training two models")
        with tempfile.TemporaryDirectory(prefix="serinus-bench-") as folder:
            options = rounds.Options(
                seconds=arguments.seconds,
                rounds=arguments.rounds,
                time_limit=arguments.time_limit,
                concurrency=tuple(arguments.concurrency),
            )
            cores = proc.choose_cores()
            try:
                cases = workload.make_cases(Path(folder))
                found = rounds.measure(cases, options, cores, _say)
            except servers.BenchError as error:
                sys.stderr.write(f"bench: {error}\n")
                return _EXIT_FAILED
    around = report.surroundings(date, cores, load_before)
    report.show(found, around, options)
    if arguments.json is not None:
        document = report.as_document(found, around, options)
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if any(found.errors.values()):
        sys.stderr.write(f"bench: wrong answers or errors, the first: {found.first_error}\n")
        return _EXIT_FAILED
    return _EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Compares the model server with a plain FastAPI application, side by side.",
    )
    parser.add_argument(
        "--seconds", type=_positive, default=0.8, help="length of one measurement (%(default)s)"
    )
    parser.add_argument("--rounds", type=_count, default=3, help="at most so many (%(default)s)")
    parser.add_argument(
        "--concurrency", type=_count, nargs="+", default=[16, 64], metavar="N",
        help="requests in flight (16 64); the first one is also that of the large requests",
    )  # fmt: skip
    parser.add_argument(
        "--time-limit", type=_positive, default=100.0, metavar="SECONDS",
        help="begin no round that would end later; the first one always runs (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values there, too")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _say(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
