"""At most one operator writes, whatever clocks, answers and people do."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs
from virtual import run

from serinus.app.lease import Lease, LeaseLost, LeaseTimes, lease_ref
from serinus.kube.fence import Deposed, FencedKube
from serinus.ports import ApiError, Conflict, Forbidden, Manifest, NotFound, Ref, Unreachable
from serinus.reconcile import kinds

REF = lease_ref("serinus-system", "serinus")
AWAY = Unreachable(0, "Unreachable", "refused")


class Server:
    """One Lease with optimistic concurrency. ``before`` and ``after`` may raise or wait."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0

    @property
    def spec(self) -> dict[str, Any]:
        return self.lease["spec"]

    def write(self, spec: dict[str, Any], metadata: dict[str, Any] | None = None) -> Manifest:
        self.version += 1
        meta = {"uid": "1", **(metadata or {}), "resourceVersion": str(self.version)}
        self.lease = {"metadata": meta, "spec": spec}
        return copy.deepcopy(self.lease)


class Client:
    """One candidate's way to the server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.refusal: ApiError | None = None
        self.loses_answers = False
        self.hangs = False
        self.tried: list[tuple[str, float]] = []

    async def _arrive(self, verb: str) -> None:
        self.tried.append((verb, asyncio.get_running_loop().time()))
        if self.hangs:
            await asyncio.sleep(3600)
        if self.refusal is not None:
            raise self.refusal

    def _answer(self, made: Manifest) -> Manifest:
        if self.loses_answers:
            raise AWAY
        return made

    async def get(self, ref: Ref) -> Manifest | None:
        await self._arrive("get")
        return copy.deepcopy(self.server.lease)

    async def create(self, ref: Ref, manifest: Manifest) -> Manifest:
        await self._arrive("create")
        if self.server.lease is not None:
            raise Conflict(409, "AlreadyExists", "it is there")
        return self._answer(self.server.write(dict(manifest["spec"]), dict(manifest["metadata"])))

    async def patch(self, ref: Ref, patch: Manifest, subresource: str = "") -> Manifest:
        await self._arrive("patch")
        live = self.server.lease
        if live is None:
            raise NotFound(404, "NotFound", "no such lease")
        if live["metadata"]["resourceVersion"] != patch["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", "the object has been modified")
        spec = {**live["spec"], **patch["spec"]}
        return self._answer(self.server.write({k: v for k, v in spec.items() if v is not None}))


class Clock:
    """A wall clock that may be far off, and runs with the loop."""

    def __init__(self, ahead: timedelta = timedelta()) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        passed = timedelta(seconds=asyncio.get_running_loop().time())
        return datetime(2026, 1, 1, tzinfo=UTC) + passed + self.ahead


class World:
    def __init__(self) -> None:
        self.server = Server()

    def candidate(self, name: str, **clock: Any) -> tuple[Lease, Client]:
        client = Client(self.server)
        return Lease(client, REF, name, Clock(**clock), LeaseTimes()), client


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture(autouse=True)
def quiet() -> None:
    structlog.reset_defaults()


@pytest.fixture
def world() -> World:
    return World()


def scenario(test: Callable[[World], Any]) -> Callable[[World], None]:
    def sync(world: World) -> None:
        with capture_logs():
            run(test(world))

    sync.__name__ = test.__name__
    return sync


@scenario
async def test_the_first_candidate_leads_at_once_with_an_epoch_above_zero(world: World) -> None:
    lease, _ = world.candidate("a")
    assert await lease.acquire() == lease.epoch == world.server.spec["leaseTransitions"]
    assert lease.epoch > 0
    assert lease.fresh()
    assert now() == 0
    assert world.server.spec["holderIdentity"] == "a"


@scenario
async def test_a_holder_that_renews_keeps_it_for_hours(world: World) -> None:
    first, _ = world.candidate("a")
    second, _ = world.candidate("b", ahead=timedelta(days=3))
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(7200)
    assert first.fresh()
    assert not waiting.done()
    assert not second.fresh()
    holding.cancel()
    waiting.cancel()


@pytest.mark.parametrize("hours", [-100, 0, 100])
def test_a_dead_holder_is_replaced_after_its_duration_whatever_the_wall_clocks_say(
    world: World, hours: int
) -> None:
    async def main() -> None:
        first, _ = world.candidate("a")
        second, _ = world.candidate("b", ahead=timedelta(hours=hours))
        epoch = await first.acquire()
        assert await second.acquire() == epoch + 1
        assert 15 < now() <= 15 + 2 * 2
        assert not first.fresh()

    with capture_logs():
        run(main())


@scenario
async def test_the_duration_counts_from_when_the_candidate_first_saw_the_record(
    world: World,
) -> None:
    first, _ = world.candidate("a")
    await first.acquire()
    await asyncio.sleep(3600)
    began = now()
    second, _ = world.candidate("b")
    await second.acquire()
    assert now() - began > 15


@scenario
async def test_a_released_lease_is_taken_within_one_retry(world: World) -> None:
    first, _ = world.candidate("a")
    second, _ = world.candidate("b")
    epoch = await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(5)
    began = now()
    await first.release()
    assert not first.fresh()
    assert await waiting == epoch + 1
    assert now() - began <= 2


@scenario
async def test_a_candidate_that_is_stopped_before_it_hears_that_it_won_releases_too(
    world: World,
) -> None:
    lease, client = world.candidate("a")
    client.loses_answers = True
    waiting = asyncio.create_task(lease.acquire())
    await asyncio.sleep(1)
    waiting.cancel()
    assert world.server.spec["holderIdentity"] == "a"
    client.loses_answers = False
    await lease.release()
    assert "holderIdentity" not in world.server.spec


@scenario
async def test_a_standby_that_never_wrote_asks_nothing_when_it_is_stopped(world: World) -> None:
    first, _ = world.candidate("a")
    await first.acquire()
    second, client = world.candidate("b")
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(5)
    waiting.cancel()
    before = list(client.tried)
    await second.release()
    assert client.tried == before


@scenario
async def test_a_holder_that_cannot_renew_stops_before_anybody_else_may_begin(world: World) -> None:
    first, client = world.candidate("a")
    second, _ = world.candidate("b")
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    holding = asyncio.create_task(first.hold())
    await asyncio.sleep(31)
    client.refusal = AWAY
    with pytest.raises(LeaseLost, match="not renewed"):
        await holding
    assert not first.fresh()
    assert not waiting.done()
    assert now() <= 31 + 10 + 2
    await waiting
    assert now() > 30 + 15


@scenario
async def test_writes_end_with_the_deadline_even_while_the_renewal_hangs(world: World) -> None:
    lease, client = world.candidate("a")
    await lease.acquire()
    fenced = FencedKube(client, lease.fresh)
    holding = asyncio.create_task(lease.hold())
    await asyncio.sleep(1)
    client.hangs = True
    await asyncio.sleep(8)
    assert lease.fresh()
    await asyncio.sleep(1.01)
    client.hangs = False
    before = list(client.tried)
    for write in (
        fenced.patch(REF, {}),
        fenced.create(REF, {}),
        fenced.delete(REF, ""),
    ):
        with pytest.raises(Deposed, match="leases serinus-system/serinus-leader"):
            await write
    assert client.tried == before
    await fenced.get(REF)
    with pytest.raises(LeaseLost):
        await holding


@scenario
async def test_one_connection_that_hangs_leaves_time_for_another(world: World) -> None:
    lease, client = world.candidate("a")
    await lease.acquire()
    holding = asyncio.create_task(lease.hold())
    client.hangs = True
    await asyncio.sleep(7.5)
    client.hangs = False
    await asyncio.sleep(60)
    assert lease.fresh()
    holding.cancel()


@scenario
async def test_a_lease_that_another_took_is_lost_at_the_next_renewal(world: World) -> None:
    lease, _ = world.candidate("a")
    await lease.acquire()
    holding = asyncio.create_task(lease.hold())
    await asyncio.sleep(3)
    world.server.write({**world.server.spec, "holderIdentity": "b"})
    with pytest.raises(LeaseLost, match="held by b"):
        await holding
    assert now() <= 5
    await lease.release()
    assert world.server.spec["holderIdentity"] == "b"


@scenario
async def test_a_deleted_lease_is_lost_and_the_next_epoch_is_still_higher(world: World) -> None:
    lease, _ = world.candidate("a")
    epoch = await lease.acquire()
    holding = asyncio.create_task(lease.hold())
    await asyncio.sleep(90)
    world.server.lease = None
    with pytest.raises(LeaseLost, match="deleted"):
        await holding
    second, _ = world.candidate("b")
    assert await second.acquire() > epoch


@scenario
async def test_somebody_who_only_annotates_the_lease_takes_nothing(world: World) -> None:
    lease, _ = world.candidate("a")
    await lease.acquire()
    holding = asyncio.create_task(lease.hold())
    await asyncio.sleep(3)
    world.server.write(world.server.spec)
    await asyncio.sleep(60)
    assert lease.fresh()
    holding.cancel()


@scenario
async def test_a_renewal_whose_answer_was_lost_is_looked_up(world: World) -> None:
    lease, client = world.candidate("a")
    epoch = await lease.acquire()
    holding = asyncio.create_task(lease.hold())
    client.loses_answers = True
    await asyncio.sleep(5)
    client.loses_answers = False
    await asyncio.sleep(60)
    assert lease.fresh()
    assert lease.epoch == epoch
    holding.cancel()


@scenario
async def test_an_acquisition_whose_answer_was_lost_is_found_at_the_next_look(world: World) -> None:
    lease, client = world.candidate("a")
    client.loses_answers = True
    waiting = asyncio.create_task(lease.acquire())
    await asyncio.sleep(1)
    client.loses_answers = False
    assert await waiting == world.server.spec["leaseTransitions"]
    assert now() <= 2


@scenario
async def test_of_two_that_find_it_free_one_wins(world: World) -> None:
    candidates = [world.candidate(name)[0] for name in "abc"]
    tasks = [asyncio.create_task(candidate.acquire()) for candidate in candidates]
    await asyncio.sleep(10)
    assert sum(task.done() for task in tasks) == 1
    for task in tasks:
        task.cancel()


@scenario
async def test_a_record_without_numbers_is_no_reason_to_crash(world: World) -> None:
    world.server.write({"holderIdentity": "kubectl"})
    lease, _ = world.candidate("a")
    assert await lease.acquire() == 1
    assert now() > 15


def test_missing_rights_are_told_once_and_clearly_and_awaited(world: World) -> None:
    async def main() -> None:
        lease, client = world.candidate("a")
        client.refusal = Forbidden(403, "Forbidden", "cannot get leases")
        waiting = asyncio.create_task(lease.acquire())
        await asyncio.sleep(30)
        assert "manifests/rbac.yaml" in lease.trouble
        assert lease.idle() <= 2
        client.refusal = None
        await waiting
        assert lease.trouble == ""

    with capture_logs() as logs:
        run(main())
    told = [line for line in logs if line["log_level"] == "warning"]
    assert len(told) == 1
    assert "SERINUS_LEADER_ELECTION=false" in told[0]["error"]


def test_times_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="renew deadline < duration"):
        LeaseTimes(duration=10, renew_deadline=10, retry=2)


def test_two_installations_have_two_leases() -> None:
    assert lease_ref("n", "a") != lease_ref("n", "b")
    assert lease_ref("n", "a").kind is kinds.LEASE


@scenario
async def test_an_epoch_below_one_that_was_written_is_raised_by_the_holder_alone(
    world: World,
) -> None:
    (lease, _), (other, _) = world.candidate("a"), world.candidate("b")
    epoch = await lease.acquire()
    await lease.outrank(epoch + 7)
    assert lease.epoch == world.server.spec["leaseTransitions"] == epoch + 8
    await other.outrank(epoch + 20)
    assert world.server.spec["leaseTransitions"] == epoch + 8
    await lease.outrank(epoch)  # ours is the higher one
    assert lease.epoch == epoch + 8
