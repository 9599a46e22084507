"""What the operator may do in a cluster: exactly what its reads and writes need.

No Secrets, no wildcard, no verb that is not used. Server-side apply needs `patch`, and `create` for an
object that is not there yet. kopf's watches need `list` and `watch`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serinus.ports import Kind
from serinus.reconcile import kinds

NAMESPACE = "serinus-system"
ACCOUNT = "serinus"

_APPLIED = ("get", "list", "watch", "create", "patch")
RULES: tuple[tuple[Kind, str, tuple[str, ...]], ...] = (
    (kinds.MODEL_DEPLOYMENT, "", ("get", "list", "watch")),
    (kinds.MODEL_DEPLOYMENT, "status", ("patch",)),
    (kinds.DEPLOYMENT, "", (*_APPLIED, "delete")),
    (kinds.SERVICE, "", (*_APPLIED, "delete")),
    (kinds.HTTP_ROUTE, "", _APPLIED),
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


def make_rbac() -> tuple[Mapping[str, Any], ...]:
    """Namespace, ServiceAccount, ClusterRole and binding of the operator."""
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
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
        },
    )
