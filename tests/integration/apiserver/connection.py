"""A bare client of any Kubernetes API server, from a kubeconfig: requests in, JSON out."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Answer:
    code: int
    body: Any
    headers: dict[str, str]


def _embedded(entry: dict[str, Any], key: str) -> bytes | None:
    if data := entry.get(f"{key}-data"):
        return base64.b64decode(data)
    return Path(entry[key]).read_bytes() if key in entry else None


def _tls(cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    ca = _embedded(cluster, "certificate-authority")
    context = ssl.create_default_context(cadata=ca.decode() if ca else None)
    certificate = _embedded(user, "client-certificate")
    if certificate is not None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(certificate + b"\n" + (_embedded(user, "client-key") or b""))
            file.flush()
            context.load_cert_chain(file.name)
    return context


class Connection:
    """Requests as the kubeconfig's user."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        self._url = urlsplit(config["clusters"][0]["cluster"]["server"])
        user = config["users"][0]["user"]
        self._tls = _tls(config["clusters"][0]["cluster"], user)
        token = user.get("token")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def with_token(self, token: str | None) -> Connection:
        other = object.__new__(Connection)
        other._url, other._tls = self._url, self._tls
        other._headers = {"Authorization": f"Bearer {token}"} if token else {}
        return other

    def _send(
        self, method: str, path: str, body: Any, headers: dict[str, str], query: dict[str, Any]
    ) -> tuple[http.client.HTTPSConnection, http.client.HTTPResponse]:
        assert self._url.hostname is not None
        connection = http.client.HTTPSConnection(
            self._url.hostname, self._url.port, context=self._tls, timeout=20
        )
        target = f"{path}?{urlencode(query)}" if query else path
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        content = {"Content-Type": "application/json"} if data is not None else {}
        connection.request(method, target, data, {**content, **self._headers, **headers})
        return connection, connection.getresponse()

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> Answer:
        connection, response = self._send(method, path, body, headers or {}, query)
        with contextlib.closing(connection), response:
            text = response.read()
            kind = response.headers.get("Content-Type", "")
            parsed = json.loads(text) if "json" in kind else text.decode()
            return Answer(response.status, parsed, dict(response.headers))

    def get(self, path: str, **query: Any) -> Answer:
        return self.request("GET", path, **query)

    def post(self, path: str, body: Any, **query: Any) -> Answer:
        return self.request("POST", path, body, **query)

    def put(self, path: str, body: Any, **query: Any) -> Answer:
        return self.request("PUT", path, body, **query)

    def delete(self, path: str, body: Any = None, **query: Any) -> Answer:
        return self.request("DELETE", path, body, **query)

    def patch(self, path: str, body: Any, content: str = MERGE_PATCH, **query: Any) -> Answer:
        return self.request("PATCH", path, body, headers={"Content-Type": content}, **query)

    def apply(self, path: str, body: Any, manager: str = "tester", **query: Any) -> Answer:
        return self.patch(path, body, APPLY_PATCH, fieldManager=manager, **query)

    def watch(self, path: str, seconds: int = 5, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield events until the server ends the watch."""
        query = {"watch": "true", "timeoutSeconds": seconds, **query}
        connection, response = self._send("GET", path, None, {}, query)
        try:
            while line := response.readline():
                yield json.loads(line)
        finally:
            response.close()
            connection.close()
