"""Runs the story in a cluster that is up: requests, watches, live view, and the judgement."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from rich.console import Console
from rich.live import Live

from serinus.sandbox import clock
from serinus.sandbox.client import ApiError, ApiUnreachableError, KubeClient
from serinus.sandbox.cluster import Sandbox
from serinus.sandbox.demo import view
from serinus.sandbox.demo.evidence import BETTER, FIRST, WORSE, Evidence
from serinus.sandbox.demo.frame import Frame, Scene, frame
from serinus.sandbox.demo.story import HOSTNAME, NAME, NAMESPACE, SPEC, Story, StoryError
from serinus.sandbox.demo.traffic import Account, Load, Outcome, Recent
from serinus.sandbox.demo.training import LiveRows, Training, TrainingError
from serinus.sandbox.demo.watched import Watched

REFRESH_SECONDS = 0.25
OVERALL_DEADLINE = 300.0  # seconds; the acts' own deadlines usually speak first


class PartLostError(Exception):
    """A part of the sandbox ended while the story was played."""


EXPECTED = (StoryError, TrainingError, PartLostError, ApiError, ApiUnreachableError)


async def perform(
    sandbox: Sandbox, training: Training, rows: LiveRows, console: Console, *, rate: float
) -> Evidence:
    """Play the story and show it; whatever goes wrong is part of the evidence."""
    began = clock.now()
    async with KubeClient.from_kubeconfig(sandbox.kubeconfig) as client:
        account = Account()
        load = Load(sandbox.gateway_url, HOSTNAME, rows, account, rate=rate)
        watched = Watched(client, NAMESPACE, NAME)
        story = Story(client, watched, account, load)
        registered = {version: asyncio.Event() for version in (FIRST, BETTER, WORSE)}
        try:
            async with asyncio.timeout(OVERALL_DEADLINE), asyncio.TaskGroup() as group:
                helpers = [
                    group.create_task(watched.run()),
                    group.create_task(_register(training, sandbox.mlflow_url or "", registered)),
                    group.create_task(_guard(sandbox)),
                    group.create_task(_show(console, began, story, watched, account)),
                ]
                try:
                    await story.play(registered)
                finally:
                    for helper in helpers:
                        helper.cancel()
        except* TimeoutError:
            story.evidence.trouble = f"the demo did not end within {OVERALL_DEADLINE:.0f} s"
        except* EXPECTED as errors:
            story.evidence.trouble = "; ".join(str(error) for error in _leaves(errors))
    return story.evidence


async def _guard(sandbox: Sandbox) -> None:
    """Raises PartLostError as soon as a part of the sandbox does not run any more."""
    dead = await sandbox.wait_for_a_death()
    raise PartLostError(f"{dead.name} ended unexpectedly; its log: {dead.log}")


async def _register(
    training: Training, mlflow_url: str, registered: Mapping[str, asyncio.Event]
) -> None:
    async for uri in training.register(mlflow_url):
        version = uri.rpartition("/")[2]
        if version not in registered:
            raise TrainingError(f"the registry gave {uri}: it is not empty")
        registered[version].set()


async def _show(
    console: Console, began: datetime, story: Story, watched: Watched, account: Account
) -> None:
    """Draw until cancelled, and once more then."""

    def now() -> Frame:
        return _frame(began, story, watched, account)

    if not console.is_terminal or console.is_dumb_terminal:
        await _tell(console, now)
        return
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        try:
            while True:
                live.update(view.render(now(), console.width), refresh=True)
                await asyncio.sleep(REFRESH_SECONDS)
        finally:
            live.update(view.render(now(), console.width), refresh=True)


async def _tell(console: Console, now: Callable[[], Frame]) -> None:
    """Lines of what changed, for logs and pipes."""
    before: Frame | None = None

    def tell() -> None:
        nonlocal before
        after = now()
        for line in view.changes(before, after):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        before = after

    try:
        while True:
            tell()
            await asyncio.sleep(REFRESH_SECONDS)
    finally:
        tell()


def _frame(began: datetime, story: Story, watched: Watched, account: Account) -> Frame:
    at = asyncio.get_running_loop().time()
    recent: dict[str, Recent] = {v: account.recent(v, at) for v in account.versions()}
    return frame(
        Scene(
            now=clock.now(),
            began=began,
            act=story.act,
            spec=SPEC,
            status=watched.status,
            recent=recent,
            requests=account.total(),
            refused=account.total(outcome=Outcome.REFUSED),
            wrong=account.total(outcome=Outcome.WRONG),
            story=tuple(watched.story),
        )
    )


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
