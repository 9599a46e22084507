"""Metadata that every object of ours carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serinus.api import names


@dataclass(frozen=True, slots=True)
class Owner:
    """The ModelDeployment that owns what is rendered."""

    name: str
    namespace: str
    uid: str

    def reference(self) -> dict[str, Any]:
        """The owner reference that lets the garbage collector clean up without the operator."""
        return {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }

    def owns(self, manifest: Mapping[str, Any]) -> bool:
        """Whether this very object, not one of the same name before it, owns the manifest."""
        references = manifest.get("metadata", {}).get("ownerReferences") or ()
        return any(r.get("controller") and r.get("uid") == self.uid for r in references)


def make_metadata(owner: Owner, name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Name, labels and owner reference of an owned object."""
    return {
        "name": name,
        "namespace": owner.namespace,
        "labels": {
            **labels,
            "app.kubernetes.io/name": "serinus-server",
            "app.kubernetes.io/instance": owner.name,
        },
        "ownerReferences": [owner.reference()],
    }
