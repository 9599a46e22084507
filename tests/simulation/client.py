"""One operator process's way to the API server: latency, failures, and the log of every call.

A request that was sent arrives even when its sender has crashed or is frozen meanwhile, as on a
real network; its answer then finds nobody, or waits.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from serinus.ports import (
    ApiError,
    Conflict,
    Forbidden,
    Invalid,
    Kind,
    Manifest,
    NotFound,
    Ref,
    ServerError,
    TooManyRequests,
    Unreachable,
)

from .store import Address

if TYPE_CHECKING:
    from .host import Host
    from .world import World

TIMEOUT = 10.0  # seconds after which the client gives a request up, as the real one does
READS = frozenset({"get", "list"})

# The reconcile in whose name a call is made.
PASS: contextvars.ContextVar[int] = contextvars.ContextVar("PASS", default=0)


@dataclass(frozen=True, slots=True)
class Call:
    """One API call of an operator process, counted over the whole run."""

    index: int
    host: Host
    verb: str
    at: Address
    body: Any
    sub: str
    number: int  # of the reconcile

    @property
    def name(self) -> str:
        return f"{self.verb} {self.at.plural}{'/' + self.sub if self.sub else ''}"


@dataclass(frozen=True, slots=True)
class CallFault:
    """What goes wrong with one call.

    Attributes:
        crash: "before" (never sent), "after-commit" (done, no answer) or "after-reply".
        code: the API server answers this error and does nothing; 0 with ``lost``: no answer.
        lost: done, but the answer never comes.
        reset: nothing is done and the connection breaks at once.
        delay: seconds on the way to the server.
    """

    what: str
    crash: str = ""
    code: int = 0
    lost: bool = False
    reset: bool = False
    delay: float = 0.0
    retry_after: float = 1.0


def error_of(code: int, retry_after: float = 1.0) -> ApiError:
    """The error that the real client makes of an answer."""
    text = "injected"
    match code:
        case 403:
            return Forbidden(403, "Forbidden", text)
        case 404:
            return NotFound(404, "NotFound", text)
        case 409:
            return Conflict(409, "Conflict", text)
        case 422:
            return Invalid(422, "Invalid", text)
        case 429:
            return TooManyRequests(429, "TooManyRequests", text, retry_after)
        case 0:
            return Unreachable(0, "Unreachable", text)
        case _:
            return ServerError(code, "InternalError", text)


class Client:
    """Implements ``ports.KubeApi`` for one operator process."""

    def __init__(self, world: World, host: Host) -> None:
        self._world = world
        self._host = host

    async def get(self, ref: Ref) -> Manifest | None:
        found: Sequence[Manifest] = await self._call("get", _address(ref), None)
        return found[0] if found else None

    async def list(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str]
    ) -> Sequence[Manifest]:
        at = Address(kind.plural, namespace or "", "")
        found: Sequence[Manifest] = await self._call("list", at, dict(labels))
        return found

    async def patch(self, ref: Ref, patch: Manifest, subresource: str = "") -> Manifest:
        made: Manifest = await self._call("patch", _address(ref), patch, subresource)
        return made

    async def create(self, ref: Ref, manifest: Manifest) -> Manifest:
        name = ref.name or manifest["metadata"]["name"]
        at = Address(ref.kind.plural, ref.namespace, name)
        made: Manifest = await self._call("create", at, manifest)
        return made

    async def delete(self, ref: Ref, uid: str, resource_version: str = "") -> None:
        wanted = {"uid": uid, "resourceVersion": resource_version}
        try:
            await self._call("delete", _address(ref), {k: v for k, v in wanted.items() if v})
        except NotFound:
            return

    async def _call(self, verb: str, at: Address, body: Any, sub: str = "") -> Any:
        world, host = self._world, self._host
        if host.process.dead:
            raise asyncio.CancelledError
        world.calls += 1
        call = Call(world.calls, host, verb, at, body, sub, PASS.get())
        fault = world.faults.on_call(call)
        answer: asyncio.Future[Any] = world.loop.create_future()
        if fault is not None:
            world.fault(fault.what, actor=host.name, call=call.name, index=call.index)
            if fault.crash == "before":
                host.crash("before")
                return await answer  # for ever
        delay = world.latency() + (fault.delay if fault else 0.0)
        world.loop.outside(delay, self._arrive, call, fault, answer)
        if delay + 1.0 > TIMEOUT or (fault is not None and fault.lost):
            world.loop.call_later(TIMEOUT, self._give_up, answer)
        return await answer

    @staticmethod
    def _give_up(answer: asyncio.Future[Any]) -> None:
        if not answer.done():
            answer.set_exception(Unreachable(0, "Unreachable", "no answer in time"))

    def _arrive(self, call: Call, fault: CallFault | None, answer: asyncio.Future[Any]) -> None:
        world, host = self._world, self._host
        result: Any = None
        error: ApiError | None = None
        if fault is not None and (fault.code or fault.reset):
            error = error_of(0 if fault.reset else fault.code, fault.retry_after)
            world.log_request(call, error.status, None, committed=False)
        else:
            lost = fault is not None and fault.lost
            try:
                result = world.perform(call)
            except ApiError as e:
                error = e
            world.log_request(
                call, 0 if lost else error.status if error else 200, result, committed=not error
            )
            if lost:
                return
        if fault is not None and fault.crash == "after-commit":
            host.crash("after-commit")
            return
        world.loop.outside(world.latency(), self._reply, answer, result, error, fault)

    def _reply(
        self,
        answer: asyncio.Future[Any],
        result: Any,
        error: ApiError | None,
        fault: CallFault | None,
    ) -> None:
        if not answer.done():
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)
        if fault is not None and fault.crash == "after-reply":
            # The process runs on up to where it would wait again.
            self._world.loop.outside(1e-5, self._host.crash, "after-reply")


def _address(ref: Ref) -> Address:
    return Address(ref.kind.plural, ref.namespace, ref.name)
