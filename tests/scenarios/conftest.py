"""Real parts for the stories: a sandbox, real models in a real registry, real requests through Envoy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from story import MODEL, Story

from serinus.kube.client import connect
from serinus.sandbox.cluster import Sandbox
from serinus.sandbox.demo.training import LiveRows, Training
from serinus.sandbox.parts import Settings

SCRAPE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class World:
    """A sandbox whose registry has versions 1, 2 and 3, and rows that ask them."""

    sandbox: Sandbox
    rows: LiveRows


async def _with_models(sandbox: Sandbox, folder: Path) -> World:
    async with Training(folder, MODEL) as training:
        await sandbox.up()
        _, rows = await training.trained()
        registered = [uri async for uri in training.register(sandbox.mlflow_url or "")]
    assert registered == [f"models:/{MODEL}/{version}" for version in (1, 2, 3)]
    return World(sandbox, rows)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """With Prometheus where the program is; without it the same stories hold."""
    folder = tmp_path_factory.mktemp("world")
    settings = Settings(name="test", scrape_interval=SCRAPE_SECONDS)
    sandbox = Sandbox(settings, folder=folder / "sandbox", tie=True)
    try:
        yield asyncio.run(_with_models(sandbox, folder))
    finally:
        asyncio.run(sandbox.down())


@pytest.fixture(scope="session")
def world_without_prometheus(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A second sandbox beside the first, with the first one's registry."""
    settings = Settings(
        name="test-scrape",
        with_mlflow=False,
        with_prometheus=False,
        operator_env={"SERINUS_MLFLOW_TRACKING_URI": world.sandbox.mlflow_url or ""},
    )
    folder = tmp_path_factory.mktemp("scrape") / "sandbox"
    sandbox = Sandbox(settings, folder=folder, tie=True)
    try:
        asyncio.run(sandbox.up())
        yield World(sandbox, world.rows)
    finally:
        asyncio.run(sandbox.down())


async def _told_in(world: World) -> AsyncIterator[Story]:
    kube = await connect(str(world.sandbox.kubeconfig))
    try:
        async with Story(world.sandbox, kube, world.rows) as told:
            yield told
    finally:
        await kube.close()


@pytest.fixture
async def story(world: World) -> AsyncIterator[Story]:
    async for told in _told_in(world):
        yield told


@pytest.fixture
async def story_without_prometheus(world_without_prometheus: World) -> AsyncIterator[Story]:
    async for told in _told_in(world_without_prometheus):
        yield told
