"""Probes: whether a container has started, lives, is ready."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import aiohttp

from serinus.sandbox.objects import Object


@dataclass(frozen=True, slots=True)
class Timing:
    """When a probe runs and how many answers in a row count. Times in seconds."""

    initial_delay: float
    period: float
    timeout: float
    success_threshold: int
    failure_threshold: int

    @classmethod
    def of(cls, probe: Object) -> Timing:
        return cls(
            initial_delay=probe.get("initialDelaySeconds") or 0,
            period=probe.get("periodSeconds") or 10,
            timeout=probe.get("timeoutSeconds") or 1,
            success_threshold=probe.get("successThreshold") or 1,
            failure_threshold=probe.get("failureThreshold") or 3,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """One answer of a probe; the message says what went wrong."""

    ok: bool
    message: str = ""


@dataclass(slots=True)
class Judge:
    """Counts answers in a row; the verdict changes at the thresholds."""

    timing: Timing
    verdict: bool | None = None
    _streak: int = 0
    _last: bool | None = None

    def judge(self, *, ok: bool) -> bool | None:
        """The verdict after one more answer; None: there is none yet."""
        self._streak = self._streak + 1 if ok == self._last else 1
        self._last = ok
        needed = self.timing.success_threshold if ok else self.timing.failure_threshold
        if self._streak >= needed:
            self.verdict = ok
        return self.verdict


@dataclass(frozen=True, slots=True)
class Target:
    """The container that is probed. ``run`` runs a command in it and gives its exit status."""

    address: str
    ports: Mapping[str, int]
    run: Callable[[list[str]], Awaitable[tuple[int, str]]]

    def port(self, value: int | str) -> int:
        """A port by number or by name; 0, which nobody listens on, for an unknown name."""
        if isinstance(value, int) or value.isdigit():
            return int(value)
        return self.ports.get(value, 0)


async def ask(probe: Object, target: Target, session: aiohttp.ClientSession) -> Outcome:
    """Run a probe once; never raises."""
    seconds = Timing.of(probe).timeout
    try:
        async with asyncio.timeout(seconds):
            if "httpGet" in probe:
                return await _http(probe["httpGet"], target, session)
            if "tcpSocket" in probe:
                return await _tcp(probe["tcpSocket"], target)
            if "exec" in probe:
                status, output = await target.run(probe["exec"]["command"])
                return Outcome(status == 0, output.strip())
    except TimeoutError:
        return Outcome(False, f"no answer within {seconds:g} s")
    except (aiohttp.ClientError, OSError) as error:
        return Outcome(False, str(error))
    return Outcome(False, "the probe has no handler that the sandbox's node knows")


async def _http(get: Object, target: Target, session: aiohttp.ClientSession) -> Outcome:
    scheme = get.get("scheme", "HTTP").lower()
    host = get.get("host") or target.address
    path = get.get("path") or "/"
    url = f"{scheme}://{host}:{target.port(get['port'])}/{path.lstrip('/')}"
    headers = {"User-Agent": "kube-probe/sandbox", "Connection": "close"}
    headers |= {h["name"]: h["value"] for h in get.get("httpHeaders") or []}
    async with session.get(url, headers=headers, allow_redirects=False, ssl=False) as response:
        if 200 <= response.status < 400:
            return Outcome(True)
        body = (await response.content.read(200)).decode(errors="replace").strip()
        text = f"HTTP probe failed with statuscode: {response.status}"
        return Outcome(False, f"{text} {body}" if body else text)


async def _tcp(check: Object, target: Target) -> Outcome:
    host = check.get("host") or target.address
    _, writer = await asyncio.open_connection(host, target.port(check["port"]))
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return Outcome(True)
