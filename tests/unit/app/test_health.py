"""Liveness and readiness: each way to be stuck is noticed, and a standby is well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
import structlog
from structlog.testing import capture_logs
from virtual import run

from serinus.app.health import STILL, STUCK
from serinus.app.lease import Lease, lease_ref
from serinus.app.probes import serve_probes, watch_lag
from serinus.app.settings import Settings
from serinus.app.telemetry import Telemetry
from serinus.ports import Manifest, Ref, Unreachable

LIMIT = 150.0


class Api:
    """A Lease that somebody holds, or nobody; ``away``: no answer, ``hangs``: not even a refusal."""

    def __init__(self, holder: str = "") -> None:
        spec = {"holderIdentity": holder, "leaseTransitions": 4, "leaseDurationSeconds": 10**6}
        self.lease: Any = {"metadata": {"uid": "1", "resourceVersion": "1"}, "spec": spec}
        self.away = self.hangs = False

    async def _arrive(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.away:
            raise Unreachable(0, "Unreachable", "refused")

    async def get(self, ref: Ref) -> Manifest:
        await self._arrive()
        return self.lease

    async def patch(self, ref: Ref, patch: Manifest, subresource: str = "") -> Manifest:
        await self._arrive()
        self.lease = {**self.lease, "spec": {**self.lease["spec"], **patch["spec"]}}
        return self.lease


class Clock:
    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


def candidate(api: Api) -> Lease:
    return Lease(api, lease_ref("n", "serinus"), "me", Clock())


@pytest.fixture(autouse=True)
def quiet() -> None:
    structlog.reset_defaults()


def scenario(test: Callable[[Telemetry], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    async def made() -> None:
        telemetry = Telemetry()
        ticker = asyncio.create_task(watch_lag(telemetry))
        await test(telemetry)
        ticker.cancel()

    def sync() -> None:
        with capture_logs():
            run(made())

    sync.__name__ = test.__name__
    return sync


@scenario
async def test_no_resync_since_the_work_began_is_trouble(t) -> None:
    t.health.begun()
    await asyncio.sleep(LIMIT - 1)
    assert t.health.trouble(LIMIT) == ""
    await asyncio.sleep(2)
    assert t.health.trouble(LIMIT) == "no resync went through for 151 s"
    t.resynced(3)
    assert t.health.trouble(LIMIT) == ""


@scenario
async def test_a_resync_that_fails_with_an_answer_is_no_reason_for_a_restart(t) -> None:
    t.health.begun()
    for answered, told in ((True, ""), (False, "no resync went through for 300 s")):
        await asyncio.sleep(100)
        t.resync_failed(answered=answered)
        await asyncio.sleep(100)
        assert t.health.trouble(LIMIT) == told


@scenario
async def test_a_reconcile_that_does_not_end_is_trouble(t) -> None:
    with t.reconciling():
        await asyncio.sleep(STUCK - 1)
        assert t.health.trouble(LIMIT) == ""
        await asyncio.sleep(2)
        assert "in one reconcile" in t.health.trouble(LIMIT)
    assert t.health.trouble(LIMIT) == ""


def test_a_ticker_that_died_is_trouble() -> None:
    async def main() -> str:
        telemetry = Telemetry()
        await asyncio.sleep(STILL + 1)
        return telemetry.health.trouble(LIMIT)

    assert run(main()) == "the event loop has not come around for 31 s"


@scenario
async def test_a_leader_without_a_renewal_is_trouble_after_the_leases_duration(t) -> None:
    lease = candidate(Api())
    await lease.acquire()
    assert t.health.trouble(LIMIT, lease) == ""
    await asyncio.sleep(15.5)
    assert t.health.trouble(LIMIT, lease) == "the Lease was not renewed for 16 s"


@scenario
async def test_a_standby_is_alive_and_ready_for_hours_without_a_resync(t) -> None:
    lease = candidate(Api(holder="another"))
    assert t.health.unready(lease) == "the Lease was not looked at yet"
    waiting = asyncio.create_task(lease.acquire())
    await asyncio.sleep(7200)
    assert t.health.trouble(LIMIT, lease) == ""
    assert t.health.unready(lease) == ""
    waiting.cancel()


@scenario
async def test_a_standby_whose_api_server_is_away_is_unready_and_alive(t) -> None:
    api = Api(holder="another")
    lease = candidate(api)
    waiting = asyncio.create_task(lease.acquire())
    await asyncio.sleep(60)
    for api.away, api.hangs in ((True, False), (False, True)):
        await asyncio.sleep(60)
        assert t.health.trouble(LIMIT, lease) == ""
        assert "n/serinus-leader" in t.health.unready(lease)
    api.hangs = False
    await asyncio.sleep(60)
    assert t.health.unready(lease) == ""
    waiting.cancel()


@scenario
async def test_a_standby_that_no_longer_looks_at_the_lease_is_trouble(t) -> None:
    lease = candidate(Api(holder="another"))
    waiting = asyncio.create_task(lease.acquire())
    await asyncio.sleep(60)
    waiting.cancel()
    await asyncio.sleep(STILL + 3)
    assert t.health.trouble(LIMIT, lease).startswith("the Lease was not looked at for")


@scenario
async def test_a_leader_is_ready_after_its_first_resync(t) -> None:
    lease = candidate(Api())
    await lease.acquire()
    assert t.health.unready(lease) == "the first resync is not through yet"
    t.resynced(0)
    assert t.health.unready(lease) == ""


@scenario
async def test_the_lag_is_what_the_loop_is_late_by(t) -> None:
    await asyncio.sleep(10.1)
    assert t.registry.get_sample_value("serinus_operator_loop_lag_seconds_count") == 20
    assert t.registry.get_sample_value("serinus_operator_loop_lag_seconds_sum") == pytest.approx(0)
    t.lagged(3.0)
    told = t.registry.get_sample_value("serinus_operator_loop_lag_seconds_bucket", {"le": "2.5"})
    assert told == 20


async def test_the_probes_answer_503_with_the_reason(unused_tcp_port_factory: Any) -> None:
    port = unused_tcp_port_factory()
    telemetry = Telemetry()
    settings = Settings(probe_port=port, probe_host="127.0.0.1")
    serving = asyncio.create_task(serve_probes(settings, telemetry, None))
    async with aiohttp.ClientSession() as http, asyncio.timeout(10):

        async def get(path: str) -> tuple[int, str]:
            while True:
                try:
                    async with http.get(f"http://127.0.0.1:{port}{path}") as answer:
                        return answer.status, (await answer.text()).strip()
                except aiohttp.ClientConnectionError:
                    assert not serving.done()

        assert await get("/readyz") == (503, "the first resync is not through yet")
        assert await get("/healthz") == (200, "ok")
        telemetry.resynced(2)
        assert await get("/readyz") == (200, "ok")
        status, text = await get("/metrics")
        assert status == 200
        assert "serinus_operator_objects 2.0" in text
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
