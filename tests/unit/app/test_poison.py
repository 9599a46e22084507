"""An object that crashes every reconcile: told in a condition, left alone, tried when it changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import structlog
from memory import CR, KEY, MemoryKube, Shell
from structlog.testing import capture_logs
from virtual import run

from serinus.app.telemetry import Telemetry
from serinus.app.worker import Worker
from serinus.app.workqueue import WorkQueue
from serinus.ports import Conflict, Kind, Manifest, Unreachable
from serinus.reconcile.deps import Key
from serinus.reconcile.poison import CRASHES, REASON, RETRY


class Buggy(MemoryKube):
    """Listing children raises ``error``."""

    error: Exception | None = None
    tries = 0

    async def list(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str]
    ) -> Sequence[Manifest]:
        if kind.plural == "deployments":
            self.tries += 1
        if self.error is not None:
            raise self.error
        return await super().list(kind, namespace, labels)


class World:
    def __init__(self) -> None:
        shell = Shell()
        self.kube = Buggy()
        self.kube.put(CR, {"spec": {"model": {"uri": "models:/churn/1"}}})
        self.kube.error = KeyError("password=hunter2")
        self.queue: WorkQueue[Key] = WorkQueue()
        self.telemetry = Telemetry()
        self.worker = Worker(self.queue, replace(shell.deps, kube=self.kube), self.telemetry)

    @property
    def ready(self) -> dict[str, Any]:
        conditions = self.kube[CR].get("status", {}).get("conditions", ())
        return next((c for c in conditions if c["type"] == "Ready"), {})

    @property
    def poisoned(self) -> float | None:
        return self.telemetry.registry.get_sample_value("serinus_operator_poison_objects")

    async def crash(self, times: int = CRASHES) -> None:
        for _ in range(times):
            await self.worker._once(KEY)


@pytest.fixture(autouse=True)
def quiet() -> None:
    structlog.reset_defaults()


def scenario(test: Callable[[World], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    async def made() -> None:
        await test(World())

    def sync() -> None:
        with capture_logs():
            run(made())

    sync.__name__ = test.__name__
    return sync


@scenario
async def test_five_crashes_in_a_row_are_told_in_a_condition_without_the_errors_text(w) -> None:
    await w.crash(CRASHES - 1)
    assert w.ready == {}
    assert w.poisoned == 0
    await w.crash(1)
    assert (w.ready["status"], w.ready["reason"]) == ("False", REASON)
    assert "KeyError" in w.ready["message"]
    assert "hunter2" not in w.ready["message"]
    assert w.poisoned == 1
    assert [verb for verb, *_ in w.kube.writes] == ["patch status"]


@scenario
async def test_a_success_in_between_starts_the_count_anew(w) -> None:
    await w.crash(CRASHES - 1)
    w.kube.error, error = None, w.kube.error
    await w.crash(1)
    w.kube.error = error
    await w.crash(CRASHES - 1)
    assert w.ready.get("reason") != REASON
    assert w.poisoned == 0


@scenario
async def test_events_that_change_nothing_of_the_object_do_not_try_it_again(w) -> None:
    await w.crash()
    tries = w.kube.tries
    for _ in range(10):
        assert await w.worker._once(KEY) == "quarantined"
    assert w.kube.tries == tries


@scenario
async def test_a_change_of_the_object_tries_it_at_once_and_a_success_takes_the_condition_back(
    w,
) -> None:
    await w.crash()
    w.kube.put(CR, w.kube[CR])
    assert await w.worker._once(KEY) == "crash"
    assert await w.worker._once(KEY) == "quarantined"
    w.kube.error = None
    w.kube.put(CR, w.kube[CR])
    assert await w.worker._once(KEY) == "ok"
    assert w.ready["reason"] != REASON
    assert w.poisoned == 0


@scenario
async def test_it_is_tried_again_every_five_minutes_without_another_write(w) -> None:
    task = asyncio.create_task(w.worker.run())
    w.queue.add(KEY)
    await asyncio.sleep(60)
    tries = w.kube.tries
    assert tries == CRASHES
    await asyncio.sleep(3 * RETRY)
    assert w.kube.tries == tries + 3
    assert len(w.kube.writes) == 1
    task.cancel()


@scenario
async def test_one_object_that_crashes_does_not_keep_the_others_waiting(w) -> None:
    done = asyncio.Event()

    class Other(Buggy):
        async def get(self, ref: Any) -> Manifest | None:
            if ref.name == "other":
                done.set()
                return None
            return await super().get(ref)

    w.kube.__class__ = Other
    task = asyncio.create_task(w.worker.run())
    w.queue.add(KEY)
    w.queue.add(Key("ml", "other"))
    await asyncio.wait_for(done.wait(), 0.1)
    task.cancel()


@scenario
async def test_a_condition_that_could_not_be_written_is_written_at_the_next_look(w) -> None:
    w.kube.refuse["patch status", "ModelDeployment"] = Unreachable(0, "Unreachable", "away")
    await w.crash()
    assert w.ready == {}
    w.kube.refuse.clear()
    assert await w.worker._once(KEY) == "quarantined"
    assert w.ready["reason"] == REASON


@scenario
async def test_a_status_that_somebody_else_writes_meanwhile_is_not_overwritten(w) -> None:
    seen = []

    class Racing(Buggy):
        async def patch(self, ref: Any, patch: Manifest, subresource: str = "") -> Manifest:
            if not seen:
                seen.append(patch)
                self[ref]["status"] = {"conditions": [{"type": "Other", "status": "True"}]}
                self.put(ref, self[ref])
                raise Conflict(409, "Conflict", "changed")
            return await super().patch(ref, patch, subresource)

    w.kube.__class__ = Racing
    await w.crash()
    assert w.ready["reason"] == REASON
    assert {"type": "Other", "status": "True"} in w.kube[CR]["status"]["conditions"]


@scenario
async def test_an_object_that_is_gone_leaves_quarantine(w) -> None:
    await w.crash()
    w.kube.objects.clear()
    assert await w.worker._once(KEY) == "gone"
    assert w.poisoned == 0
