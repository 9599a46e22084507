"""Starts a server with what every cluster has: namespaces, CRDs, an administrator."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources as package_files
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from serinus.sandbox.apiserver.credentials import (
    ADMIN,
    ServingCertificate,
    Tokens,
    User,
    make_certificate,
    write_kubeconfig,
)
from serinus.sandbox.apiserver.options import Write
from serinus.sandbox.apiserver.server import ApiServer

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers requests."""

    api: ApiServer
    url: str
    certificate: ServingCertificate
    runner: web.AppRunner

    def write_admin_kubeconfig(self, path: Path) -> None:
        """Write a kubeconfig that may do everything."""
        self.write_kubeconfig(path, ADMIN)

    def write_kubeconfig(self, path: Path, user: User) -> None:
        """Write a kubeconfig with a new token of ``user``."""
        token = self.api.tokens.issue(user)
        write_kubeconfig(path, self.url, token, self.certificate.certificate)

    async def stop(self) -> None:
        """Stop serving; open watches end."""
        await self.runner.cleanup()


def _documents(text: str) -> Iterable[dict[str, Any]]:
    return (document for document in yaml.load_all(text, _LOADER) if document)


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_crds(api: ApiServer, folders: Iterable[Path]) -> None:
    """Create the CustomResourceDefinitions in the folders' YAML files; others are skipped."""
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"{folder} is not a folder")
        for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
            for document in _documents(path.read_text()):
                _create(api, document)


def _create(api: ApiServer, document: dict[str, Any]) -> None:
    group, _, version = document["apiVersion"].rpartition("/")
    resource = next(
        res
        for res in api.registry
        if (res.group, res.version, res.kind) == (group, version, document["kind"])
    )
    namespace = document["metadata"].get("namespace", "default") if resource.namespaced else ""
    api.verbs.create(resource, namespace, document, Write(manager="bootstrap"))


def create_api(users: Mapping[str, User], crds: Iterable[Path], history: int = 20_000) -> ApiServer:
    """Return a server with its first objects, not listening yet."""
    api = ApiServer(Tokens(users), history=history)
    for name in NAMESPACES:
        _create(api, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    roles = package_files.files(__package__).joinpath("data/rbac.yaml").read_text()
    for document in _documents(roles):
        _create(api, document)
    shipped = package_files.files(__package__).joinpath("crds")
    with package_files.as_file(shipped) as folder:
        load_crds(api, [folder, *crds])
    return api


async def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    users: Mapping[str, User] | None = None,
    crds: Iterable[Path] = (),
    history: int = 20_000,
    log_requests: bool = False,
) -> Running:
    """Start a server on a loopback address; port 0 is any free one.

    Raises:
        OSError: the port is taken.
        ValueError: a folder of CRDs does not exist.
    """
    api = create_api(users or {}, crds, history)
    certificate = make_certificate(host)
    runner = web.AppRunner(
        api.app(),
        access_log=logging.getLogger("serinus.sandbox.apiserver.access") if log_requests else None,
        shutdown_timeout=1.0,
        handler_cancellation=True,
    )
    await runner.setup()
    site = web.TCPSite(runner, host, port, ssl_context=certificate.ssl_context())
    await site.start()
    actual = runner.addresses[0][1]
    return Running(api, f"https://{host}:{actual}", certificate, runner)
