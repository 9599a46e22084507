"""What a model URI stands for, from an MLflow tracking server or a folder.

The operator asks the server that its settings name and no other, never loads a model, and reads
files only to hash them.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx2

from serinus.api.status import PinnedModel
from serinus.core.observed import ResolveFailed
from serinus_server import contract

API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
MAX_FILES = 10_000


@dataclass(frozen=True, slots=True)
class _Failed(Exception):
    reason: str
    message: str


class MlflowRegistry:
    """Resolves ``models:/NAME/VERSION``, ``models:/NAME@ALIAS`` and ``file:///FOLDER``.

    Args:
        tracking_uri: base URL of the tracking server; None: only ``file:`` can be resolved.
        client: HTTP client with its timeouts.
        digest_limit: bytes of a model above which its files are not hashed; it is then pinned by
            version alone and ``digest`` is empty.
    """

    def __init__(
        self, tracking_uri: str | None, client: httpx2.AsyncClient, digest_limit: int = 4 * 1024**3
    ) -> None:
        self._base = tracking_uri.rstrip("/") if tracking_uri else None
        self._client = client
        self._digest_limit = digest_limit

    async def resolve(self, uri: str) -> PinnedModel | ResolveFailed:
        try:
            if uri.startswith("file://"):
                return await asyncio.to_thread(_resolve_folder, uri)
            return await self._resolve_registered(uri)
        except _Failed as e:
            return ResolveFailed(e.reason, e.message)
        except httpx2.HTTPError as e:
            told = str(e) or type(e).__name__
            return ResolveFailed(
                "RegistryUnavailable", f"the MLflow server cannot be asked: {told}"
            )

    async def _resolve_registered(self, uri: str) -> PinnedModel:
        if self._base is None:
            raise _Failed(
                "NoRegistry", "the operator has no MLflow server: set SERINUS_MLFLOW_TRACKING_URI"
            )
        rest = uri.removeprefix("models:/")
        if "@" in rest:
            name, _, alias = rest.partition("@")
            found = await self._get("registered-models/alias", {"name": name, "alias": alias})
        else:
            name, _, version = rest.partition("/")
            found = await self._get("model-versions/get", {"name": name, "version": version})
        told = found.get("model_version") or {}
        version = str(told.get("version") or "")
        if told.get("status", "READY") != "READY":
            raise _Failed("ModelNotReady", f"{name} version {version} is {told.get('status')}")
        digest = await self._digest(str(told.get("source") or ""))
        return PinnedModel(
            uri=uri,
            pinned_uri=f"models:/{name}/{version}",
            name=name,
            version=version,
            digest=digest,
        )

    async def _get(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        answer = await self._client.get(f"{self._base}{API}/{path}", params=query)
        try:
            told = answer.json()
        except ValueError:
            told = {}
        if answer.status_code == 404:
            raise _Failed("ModelNotFound", str(told.get("message") or f"{query} is not registered"))
        if answer.status_code != 200 or not isinstance(told, dict):
            message = f"the MLflow server answered {answer.status_code}: {str(told)[:200]}"
            raise _Failed("RegistryUnavailable", message)
        return told

    async def _digest(self, source: str) -> str:
        """Digest of the files at a registry entry's source; empty when they are out of reach."""
        if source.startswith("models:/m-"):
            told = await self._get(f"logged-models/{source.removeprefix('models:/')}", {})
            source = str(((told.get("model") or {}).get("info") or {}).get("artifact_uri") or "")
        parts = urlsplit(source)
        if parts.scheme != "mlflow-artifacts":
            return ""
        root = unquote(parts.path).strip("/")
        files, total = [], 0
        pending = [root]
        while pending:
            folder = pending.pop()
            listed = await self._client.get(f"{self._base}{ARTIFACTS}", params={"path": folder})
            listed.raise_for_status()
            for item in listed.json().get("files") or ():
                path = f"{folder}/{PurePosixPath(item['path']).name}"
                if item.get("is_dir"):
                    pending.append(path)
                    continue
                total += int(item.get("file_size") or 0)
                files.append(path)
            if total > self._digest_limit or len(files) > MAX_FILES:
                return ""
        hashed = [
            (path.removeprefix(f"{root}/"), await self._sha256(path)) for path in sorted(files)
        ]
        return contract.digest_of(hashed)

    async def _sha256(self, path: str) -> str:
        total = hashlib.sha256()
        url = f"{self._base}{ARTIFACTS}/{quote(path)}"
        async with self._client.stream("GET", url) as answer:
            answer.raise_for_status()
            async for chunk in answer.aiter_bytes():
                total.update(chunk)
        return total.hexdigest()


def _resolve_folder(uri: str) -> PinnedModel:
    folder = Path(unquote(urlsplit(uri).path))
    if not (folder / "MLmodel").is_file():
        raise _Failed(
            "ModelNotFound", f"{uri} is no folder with an MLmodel file that the operator sees"
        )
    digest = contract.digest_of(_hash_files(folder))
    return PinnedModel(uri=uri, pinned_uri=uri, name=folder.name, version="", digest=digest)


def _hash_files(folder: Path) -> Iterator[tuple[str, str]]:
    for base, _, names in os.walk(folder):
        for name in names:
            path = Path(base, name)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            yield path.relative_to(folder).as_posix(), digest
