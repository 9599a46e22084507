"""The demo from nothing to a verdict: sandbox, models, story, summary, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from serinus.sandbox import clock
from serinus.sandbox.cluster import AlreadyUpError, Sandbox
from serinus.sandbox.demo.evidence import missing
from serinus.sandbox.demo.stage import perform
from serinus.sandbox.demo.story import HOSTNAME, NAME, NAMESPACE
from serinus.sandbox.demo.summary import Place, places, summary
from serinus.sandbox.demo.traffic import encode
from serinus.sandbox.demo.training import LiveRows, Trained, Training, TrainingError
from serinus.sandbox.parts import APISERVER, Settings
from serinus.sandbox.supervisor import PartDiedError

OK, FAILED, INTERRUPTED = 0, 1, 130
SCRAPE_INTERVAL = 1.0  # seconds; evidence is looked at every other second
FAREWELL = """
  Everything is stopped and removed. To stay and look around with kubectl:
  make demo KEEP=1. What happened here and why: README.md."""
START_DEADLINE = 150.0  # seconds until every part is ready and the models are trained


@dataclass(frozen=True, slots=True)
class Options:
    """What the user chose."""

    name: str  # of the sandbox
    keep: bool  # leave the sandbox up at the end
    rate: float  # requests per second


def run(options: Options) -> int:
    """Play the demo and tell about it; returns the exit status."""
    console = Console(highlight=False)
    try:
        status = asyncio.run(_until_told(options, console))
    except KeyboardInterrupt:
        status = INTERRUPTED
    if status == INTERRUPTED:
        console.print("\n  Stopped; nothing is left running.")
    return status


async def _until_told(options: Options, console: Console) -> int:
    """The demo; SIGTERM and SIGINT end it with everything that it started."""
    work = asyncio.ensure_future(_demo(options, console))
    loop = asyncio.get_running_loop()
    told = False

    def stop() -> None:
        nonlocal told
        told = True
        work.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        return await work
    except asyncio.CancelledError:
        if told:
            return INTERRUPTED
        raise


async def _demo(options: Options, console: Console) -> int:
    """Start, play, judge, and leave nothing behind unless that was asked for or something failed."""
    if _is_up(options.name):
        _refuse(options, console)
        return FAILED
    sandbox = Sandbox(
        Settings(name=options.name, scrape_interval=SCRAPE_INTERVAL), tie=not options.keep
    )
    with tempfile.TemporaryDirectory(prefix="serinus-demo-") as folder:
        try:
            status = await _play(sandbox, Path(folder), options, console)
        except AlreadyUpError:  # somebody was faster
            _refuse(options, console)
            return FAILED
        except (PartDiedError, TrainingError, TimeoutError) as error:
            console.print(Text(f"\n  ✗ The demo could not start: {error}", "red"))
            status = FAILED
        except BaseException:
            await _surely(sandbox.down())
            raise
        if status == OK and not options.keep:
            await _surely(sandbox.down())
            console.print(Text(FAREWELL, "dim"))
        elif status != OK:
            await _surely(_keep_files(sandbox, Path(folder), console))
        return status


async def _surely(ending: Coroutine[Any, Any, None]) -> None:
    """Stopping that was begun is finished, even if the user becomes impatient meanwhile."""
    task = asyncio.ensure_future(ending)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def _is_up(name: str) -> bool:
    """Whether a sandbox of that name runs: it is not ours to stop."""
    try:
        found = Sandbox.find(name)
    except (ValueError, KeyError, TypeError):
        return False  # its record cannot be read: starting clears it away
    return found is not None and any(state.pid is not None for state in found.states())


def _refuse(options: Options, console: Console) -> None:
    text = f"\n  A sandbox {options.name!r} is up already. End it first:\n"
    text += f"    {_command_line()} sandbox down --name {options.name}"
    console.print(text, markup=False, soft_wrap=True)


async def _play(sandbox: Sandbox, folder: Path, options: Options, console: Console) -> int:
    console.print(Text("\n  Serinus demo", "bold"))
    console.print(Text("  A cluster of local processes starts, while three models are trained.\n"))
    async with Training(folder, NAME) as training:
        async with asyncio.timeout(START_DEADLINE):
            began = time.monotonic()
            await sandbox.up(lambda part, what, s: _part(console, part, what, s))
            reports, rows = await training.trained()
        _part(console, "models", "trained", time.monotonic() - began)
        _introduce(console, reports)
        started, began = clock.now(), time.monotonic()
        evidence = await perform(sandbox, training, rows, console, rate=options.rate)
    console.print(summary(evidence, reports, started, time.monotonic() - began))
    if missing(evidence):
        return FAILED
    if options.keep:
        _explain(sandbox, rows, options, console)
    return OK


def _part(console: Console, part: str, what: str, seconds: float) -> None:
    """One line when a part is ready, or goes without; waiting for it is told to logs only."""
    ready = what in ("ready", "trained")
    if not ready and seconds and console.is_terminal:
        return
    line = Text("  ✓ ", "green") if ready else Text("  · ", "yellow")
    line.append(f"{part:12}")
    line.append(f" {what:8} {seconds:5.1f} s" if seconds else f" {what}", "dim")
    console.print(line)


def _introduce(console: Console, reports: Sequence[Trained]) -> None:
    """What each version's author would say about it."""
    console.print()
    for report in reports:
        line = Text(f"  models:/{NAME}/{report.version}  ")
        line.append(f"{report.accuracy:6.1%}", "bold")
        line.append(f" right offline  {report.description}", "dim")
        console.print(line, no_wrap=True, overflow="ellipsis")
    console.print()


async def _keep_files(sandbox: Sandbox, folder: Path, console: Console) -> None:
    """Stop everything but leave the files, for whoever wants to know why it failed."""
    with contextlib.suppress(OSError):
        shutil.copy(folder / "training.log", sandbox.log("training"))
    others = [part for part in sandbox.settings.parts if part != APISERVER]
    await asyncio.gather(*(sandbox.stop(part) for part in others))
    await sandbox.stop(APISERVER)
    console.print(Text(f"\n  Logs and state: {sandbox.state_dir}", "bold"))


def _explain(sandbox: Sandbox, rows: LiveRows, options: Options, console: Console) -> None:
    """How to go on by hand, with one real row to send."""
    example = sandbox.state_dir / "example-row.json"
    body, _ = encode(rows)[0]
    example.write_bytes(body)
    place = Place(
        sandbox=options.name,
        kubeconfig=sandbox.kubeconfig,
        gateway_url=sandbox.gateway_url,
        mlflow_url=sandbox.mlflow_url or "",
        prometheus_url=sandbox.prometheus_url,
        namespace=NAMESPACE,
        name=NAME,
        hostname=HOSTNAME,
        example_row=example,
        serinus=_command_line(),
    )
    console.print(Text("\n  The sandbox is still up. To look around:\n", "bold"))
    for line in places(place):
        console.print(f"    {line}" if line else "", markup=False, soft_wrap=True)


def _command_line() -> str:
    """The program ``serinus`` of this environment, as a user here would type it."""
    program = Path(sys.executable).with_name("serinus")
    here = Path.cwd()
    return str(program.relative_to(here) if program.is_relative_to(here) else program)
