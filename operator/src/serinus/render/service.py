"""The Service of one revision. Its selector is immutable: nothing is ever re-pointed."""

from __future__ import annotations

from typing import Any

from serinus.api import names
from serinus.api.status import Arm
from serinus.core.revision import short
from serinus.render.meta import Owner, make_metadata
from serinus_server import contract

PORT = 80


def make_service(owner: Owner, arm: Arm) -> dict[str, Any]:
    """The Service in front of the pods of ``arm``."""
    key = short(arm.revision)
    labels = names.revision_labels(owner.name, key)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": make_metadata(owner, names.child_name(owner.name, key), labels),
        "spec": {
            "selector": labels,
            "ports": [
                {
                    "name": contract.PORT_NAME,
                    "port": PORT,
                    "targetPort": contract.PORT_NAME,
                    "protocol": "TCP",
                }
            ],
        },
    }
