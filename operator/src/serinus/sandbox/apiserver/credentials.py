"""Who may talk to the server: bearer tokens, the serving certificate and kubeconfig files.

TLS although everything is on loopback: kubectl sends no token over plain HTTP, and without tokens
any other user of the machine could start processes through the sandbox.
"""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
import os
import secrets
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True, slots=True)
class User:
    """An authenticated (or anonymous) caller."""

    name: str
    groups: tuple[str, ...] = ()


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
ADMIN = User("kubernetes-admin", (MASTERS, AUTHENTICATED))


def service_account_user(namespace: str, name: str) -> User:
    """Return the user that a service account's token stands for."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    return User(f"system:serviceaccount:{namespace}:{name}", groups)


class Tokens:
    """Bearer tokens and their users."""

    def __init__(self, users: Mapping[str, User] | None = None) -> None:
        self._users = dict(users or {})

    def issue(self, user: User) -> str:
        """Return a new token of ``user``."""
        token = secrets.token_urlsafe(24)
        self._users[token] = user
        return token

    def user(self, token: str) -> User | None:
        """Return whose token this is."""
        return self._users.get(token)


def load_tokens(path: Path) -> dict[str, User]:
    """Read a JSON file ``{token: {"user": name, "groups": [...]}}``.

    Raises:
        ValueError: the file holds something else.
    """
    users = {}
    for token, entry in json.loads(path.read_text()).items():
        if "user" not in entry:
            raise ValueError(f"{path}: each token needs a user")
        groups = tuple(entry.get("groups") or ())
        if entry["user"].startswith("system:serviceaccount:"):
            namespace, name = entry["user"].split(":")[2:4]
            groups += service_account_user(namespace, name).groups
        users[token] = User(entry["user"], tuple(dict.fromkeys((*groups, AUTHENTICATED))))
    return users


@dataclass(frozen=True, slots=True)
class ServingCertificate:
    """A certificate of this run only; clients trust it by the kubeconfig."""

    certificate: bytes  # PEM, its own CA
    key: bytes  # PEM

    def ssl_context(self) -> ssl.SSLContext:
        """Return the server side's TLS settings."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        with tempfile.TemporaryDirectory() as folder:  # ssl reads files only
            chain, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
            chain.write_bytes(self.certificate)
            key.write_bytes(self.key)
            context.load_cert_chain(chain, key)
        return context


def make_certificate(host: str) -> ServingCertificate:
    """Return a new self-signed certificate for a loopback address, valid for a year."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "serinus-sandbox")])
    start = dt.datetime.fromtimestamp(0, dt.UTC)  # clocks of a laptop jump
    names = [x509.IPAddress(ipaddress.ip_address(host)), x509.DNSName("localhost")]
    public = key.public_key()
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=False, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=365 * 80))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return ServingCertificate(certificate.public_bytes(pem), private)


def write_kubeconfig(
    path: Path, url: str, token: str, ca: bytes | None = None, namespace: str = "default"
) -> None:
    """Write a kubeconfig with one user, readable by its owner only; ``ca`` is PEM."""
    cluster = {"server": url}
    if ca is not None:
        cluster["certificate-authority-data"] = base64.b64encode(ca).decode()
    context = {"cluster": "sandbox", "user": "sandbox", "namespace": namespace}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "sandbox", "cluster": cluster}],
        "users": [{"name": "sandbox", "user": {"token": token}}],
        "contexts": [{"name": "sandbox", "context": context}],
        "current-context": "sandbox",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        yaml.safe_dump(config, file, sort_keys=False)
    temporary.replace(path)  # a reader sees all of it or nothing
