"""What the operator may do in a cluster: exactly what its reads and writes need.

No Secrets, no wildcard, no verb that is not used. kopf's watches need `list` and `watch`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serinus.ports import Kind
from serinus.reconcile import kinds

NAMESPACE = "serinus-system"
ACCOUNT = "serinus"
INSTANCE = "serinus"


def lease_name(instance: str) -> str:
    """The Lease of one installation."""
    return f"{instance}-leader"


_OWNED = ("get", "list", "watch", "create", "patch")
RULES: tuple[tuple[Kind, str, tuple[str, ...]], ...] = (
    (kinds.MODEL_DEPLOYMENT, "", ("get", "list", "watch")),
    (kinds.MODEL_DEPLOYMENT, "status", ("patch",)),
    (kinds.DEPLOYMENT, "", (*_OWNED, "delete")),
    (kinds.SERVICE, "", (*_OWNED, "delete")),
    (kinds.HTTP_ROUTE, "", _OWNED),
    (kinds.ENDPOINT_SLICE, "", ("list", "watch")),
    (kinds.POD, "", ("list",)),
    (kinds.EVENT, "", ("create",)),
)


def make_cluster_role() -> dict[str, Any]:
    """The ClusterRole of the operator."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": ACCOUNT},
        "rules": [
            {
                "apiGroups": [kind.group],
                "resources": [f"{kind.plural}/{sub}" if sub else kind.plural],
                "verbs": list(verbs),
            }
            for kind, sub, verbs in RULES
        ],
    }


def make_lease_role() -> dict[str, Any]:
    """The Role for leader election: in the operator's namespace, and one Lease by name.

    Who may create cannot be bound to a name: the name is not known to RBAC then.
    """
    lease = {"apiGroups": [kinds.LEASE.group], "resources": [kinds.LEASE.plural]}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": ACCOUNT, "namespace": NAMESPACE},
        "rules": [
            {**lease, "verbs": ["create"]},
            {**lease, "resourceNames": [lease_name(INSTANCE)], "verbs": ["get", "patch"]},
        ],
    }


def make_rbac() -> tuple[Mapping[str, Any], ...]:
    """Namespace, ServiceAccount, roles and bindings of the operator."""
    subjects = [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}]
    return (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": ACCOUNT, "namespace": NAMESPACE},
        },
        make_cluster_role(),
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": ACCOUNT},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": ACCOUNT,
            },
            "subjects": subjects,
        },
        make_lease_role(),
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": ACCOUNT, "namespace": NAMESPACE},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": ACCOUNT,
            },
            "subjects": subjects,
        },
    )
