"""``python -m bench``: the command line.

Exit codes: 0 every bar was passed, 1 wrong answers or a server of ours that does not run, 2 wrong
usage, 3 a bar was missed or could not be judged, 130 interrupted.
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
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.measurements import Measurements
    from bench.rounds import Setting

_EXIT_OK, _EXIT_FAILED, _EXIT_USAGE, _EXIT_MISSED, _EXIT_INTERRUPTED = 0, 1, 2, 3, 130
# What needs no large environment, and can be told in two minutes.
_QUICK_PEERS = ("raw", "snippet")
_QUICK_CASES = ("single", "rows", "boosting", "forest")
_QUICK_ROUNDS, _QUICK_SECONDS = 2, 1.0


def main() -> int:
    """Measure, print, and write where asked to."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    warnings.simplefilter("ignore")  # of other people's import time
    arguments = _arguments()
    if not sys.platform.startswith("linux"):
        _say("memory and CPU time are read from /proc, which needs Linux")
        return _EXIT_FAILED
    # So that servers and files are cleaned up, as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return _compare(arguments)
    except KeyboardInterrupt:
        _say("interrupted; the servers are stopped")
        return _EXIT_INTERRUPTED


def _compare(arguments: argparse.Namespace) -> int:
    from bench import bars, proc, report, rounds
    from bench.measurements import Measurements
    from bench.peers.catalog import OURS, PEERS

    if arguments.docs is not None:
        try:
            report.around_markers(arguments.docs)  # not only after all the work
        except (OSError, ValueError) as error:
            _say(f"--docs: {error}")
            return _EXIT_USAGE
    if arguments.logs is not None:
        arguments.logs.mkdir(parents=True, exist_ok=True)
    date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    load_before = os.getloadavg()[0]
    options = rounds.Options(arguments.seconds, arguments.rounds, arguments.time_limit)
    cores, found = proc.choose_cores(), Measurements()
    with tempfile.TemporaryDirectory(prefix="serinus-bench-") as folder:
        setting = _prepare(arguments, Path(folder), found)
        rounds.measure(setting, options, cores, found, _say)
    asked = {target for name in arguments.peers for target in (name, *PEERS[name].dialects)}
    verdicts = bars.judge(found, arguments.cases, asked)
    around = report.surroundings(date, cores, load_before, setting.peers.values())
    text = report.as_markdown(found, verdicts, setting.cases, around, options)
    sys.stdout.write(f"{text}\n")
    if arguments.docs is not None:
        report.write(arguments.docs, text)
    if arguments.json is not None:
        document = report.as_document(found, verdicts, around, options)
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if any(found.errors.values()) or any(target == OURS for _, target in found.missing):
        _say("wrong answers or a server of ours that does not run: see above")
        return _EXIT_FAILED
    return _EXIT_OK if all(verdict.state == "pass" for verdict in verdicts) else _EXIT_MISSED


def _prepare(arguments: argparse.Namespace, folder: Path, found: Measurements) -> Setting:
    """Install what is missing, and make the models."""
    from bench.cases import CASES
    from bench.environments import InstallError, prepare
    from bench.peers.catalog import OURS, PEERS
    from bench.rounds import Setting
    from bench.workload import make_model

    cases = [CASES[name] for name in arguments.cases]
    wanted = {name for case in cases for name in case.peers} & {OURS, *arguments.peers}
    peers = {name: peer for name, peer in PEERS.items() if name in wanted}
    programs: dict[str, Path] = {}
    failed: dict[str, str] = {}
    for environment in dict.fromkeys(peer.environment for peer in peers.values()):
        try:
            programs[environment] = prepare(environment, arguments.environments, _say)
        except InstallError as error:
            _say(f"{environment} cannot be installed: {error}")
            failed[environment] = f"not installed: {error}"
    models = {}
    for name in dict.fromkeys(case.group.model for case in cases):
        _say(f"training {name}")
        models[name] = make_model(name, folder)
    for case in cases:
        for peer in peers.values():
            if peer.name in case.peers and peer.environment in failed:
                for target in case.targets(peer, models[case.group.model]):
                    found.lacks(case.name, target.name, failed[peer.environment])
    able = {name: peer for name, peer in peers.items() if peer.environment not in failed}
    return Setting(cases, models, able, programs, arguments.logs)


def _arguments() -> argparse.Namespace:
    from bench.cases import CASES
    from bench.environments import default_folder
    from bench.peers.catalog import OURS, PEERS

    peers = [name for name in PEERS if name != OURS]
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Compares the model server with its peers, one worker on one core each. "
        "What is missing of them is installed first, into environments of their own.",
    )
    parser.add_argument(
        "--quick", action="store_true",
        help=f"without the peers that are large to install: {' and '.join(_QUICK_PEERS)} only, "
        f"{', '.join(_QUICK_CASES)}, {_QUICK_ROUNDS} rounds of {_QUICK_SECONDS:g} s",
    )  # fmt: skip
    parser.add_argument(
        "--peers", type=lambda text: _names(text, peers), metavar="A,B",
        help=f"only these; all: {','.join(peers)}",
    )  # fmt: skip
    parser.add_argument(
        "--cases", type=lambda text: _names(text, list(CASES)), metavar="A,B",
        help=f"only these; all: {','.join(CASES)}",
    )  # fmt: skip
    parser.add_argument("--seconds", type=_positive, help="length of one measurement (2)")
    parser.add_argument("--rounds", type=_count, help="at most so many (3)")
    parser.add_argument(
        "--time-limit", type=_positive, default=1200.0, metavar="SECONDS",
        help="begin no round that would end later; the first one always runs (%(default)g)",
    )  # fmt: skip
    parser.add_argument(
        "--environments", type=Path, default=default_folder(), metavar="FOLDER",
        help="where the peers' environments are kept, about 4 GB (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--logs", type=Path, metavar="FOLDER", help="keep what the servers print")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values there, too")
    parser.add_argument(
        "--docs", type=Path, metavar="FILE", help="write the tables there, between the markers"
    )
    arguments = parser.parse_args()
    quick = arguments.quick
    arguments.peers = arguments.peers or (list(_QUICK_PEERS) if quick else peers)
    arguments.cases = arguments.cases or list(_QUICK_CASES if quick else CASES)
    arguments.seconds = arguments.seconds or (_QUICK_SECONDS if quick else 2.0)
    arguments.rounds = arguments.rounds or (_QUICK_ROUNDS if quick else 3)
    return arguments


def _names(text: str, known: Sequence[str]) -> list[str]:
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"no {name!r}; there are {', '.join(known)}")
    if not names:
        raise argparse.ArgumentTypeError("must name at least one")
    return [name for name in known if name in names]


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
