"""The watches begin only when there is something to watch."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from serinus.app.startup import kinds_are_served
from serinus.ports import ApiError, Forbidden, Kind, NotFound, Unreachable
from serinus.reconcile import kinds

WAITING = "waiting for the CRD modeldeployments.serinus.dev"
MISSING = NotFound(404, "NotFound", "no such kind")


class Api:
    """Listings end as told, one after the other, the last of them again and again."""

    def __init__(self, *listings: ApiError | None, served: set[Kind], lag: int = 0) -> None:
        self.listings = list(listings)
        self.served = served
        self.lag = lag  # how often discovery does not know our kind yet
        self.namespaces: list[str | None] = []
        self.asked = asyncio.Event()

    async def list(self, kind: Kind, namespace: str | None, labels: Any) -> list[Any]:
        self.namespaces.append(namespace)
        self.asked.set()
        error = self.listings[0]
        if len(self.listings) > 1:
            del self.listings[0]
        if error is not None:
            raise error
        return []

    async def serves(self, kind: Kind) -> bool:
        if kind == kinds.MODEL_DEPLOYMENT and self.lag:
            self.lag -= 1
            return False
        return kind in self.served


BOTH = {kinds.MODEL_DEPLOYMENT, kinds.HTTP_ROUTE}


@pytest.fixture(autouse=True)
def quiet() -> None:
    structlog.reset_defaults()


async def waited(api: Api, *namespaces: str) -> tuple[bool, list[str]]:
    with capture_logs() as logs:
        async with asyncio.timeout(5):
            found = await kinds_are_served(api, namespaces, asyncio.Event(), poll=0.001)
    return found, [line["event"] for line in logs]


async def test_nothing_is_said_when_everything_is_there() -> None:
    api = Api(None, served=BOTH)
    assert await waited(api, "a", "b") == (True, [])
    assert api.namespaces == ["a", "b"]


async def test_a_missing_crd_is_awaited_and_told_once() -> None:
    api = Api(MISSING, MISSING, MISSING, None, served=BOTH)
    assert await waited(api) == (True, [WAITING])


async def test_discovery_may_lag_behind_the_listing() -> None:
    api = Api(None, served=BOTH, lag=2)
    assert await waited(api) == (True, [WAITING])


async def test_an_api_server_that_is_away_or_says_no_is_awaited() -> None:
    away = Unreachable(0, "Unreachable", "refused")
    api = Api(away, away, Forbidden(403, "Forbidden", "no"), MISSING, None, served=BOTH)
    told = "waiting for the API server"
    assert await waited(api) == (True, [told, told, WAITING])


async def test_missing_routes_are_told_and_not_awaited() -> None:
    found, logs = await waited(Api(None, served={kinds.MODEL_DEPLOYMENT}))
    assert found
    assert len(logs) == 1
    assert logs[0].startswith("HTTPRoutes are not served")


async def test_a_stop_ends_the_wait_at_once() -> None:
    api, stop = Api(MISSING, served=set()), asyncio.Event()
    waiting = asyncio.create_task(kinds_are_served(api, (), stop, poll=3600))
    await api.asked.wait()
    stop.set()
    assert not await asyncio.wait_for(waiting, 5)
