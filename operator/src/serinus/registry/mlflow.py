"""What a model URI stands for, from an MLflow tracking server or a folder.

The operator asks the server that its settings name and no other, never loads a model, and reads
files only to hash them.
"""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx2

from serinus.api.status import PinnedModel
from serinus.core.observed import ResolveFailed
from serinus.registry.failure import Failed
from serinus.registry.folder import MAX_FILES, resolve_folder
from serinus_server import contract

API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


class MlflowRegistry:
    """Resolves ``models:/NAME/VERSION``, ``models:/NAME@ALIAS`` and ``file:///FOLDER``.

    Args:
        tracking_uri: base URL of the tracking server; None: only ``file:`` can be resolved.
        client: HTTP client with its timeouts.
        digest_limit: bytes of a model above which its files are not hashed; it is then pinned by
            version alone and ``digest`` is empty.
        allow_files: whether ``file:`` is resolved at all. It makes the operator read folders of its
            own machine for whoever may write a ModelDeployment.
    """

    def __init__(
        self,
        tracking_uri: str | None,
        client: httpx2.AsyncClient,
        digest_limit: int = 4 * 1024**3,
        *,
        allow_files: bool = False,
    ) -> None:
        self._allow_files = allow_files
        self._base = tracking_uri.rstrip("/") if tracking_uri else None
        self._client = client
        self._digest_limit = digest_limit

    async def resolve(self, uri: str) -> PinnedModel | ResolveFailed:
        try:
            if uri.startswith("file:"):
                return await self._resolve_files(uri)
            return await self._resolve_registered(uri)
        except Failed as e:
            return ResolveFailed(e.reason, e.message)
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as e:
            told = str(e) or type(e).__name__
            return ResolveFailed(
                "RegistryUnavailable", f"the MLflow server cannot be asked: {told}"
            )
        except (OSError, ValueError) as e:
            return ResolveFailed("ModelUnreadable", f"the model cannot be read: {e}")

    async def _resolve_files(self, uri: str) -> PinnedModel:
        if not self._allow_files:
            raise Failed(
                "FilesNotAllowed",
                "the operator reads no folders for file: URIs: "
                "set SERINUS_ALLOW_FILE_URIS=true to allow them",
            )
        return await resolve_folder(uri)

    async def _resolve_registered(self, uri: str) -> PinnedModel:
        if self._base is None:
            raise Failed(
                "NoRegistry", "the operator has no MLflow server: set SERINUS_MLFLOW_TRACKING_URI"
            )
        rest = uri.removeprefix("models:/")
        if "@" in rest:
            name, _, alias = rest.partition("@")
            found = await self._get("registered-models/alias", {"name": name, "alias": alias})
        else:
            name, _, version = rest.partition("/")
            found = await self._get("model-versions/get", {"name": name, "version": version})
        told = _object(found.get("model_version"), "a model version")
        version = str(told.get("version") or "")
        if not version:
            raise Failed("RegistryUnavailable", f"the MLflow server tells no version of {name}")
        if told.get("status", "READY") != "READY":
            raise Failed("ModelNotReady", f"{name} version {version} is {told.get('status')}")
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
        except (ValueError, RecursionError):
            told = None
        if answer.status_code == 404:
            message = told.get("message") if isinstance(told, dict) else None
            raise Failed("ModelNotFound", str(message or f"{query} is not registered"))
        if answer.status_code != 200:
            message = f"the MLflow server answered {answer.status_code}: {str(told)[:200]}"
            raise Failed("RegistryUnavailable", message)
        return _object(told, "a JSON object")

    async def _digest(self, source: str) -> str:
        """Digest of the files at a registry entry's source; empty when they are out of reach."""
        if source.startswith("models:/m-"):
            told = await self._get(f"logged-models/{source.removeprefix('models:/')}", {})
            info = _object(_object(told.get("model"), "a model").get("info"), "a model's info")
            source = str(info.get("artifact_uri") or "")
        parts = urlsplit(source)
        if parts.scheme != "mlflow-artifacts":
            return ""
        root = unquote(parts.path).strip("/")
        files, total, seen = [], 0, 0
        pending = [root]
        while pending:
            folder = pending.pop()
            for name, is_folder, size in await self._listing(folder):
                path = f"{folder}/{name}"
                seen += 1
                total += size
                if is_folder:
                    pending.append(path)
                elif path != f"{root}/{contract.REGISTRY_NOTE}":
                    files.append(path)
            if total > self._digest_limit or seen > MAX_FILES:
                return ""
        hashed = [
            (path.removeprefix(f"{root}/"), await self._sha256(path)) for path in sorted(files)
        ]
        return contract.digest_of(hashed)

    async def _listing(self, folder: str) -> list[tuple[str, bool, int]]:
        """Name, whether it is a folder, and size in bytes of everything in a folder of artifacts."""
        answer = await self._client.get(f"{self._base}{ARTIFACTS}", params={"path": folder})
        answer.raise_for_status()
        try:
            found = []
            for item in answer.json().get("files") or ():
                name = PurePosixPath(item["path"]).name
                if name in ("", ".", ".."):
                    raise ValueError(f"the name {name!r}")  # noqa: TRY301
                found.append((name, bool(item.get("is_dir")), int(item.get("file_size") or 0)))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as e:
            message = f"the MLflow server answered a list of files that cannot be read: {e!r:.200}"
            raise Failed("RegistryUnavailable", message) from e
        return found

    async def _sha256(self, path: str) -> str:
        total = hashlib.sha256()
        url = f"{self._base}{ARTIFACTS}/{quote(path)}"
        async with self._client.stream("GET", url) as answer:
            answer.raise_for_status()
            async for chunk in answer.aiter_bytes():
                total.update(chunk)
        return total.hexdigest()


def _object(told: Any, what: str) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise Failed("RegistryUnavailable", f"the MLflow server did not answer with {what}")
    return told
