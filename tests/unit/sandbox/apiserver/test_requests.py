from __future__ import annotations

from typing import Any

import pytest

from serinus.sandbox.apiserver.authz import Authorizer
from serinus.sandbox.apiserver.credentials import ADMIN, User, service_account_user
from serinus.sandbox.apiserver.errors import ApiError
from serinus.sandbox.apiserver.requests import parse
from serinus.sandbox.apiserver.store import Store

RBAC = "rbac.authorization.k8s.io"


@pytest.mark.parametrize(
    ("method", "path", "want"),
    [
        ("GET", "/api/v1/pods", ("list", "", "", "pods", "", "")),
        ("GET", "/api/v1/namespaces/n/pods/p", ("get", "", "n", "pods", "p", "")),
        ("GET", "/api/v1/namespaces/n/pods/p/log", ("get", "", "n", "pods", "p", "log")),
        ("GET", "/api/v1/namespaces/n", ("get", "", "n", "namespaces", "n", "")),
        ("PUT", "/api/v1/namespaces/n/status", ("update", "", "n", "namespaces", "n", "status")),
        ("DELETE", "/apis/apps/v1/namespaces/n/deployments",
         ("deletecollection", "apps", "n", "deployments", "", "")),
        ("PATCH", "/apis/a.b/v1/things/x", ("patch", "a.b", "", "things", "x", "")),
        ("POST", "/api/v1/namespaces", ("create", "", "", "namespaces", "", "")),
    ],
)  # fmt: skip
def test_paths_are_understood_as_the_real_server_does(method: str, path: str, want: Any) -> None:
    info = parse(method, path, {})
    found = (info.verb, info.group, info.namespace, info.plural, info.name, info.subresource)
    assert found == want


def test_a_list_with_watch_is_a_watch() -> None:
    assert parse("GET", "/api/v1/pods", {"watch": "1"}).verb == "watch"
    assert parse("GET", "/api/v1/pods", {"watch": "false"}).verb == "list"


def role(kind: str, name: str, *rules: Any, namespace: str = "") -> Any:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"kind": kind, "metadata": metadata, "rules": list(rules)}


def binding(kind: str, role_kind: str, name: str, subject: Any, namespace: str = "") -> Any:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    reference = {"kind": role_kind, "name": name}
    return {"kind": kind, "metadata": metadata, "roleRef": reference, "subjects": [subject]}


@pytest.fixture
def authorizer() -> Authorizer:
    store = Store()
    read = {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}
    one = {
        "apiGroups": ["apps"],
        "resources": ["deployments"],
        "verbs": ["*"],
        "resourceNames": ["a"],
    }
    urls = {"nonResourceURLs": ["/metrics", "/api/*"], "verbs": ["get"]}
    store.put((RBAC, "roles"), role("Role", "read", read, one, namespace="n"))
    store.put((RBAC, "clusterroles"), role("ClusterRole", "urls", urls))
    subject = {"kind": "User", "name": "bob"}
    store.put((RBAC, "rolebindings"), binding("RoleBinding", "Role", "read", subject, "n"))
    account = {"kind": "ServiceAccount", "name": "sa", "namespace": "n"}
    store.put(
        (RBAC, "clusterrolebindings"), binding("ClusterRoleBinding", "ClusterRole", "urls", account)
    )
    return Authorizer(store)


@pytest.mark.parametrize(
    ("method", "path", "want"),
    [
        ("GET", "/api/v1/namespaces/n/pods", True),
        ("GET", "/api/v1/namespaces/n/pods/x/log", True),
        ("GET", "/api/v1/namespaces/n/pods/x/status", False),
        ("DELETE", "/api/v1/namespaces/n/pods/x", False),
        ("GET", "/api/v1/namespaces/other/pods", False),
        ("GET", "/api/v1/pods", False),
        ("PATCH", "/apis/apps/v1/namespaces/n/deployments/a", True),
        ("PATCH", "/apis/apps/v1/namespaces/n/deployments/b", False),
        ("POST", "/apis/apps/v1/namespaces/n/deployments", False),
    ],
)
def test_roles_allow_what_they_say_and_no_more(
    authorizer: Authorizer, method: str, path: str, want: bool
) -> None:
    info = parse(method, path, {})
    assert authorizer.allows(User("bob"), info) is want
    assert authorizer.allows(User("eve"), info) is False
    assert authorizer.allows(ADMIN, info) is True


def test_service_accounts_and_urls_are_judged_too(authorizer: Authorizer) -> None:
    account = service_account_user("n", "sa")
    assert authorizer.allows(account, parse("GET", "/metrics", {}))
    assert authorizer.allows(account, parse("GET", "/api", {})) is False
    assert authorizer.allows(service_account_user("m", "sa"), parse("GET", "/metrics", {})) is False


def test_a_refusal_says_who_may_not_do_what_where(authorizer: Authorizer) -> None:
    with pytest.raises(ApiError) as refused:
        authorizer.check(User("bob"), parse("DELETE", "/api/v1/namespaces/n/pods/x", {}))
    assert refused.value.message == (
        'pods "x" is forbidden: User "bob" cannot delete resource "pods" in API group ""'
        ' in the namespace "n"'
    )
