"""Leader election on a Lease, and the epoch that goes with it: at most one operator writes.

Whether another holder is gone is judged by how long *we* have seen its record unchanged, on the event
loop's clock: the times in the record are another machine's and are only for people. An election alone
fences nothing, so who holds the Lease asks :meth:`Lease.fresh` before every write (``kube.fence``).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any, NoReturn

import structlog

from serinus.ports import ApiError, Clock, Conflict, Forbidden, KubeApi, Manifest, NotFound, Ref
from serinus.reconcile import kinds
from serinus.reconcile.rules import lease_name

log = structlog.get_logger("serinus")

MOST_EPOCHS = 2**31 - 1  # spec.leaseTransitions is an int32


class LeaseLost(Exception):
    """Somebody else may hold the Lease now: this process has to end without another write."""


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Seconds. A holder stops writing after ``renew_deadline``, others wait for ``duration``."""

    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.retry < self.renew_deadline < self.duration:
            raise ValueError(f"a Lease needs retry < renew deadline < duration: {self}")


class Lease:
    """One candidate. :meth:`acquire`, then :meth:`hold` beside the work, then :meth:`release`.

    Args:
        kube: not fenced, as it carries the Lease itself.
        identity: of this process alone; a restarted process is another candidate.
    """

    def __init__(
        self, kube: KubeApi, ref: Ref, identity: str, clock: Clock, times: LeaseTimes | None = None
    ) -> None:
        self._kube, self._ref, self._identity, self._clock = kube, ref, identity, clock
        self.times = times or LeaseTimes()
        self._epoch = 0
        self._version = ""  # of our own last write; empty: read first
        self._renewed: float | None = None  # when the last renewal that went through was sent
        self._seen: Mapping[str, Any] = {}  # another holder's record, and since when it is the same
        self._seen_at = 0.0
        self._tried: float | None = None
        self._wrote = False
        self._trouble = "the Lease was not looked at yet"

    def __str__(self) -> str:
        return f"{self._ref.namespace}/{self._ref.name}"

    @property
    def epoch(self) -> int:
        """Grows with every change of holder; 0 before the first acquisition."""
        return self._epoch

    @property
    def leading(self) -> bool:
        """Whether this process holds the Lease, as far as it knows."""
        return self._renewed is not None

    @property
    def trouble(self) -> str:
        """Why the last attempt got no answer that it can work with; empty when it did."""
        return self._trouble

    def age(self) -> float:
        """Seconds since the last renewal was sent; infinite when not the holder."""
        return _now() - self._renewed if self._renewed is not None else float("inf")

    def idle(self) -> float:
        """Seconds since the Lease was last tried, with whatever result; 0 before the first time."""
        return _now() - self._tried if self._tried is not None else 0.0

    def fresh(self) -> bool:
        """Whether it is certain that nobody else holds the Lease: only then may anything be written."""
        return self.age() < self.times.renew_deadline

    async def acquire(self) -> int:
        """Waits until the Lease is ours; the new epoch."""
        while True:
            self._tried = _now()
            try:
                async with asyncio.timeout(self.times.renew_deadline / 2):
                    if await self._try():
                        self._tell("")
                        log.info("this operator leads", lease=str(self), epoch=self._epoch)
                        return self._epoch
                self._tell("")
            except Conflict:
                self._tell("")  # another candidate was faster: it shows in the next look
            except (ApiError, TimeoutError) as e:
                self._tell(self._explain(e))
            await asyncio.sleep(self.times.retry)

    async def hold(self) -> NoReturn:
        """Renews until the Lease is lost.

        Raises:
            LeaseLost: another holder, or no renewal went through within the deadline.
        """
        while True:
            await asyncio.sleep(self.times.retry)
            left = self.times.renew_deadline - self.age()
            self._tried = sent = _now()
            try:
                # Half of the deadline, so that one connection that hangs leaves time for another.
                async with asyncio.timeout(max(0.0, min(left, self.times.renew_deadline / 2))):
                    await self._renew(sent)
                self._tell("")
            except (ApiError, TimeoutError) as e:
                self._version = ""  # it may have gone through: look before the next attempt
                self._tell(self._explain(e))
            if not self.fresh():
                self._lose(f"not renewed for {self.age():.1f} s: {self._trouble or 'too late'}")

    async def outrank(self, epoch: int) -> None:
        """Raises our epoch above one that an object carries, if we are still the holder.

        A Lease that was deleted and made anew may begin below the epochs of before.

        Raises:
            ApiError: the Lease could not be read or written.
        """
        live = await self._kube.get(self._ref)
        if live is None or _holder(live) != self._identity or _transitions(live) > epoch:
            return  # lost, which the next renewal finds out, or raised already
        log.warning("the Lease is younger than what was written", epoch=self._epoch, found=epoch)
        raised = {"leaseTransitions": min(epoch + 1, MOST_EPOCHS), "renewTime": self._time()}
        written = await self._write(live, raised)
        self._epoch, self._version = _transitions(written), written["metadata"]["resourceVersion"]

    async def release(self) -> None:
        """Lets the next operator begin at once. Only when every writer of this process has ended.

        What is written depends on who holds the Lease now: it may be us without our knowing, when the
        process was stopped before an answer came.
        """
        if not self._wrote:
            return
        self._renewed = None
        try:
            async with asyncio.timeout(self.times.retry):
                live = await self._kube.get(self._ref)
                if live is not None and _holder(live) == self._identity:
                    await self._write(live, {"holderIdentity": None, "renewTime": self._time()})
        except (ApiError, TimeoutError) as e:
            log.warning("the Lease was not released; it runs out by itself", error=str(e))

    async def _try(self) -> bool:
        """One look at the Lease; takes it when nobody has it."""
        sent = _now()
        live = await self._kube.get(self._ref)
        if live is None:
            self._wrote = True
            made = await self._kube.create(self._ref, self._manifest())
            self._won(sent, made)
            return True
        spec = live.get("spec") or {}
        holder = _holder(live)
        if holder == self._identity:  # a write of ours that got no answer
            self._won(sent, await self._write(live, {"renewTime": self._time()}))
            return True
        if holder and not self._run_out(spec):
            return False
        epoch = min(_transitions(live) + 1, MOST_EPOCHS)
        self._won(sent, await self._write(live, {**self._record(), "leaseTransitions": epoch}))
        return True

    def _run_out(self, spec: Mapping[str, Any]) -> bool:
        """Whether another's record stayed the same for its whole duration, while we looked."""
        now = _now()
        if spec != self._seen:
            if spec.get("holderIdentity") != self._seen.get("holderIdentity"):
                log.info("another operator leads", lease=str(self), holder=_told(spec))
            self._seen, self._seen_at = spec, now
        duration = float(spec.get("leaseDurationSeconds") or self.times.duration)
        return now - self._seen_at > duration

    async def _renew(self, sent: float) -> None:
        record = {"renewTime": self._time()}
        if self._version:
            body = {"metadata": {"resourceVersion": self._version}, "spec": record}
            try:
                written = await self._kube.patch(self._ref, body)
            except (Conflict, NotFound):
                self._version = ""  # somebody wrote to it: see who holds it
            else:
                self._renew_done(sent, written)
                return
        live = await self._kube.get(self._ref)
        if live is None:
            self._lose("it was deleted")
        if _holder(live) != self._identity or _transitions(live) != self._epoch:
            self._lose(f"held by {_told(live.get('spec') or {})}")
        self._renew_done(sent, await self._write(live, record))

    def _renew_done(self, sent: float, written: Manifest) -> None:
        self._renewed, self._version = sent, written["metadata"]["resourceVersion"]

    async def _write(self, live: Manifest, record: Mapping[str, Any]) -> Manifest:
        """Compare-and-set on exactly what was looked at."""
        self._wrote = True
        meta = {k: live["metadata"][k] for k in ("resourceVersion", "uid")}
        return await self._kube.patch(self._ref, {"metadata": meta, "spec": dict(record)})

    def _won(self, sent: float, written: Manifest) -> None:
        self._renew_done(sent, written)
        self._epoch = _transitions(written)

    def _lose(self, why: str) -> NoReturn:
        self._renewed = None
        raise LeaseLost(f"the Lease {self} is lost: {why}")

    def _manifest(self) -> dict[str, Any]:
        """A first Lease. Its epoch is above all those of a Lease that was there and was deleted: holders
        change less often than every ten seconds, so the tens of seconds since 1970 are ahead of them."""
        epoch = min(max(1, int(self._clock.now().timestamp() // 10)), MOST_EPOCHS)
        return {
            "apiVersion": self._ref.kind.api_version,
            "kind": self._ref.kind.kind,
            "metadata": {"name": self._ref.name, "namespace": self._ref.namespace},
            "spec": {**self._record(), "leaseTransitions": epoch},
        }

    def _record(self) -> dict[str, Any]:
        now = self._time()
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": math.ceil(self.times.duration),
            "acquireTime": now,
            "renewTime": now,
        }

    def _time(self) -> str:
        text = self._clock.now().astimezone(UTC).isoformat(timespec="microseconds")
        return text.replace("+00:00", "Z")

    def _explain(self, error: Exception) -> str:
        where = f"the Lease {self}"
        if isinstance(error, Forbidden):
            return (
                f"{where} may not be read or written: apply manifests/rbac.yaml, or set "
                f"SERINUS_LEADER_ELECTION=false for a single operator ({error})"
            )
        if isinstance(error, NotFound):
            return (
                f"there is no place for {where}: make the namespace, or name another one in "
                f"SERINUS_LEASE_NAMESPACE ({error})"
            )
        if isinstance(error, TimeoutError):
            return f"no answer in time about {where}"
        return f"{where}: {error}"

    def _tell(self, trouble: str) -> None:
        """Each trouble once, not at every attempt."""
        if trouble and trouble != self._trouble:
            log.warning("the Lease cannot be used", error=trouble, retry_in=self.times.retry)
        self._trouble = trouble


def lease_ref(namespace: str, instance: str) -> Ref:
    """The Lease of one installation; two with different instance names never meet."""
    return Ref(kinds.LEASE, namespace, lease_name(instance))


def _now() -> float:
    return asyncio.get_running_loop().time()


def _holder(lease: Manifest) -> str:
    return str((lease.get("spec") or {}).get("holderIdentity") or "")


def _told(spec: Mapping[str, Any]) -> str:
    return str(spec.get("holderIdentity") or "nobody")


def _transitions(lease: Manifest) -> int:
    return int((lease.get("spec") or {}).get("leaseTransitions") or 0)
