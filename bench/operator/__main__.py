"""``python -m bench.operator``: the command line.

Exit codes: 0 done, 1 the operator did not do its work or the cluster is not fit for it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from bench.operator import cluster, report
from bench.operator.controllers import real_ones_run
from bench.operator.fleet import a_fleet
from bench.operator.measure import Options, Result, measure
from bench.operator.process import OperatorProcess
from serinus.sandbox.client import ApiError, ApiUnreachableError, KubeClient

_VARIABLE = "SERINUS_TEST_KUBECONFIG"
_START_SECONDS = 30.0


class _UnfitError(RuntimeError):
    """The benchmark cannot be run; the message says why."""


def main() -> int:
    """Measure, print, and write where asked to."""
    arguments = _parser().parse_args()
    options = Options(tuple(sorted(arguments.sizes)), arguments.canaries, arguments.seconds)
    for number in (signal.SIGTERM, signal.SIGINT):  # so that nothing is left running
        signal.signal(number, lambda *_: sys.exit(130))
    date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="serinus-bench-") as folder:
        server, results = "", list[Result]()
        log = arguments.log or Path(folder, "operator.log")
        try:
            server, results = asyncio.run(_run(Path(folder), log, options))
        except* (_UnfitError, cluster.NotInTimeError) as failed:
            for error in _leaves(failed):
                _say(f"{error}")
            sys.stderr.write(log.read_text()[-3000:] if log.exists() else "")
    if not results:
        return 1
    text = "\n\n".join(
        (report.surroundings(date, server, options, load_before), report.table(results))
    )
    sys.stdout.write(f"{text}\n")
    if arguments.docs is not None:
        report.write(arguments.docs, text)
    if arguments.json is not None:
        document = {"surroundings": text, "results": [asdict(result) for result in results]}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0


def _leaves(group: BaseException) -> Iterator[BaseException]:
    if isinstance(group, BaseExceptionGroup):
        for part in group.exceptions:
            yield from _leaves(part)
    else:
        yield group


async def _run(folder: Path, log: Path, options: Options) -> tuple[str, list[Result]]:
    async with _api_server(folder) as (name, admin), KubeClient.from_kubeconfig(admin) as client:
        if await real_ones_run(client):
            text = "a controller manager runs there, which would be measured, too: stop it first"
            raise _UnfitError(text)
        await cluster.install(client)
        if (await client.list(cluster.MODEL_DEPLOYMENTS)).items:
            raise _UnfitError("there are ModelDeployments already: use a cluster for tests")
        try:
            kubeconfig = await cluster.operator_kubeconfig(client, admin, folder)
        except ApiError as error:
            _say(f"the operator has all rights: there are no tokens for accounts ({error})")
            kubeconfig = admin
        async with a_fleet(client, admin, folder) as fleet:
            settings = {"SERINUS_PROMETHEUS_URL": fleet.prometheus_url}
            operator = OperatorProcess(kubeconfig, log, settings)
            try:
                return name, await measure(fleet, operator, options, _say)
            finally:
                if operator.running:
                    operator.kill()


@asynccontextmanager
async def _api_server(folder: Path) -> AsyncIterator[tuple[str, Path]]:
    """Name and admin kubeconfig of the API server in the environment, else of the sandbox's."""
    if named := os.environ.get(_VARIABLE):
        admin = Path(named)
        async with KubeClient.from_kubeconfig(admin) as client:
            version = (await client.raw("/version"))["gitVersion"]
        yield f"kube-apiserver {version} on the same cores", admin
        return
    _say(f"{_VARIABLE} is not set: the sandbox's API server is used")
    admin = folder / "kubeconfig"
    command = [sys.executable, "-m", "serinus.sandbox.apiserver", "--kubeconfig", str(admin)]
    with (folder / "apiserver.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)  # noqa: ASYNC220, S603 - our own command
    try:

        async def serves() -> bool:
            return admin.exists()

        await cluster.eventually("the API server serves", serves, _START_SECONDS)
        yield "the sandbox's API server on the same cores", admin
    finally:
        process.terminate()
        process.wait(10)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.operator",
        description="What the operator costs with many resources, on the API server of the kubeconfig "
        f"in {_VARIABLE}, which must be a cluster for tests without a controller manager.",
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[100, 1000], metavar="N",
        help="numbers of resources (100 1000)",
    )  # fmt: skip
    parser.add_argument("--canaries", type=int, default=20, help="that advance (%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=90.0, help="measured at rest, 3 resyncs (%(default)s)"
    )
    parser.add_argument("--docs", type=Path, help="write the table between this file's markers")
    parser.add_argument("--log", type=Path, metavar="FILE", help="of the operator, added to")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values there, too")
    return parser


def _say(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ApiUnreachableError as error:
        _say(str(error))
        sys.exit(1)
