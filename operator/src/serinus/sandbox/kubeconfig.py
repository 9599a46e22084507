"""Where an API server is and who we are there, read from a kubeconfig file."""

from __future__ import annotations

import base64
import binascii
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class KubeconfigError(Exception):
    """The kubeconfig cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One API server, with credentials. ``tls`` is None for plain HTTP."""

    url: str
    token: str | None
    tls: ssl.SSLContext | None


def load(path: Path) -> Connection:
    """Read the current context of a kubeconfig. Raises KubeconfigError."""
    try:
        config = yaml.safe_load(path.read_text())
        context = _named(config, "contexts", "context", config["current-context"])
        cluster = _named(config, "clusters", "cluster", context["cluster"])
        user = _named(config, "users", "user", context["user"]) if context.get("user") else {}
        url = cluster["server"].rstrip("/")
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise KubeconfigError(f"kubeconfig {path} cannot be used: {error!r}") from error
    token = user.get("token")
    if not token and user.get("tokenFile"):
        token = (path.parent / user["tokenFile"]).read_text().strip()
    tls = _tls(cluster, user, path.parent) if url.startswith("https:") else None
    return Connection(url=url, token=token, tls=tls)


def _named(config: dict[str, Any], section: str, field: str, name: str) -> dict[str, Any]:
    for entry in config.get(section) or []:
        if entry["name"] == name:
            return entry[field] or {}
    raise KeyError(f"{section} has no {name!r}")


def _tls(cluster: dict[str, Any], user: dict[str, Any], base: Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authority := _bytes(cluster, "certificate-authority", base):
        context.load_verify_locations(cadata=authority.decode())
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate = _bytes(user, "client-certificate", base)
    key = _bytes(user, "client-key", base)
    if certificate and key:
        # ssl reads certificates from files only; NamedTemporaryFile is 0600 and soon gone.
        with tempfile.NamedTemporaryFile() as file:
            file.write(certificate + b"\n" + key)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _bytes(section: dict[str, Any], field: str, base: Path) -> bytes | None:
    try:
        if data := section.get(f"{field}-data"):
            return base64.b64decode(data)
        return (base / section[field]).read_bytes() if section.get(field) else None
    except (OSError, binascii.Error) as error:
        raise KubeconfigError(f"{field} cannot be read: {error}") from error
