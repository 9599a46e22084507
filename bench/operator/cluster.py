"""A cluster for tests, as the operator needs it: CRDs, permissions, an account, namespaces."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from serinus.api import names
from serinus.sandbox import kubeconfig
from serinus.sandbox.client import ApiError, KubeClient
from serinus.sandbox.objects import Object, condition_is_true
from serinus.sandbox.resources import CRDS, NAMESPACES, SERVICE_ACCOUNTS, Resource

ROOT = Path(__file__).parents[2]
ACCOUNT = ("serinus-system", "serinus")  # as in manifests/rbac.yaml
MODEL_DEPLOYMENTS = Resource(names.GROUP, names.VERSION, names.PLURAL, names.KIND)
_CLUSTER_ROLES = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False
)
_CLUSTER_ROLE_BINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
)
_ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
_ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
_RBAC = (
    NAMESPACES,
    SERVICE_ACCOUNTS,
    _CLUSTER_ROLES,
    _CLUSTER_ROLE_BINDINGS,
    _ROLES,
    _ROLE_BINDINGS,
)

WRITING = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"})

_CPU = "process_cpu_seconds_total"
_WANTED = ("apiserver_request_total{", f"{_CPU} ")

T = TypeVar("T")


class NotInTimeError(AssertionError):
    """What was waited for did not come; the message says what was seen last."""


async def eventually(
    what: str, check: Callable[[], Awaitable[T]], seconds: float = 40, poll: float = 0.1
) -> T:
    """The first true answer of ``check``, asked every ``poll`` seconds.

    Raises:
        NotInTimeError: there is none within ``seconds``.
    """
    last: T | None = None
    try:
        async with asyncio.timeout(seconds):
            while True:
                last = await check()
                if last:
                    return last
                await asyncio.sleep(poll)
    except TimeoutError:
        text = f"not within {seconds:g} s: {what}; last seen: {last!r}"
        raise NotInTimeError(text) from None


async def install(client: KubeClient) -> None:
    """The shipped CRD and RBAC, and a CRD of HTTPRoutes without a schema where there is none."""
    shipped = yaml.safe_load((ROOT / "crds/serinus.dev_modeldeployments.yaml").read_text())
    await _install_crd(client, shipped)
    if await client.find(CRDS, _ROUTES["metadata"]["name"]) is None:
        await _install_crd(client, _ROUTES)
    by_kind = {resource.kind: resource for resource in _RBAC}
    for document in yaml.safe_load_all((ROOT / "manifests/rbac.yaml").read_text()):
        await client.apply(by_kind[document["kind"]], document, "tests")


async def _install_crd(client: KubeClient, crd: Object) -> None:
    name = crd["metadata"]["name"]
    # Created and merged, not applied: old API servers refuse to apply fields they do not know (CEL).
    if await client.find(CRDS, name) is None:
        await client.create(CRDS, crd)
    else:
        await client.merge(CRDS, name, "", {"spec": crd["spec"]})

    async def established() -> bool:
        return condition_is_true(await client.get(CRDS, name), "Established")

    await eventually(f"{name} is established", established)


async def operator_kubeconfig(client: KubeClient, admin: Path, folder: Path) -> Path:
    """A kubeconfig of the operator's own account: it may do what its RBAC says and nothing else."""
    namespace, account = ACCOUNT
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 24 * 3600},
    }
    answer = await client.create_sub(SERVICE_ACCOUNTS, account, namespace, "token", request)
    return _own_kubeconfig(admin, folder, str(answer["status"]["token"]))


def _own_kubeconfig(admin: Path, folder: Path, token: str) -> Path:
    account = ACCOUNT[1]
    config = yaml.safe_load(admin.read_text())
    context = next(c for c in config["contexts"] if c["name"] == config["current-context"])
    cluster = next(c for c in config["clusters"] if c["name"] == context["context"]["cluster"])
    if authority := cluster["cluster"].get("certificate-authority"):
        cluster["cluster"]["certificate-authority"] = str((admin.parent / authority).resolve())
    file = folder / "operator.kubeconfig"
    file.touch(mode=0o600)
    user = {"name": account, "user": {"token": token}}
    own = {"name": account, "context": {"cluster": cluster["name"], "user": account}}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [cluster],
        "users": [user],
        "contexts": [own],
        "current-context": account,
    }
    file.write_text(yaml.safe_dump(document))
    return file


async def make_namespace(client: KubeClient, name: str) -> None:
    await client.apply(NAMESPACES, {"metadata": {"name": name}}, "tests")


async def requests_so_far(admin: Path) -> Counter[tuple[str, str, str, str]]:
    """Requests that the API server has answered: (verb, resource, subresource, code) -> number.

    These are the server's own counters: a write that changes nothing counts like any other.

    Raises:
        ApiError: it does not show its metrics to us.
    """
    found: Counter[tuple[str, str, str, str]] = Counter()
    for name, labels, value in await _samples(admin):
        if name == "apiserver_request_total":
            key = (labels["verb"], labels["resource"], labels["subresource"], labels["code"])
            found[key] += int(value)
    return found


async def server_cpu_seconds(admin: Path) -> float:
    """CPU time that the API server says it has used; NaN when it does not say."""
    try:
        samples = await _samples(admin)
    except ApiError:
        return math.nan
    return next((value for name, _, value in samples if name == _CPU), math.nan)


async def _samples(admin: Path) -> list[tuple[str, dict[str, str], float]]:
    """The API server's own metrics."""
    connection = kubeconfig.load(admin)
    headers = {"Authorization": f"Bearer {connection.token}"} if connection.token else {}
    connector = aiohttp.TCPConnector(ssl=connection.tls or True)
    async with (
        aiohttp.ClientSession(connector=connector, headers=headers) as session,
        session.get(f"{connection.url}/metrics") as answer,
    ):
        text = await answer.text()
        if answer.status != 200:
            raise ApiError(answer.status, "NoMetrics", text[:200])
    # Lines of what we look for only: the whole is tens of thousands of them.
    lines = [line for line in text.splitlines() if line.startswith(_WANTED)]
    return [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families("\n".join(lines) + "\n")
        for sample in family.samples
    ]


_ROUTES: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "httproutes.gateway.networking.k8s.io",
        "annotations": {"api-approved.kubernetes.io": "https://gateway-api.sigs.k8s.io"},
    },
    "spec": {
        "group": "gateway.networking.k8s.io",
        "names": {
            "kind": "HTTPRoute",
            "listKind": "HTTPRouteList",
            "plural": "httproutes",
            "singular": "httproute",
        },
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        ],
    },
}
