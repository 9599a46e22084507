"""The Kubernetes API behind ``ports.KubeApi``: the official client's transport and credentials.

Objects are plain mappings; the client's generated models are never imported, which keeps start-up
and memory small.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.config.incluster_config import load_incluster_config
from kubernetes.aio.config.kube_config import load_kube_config

from serinus.api import names
from serinus.kube.errors import error_from
from serinus.kube.skew import Skew
from serinus.ports import ApiError, Clock, Kind, Manifest, NotFound, Ref, Unreachable

MERGE = "application/merge-patch+json"
PAGE = 100  # items of one answer to a list: read on the event loop, which others wait for meanwhile
GONE = 410

# Older clusters serve these under another version; the first that answers is remembered.
_VERSIONS = {("discovery.k8s.io", "endpointslices"): ("v1", "v1beta1")}


async def connect(
    kubeconfig: str | None, *, request_timeout: float = 10.0, clock: Clock | None = None
) -> KubeClient:
    """A client from a kubeconfig file, or from the pod's service account when none is named.

    With a ``clock``, :attr:`KubeClient.skew` tells how far it is from the API server's.

    Raises:
        Unreachable: when neither gives credentials.
    """
    configuration = Configuration()
    try:
        if kubeconfig:
            await load_kube_config(config_file=kubeconfig, client_configuration=configuration)
        else:
            load_incluster_config(client_configuration=configuration)
    except ConfigException as e:
        where = kubeconfig or "the pod's service account (set KUBECONFIG outside of a cluster)"
        raise Unreachable(0, "NoCredentials", f"no credentials from {where}: {e}") from e
    return KubeClient(ApiClient(configuration=configuration), request_timeout, clock)


class KubeClient:
    """Fresh reads and writes with optimistic concurrency. Close it with :meth:`close`."""

    def __init__(
        self, api: ApiClient, timeout: float, clock: Clock | None = None, page: int = PAGE
    ) -> None:
        self.skew = Skew()
        self._api = api
        self._clock = clock
        self._page = page
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=3.0)
        self._versions: dict[tuple[str, str], str] = {}

    async def close(self) -> None:
        await self._api.close()

    async def get(self, ref: Ref) -> Manifest | None:
        try:
            return await self._request("GET", self._path(ref.kind, ref.namespace, ref.name))
        except NotFound:
            return None

    async def list(
        self, kind: Kind, namespace: str | None, labels: Mapping[str, str]
    ) -> Sequence[Manifest]:
        selector = ",".join(f"{k}={v}" for k, v in sorted(labels.items()))
        query = {"labelSelector": selector} if selector else {}
        candidates = _VERSIONS.get((kind.group, kind.plural), (kind.version,))
        known = self._versions.get((kind.group, kind.plural))
        for version in (known,) if known else candidates:
            at = Kind(kind.group, version, kind.kind, kind.plural)
            try:
                items = await self._pages(self._path(at, namespace, ""), query)
            except NotFound:
                if version == candidates[-1]:
                    raise
                continue
            self._versions[kind.group, kind.plural] = version
            # Lists leave out what every item has; compared with a manifest, both count.
            whole = {"apiVersion": at.api_version, "kind": at.kind}
            return [{**whole, **item} for item in items]
        return ()

    async def _pages(self, path: str, query: Mapping[str, str]) -> Sequence[Manifest]:
        """Every item of one moment, in answers that are small enough not to hold up the event loop."""
        limit, token = {"limit": str(self._page)}, ""
        items: list[Manifest] = []
        while True:
            asked = {**query, **limit, **({"continue": token} if token else {})}
            try:
                found = await self._request("GET", path, asked)
            except ApiError as e:
                if e.status != GONE or not token:
                    raise
                limit, token, items = {}, "", []  # that moment is forgotten: all at once, then
                continue
            items += found.get("items") or ()
            token = (found.get("metadata") or {}).get("continue") or ""
            if not token:
                return items

    async def serves(self, kind: Kind) -> bool:
        """Whether discovery names the kind, in any version of its group."""
        groups = (await self._request("GET", "/apis")).get("groups") or ()
        for group in groups:
            if group["name"] != kind.group:
                continue
            for version in group["versions"]:
                try:
                    found = await self._request("GET", f"/apis/{version['groupVersion']}")
                except NotFound:
                    continue
                if any(item["name"] == kind.plural for item in found.get("resources") or ()):
                    return True
        return False

    async def patch(self, ref: Ref, patch: Manifest, subresource: str = "") -> Manifest:
        path = self._path(ref.kind, ref.namespace, ref.name)
        if subresource:
            path += f"/{subresource}"
        return await self._request(
            "PATCH", path, {"fieldManager": names.FIELD_MANAGER}, patch, MERGE
        )

    async def create(self, ref: Ref, manifest: Manifest) -> Manifest:
        path = self._path(ref.kind, ref.namespace, "")
        query = {"fieldManager": names.FIELD_MANAGER}
        return await self._request("POST", path, query, manifest, "application/json")

    async def delete(self, ref: Ref, uid: str, resource_version: str = "") -> None:
        preconditions = {"uid": uid}
        if resource_version:
            preconditions["resourceVersion"] = resource_version
        options = {"propagationPolicy": "Background", "preconditions": preconditions}
        path = self._path(ref.kind, ref.namespace, ref.name)
        try:
            await self._request("DELETE", path, {}, options, "application/json")
        except NotFound:
            return

    def _path(self, kind: Kind, namespace: str | None, name: str) -> str:
        path = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        if namespace is not None:
            path += f"/namespaces/{quote(namespace, safe='')}"
        path += f"/{kind.plural}"
        return f"{path}/{quote(name, safe='')}" if name else path

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "",
    ) -> Manifest:
        headers = {"Accept": "application/json"}
        if content_type:
            headers["Content-Type"] = content_type
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = self._api.configuration.host + path
        if query:
            url += f"?{urlencode(query)}"
        sent = self._clock.now() if self._clock is not None else None
        try:
            answer = await self._api.call_api(
                method, url, headers, body, _request_timeout=self._timeout
            )
            if self._clock is not None and sent is not None:
                self.skew.heard(answer.headers.get("Date"), sent, self._clock.now())
            data = await answer.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as e:
            what = str(e) or type(e).__name__
            raise Unreachable(0, "Unreachable", f"{method} {path}: {what}") from e
        if answer.status >= 400:
            raise error_from(answer.status, data, answer.headers.get("Retry-After"))
        try:
            found: Manifest = json.loads(data)
        except ValueError as e:
            raise Unreachable(answer.status, "BadAnswer", f"{method} {path}: not JSON") from e
        return found
