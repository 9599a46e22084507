"""The node's pods as Prometheus' file_sd wants them.

Debian's Prometheus is built without discovery through the Kubernetes API. The entries carry the
very labels that this discovery would give, so that the relabelling is what it is in a cluster.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from serinus.sandbox.objects import Object, annotations_of, labels_of, name_of, namespace_of

_POD = "__meta_kubernetes_pod"


def targets(pods: Iterable[Object]) -> list[Object]:
    """One entry for each pod that has an address."""
    return [
        {"targets": [pod["status"]["podIP"]], "labels": _labels(pod)}
        for pod in sorted(pods, key=lambda pod: (namespace_of(pod), name_of(pod)))
        if (pod.get("status") or {}).get("podIP")
    ]


def _labels(pod: Object) -> dict[str, str]:
    labels = {
        "__meta_kubernetes_namespace": namespace_of(pod),
        f"{_POD}_name": name_of(pod),
        f"{_POD}_ip": pod["status"]["podIP"],
        f"{_POD}_phase": pod["status"].get("phase", "Pending"),
    }
    for kind, values in (("label", labels_of(pod)), ("annotation", annotations_of(pod))):
        for key, value in values.items():
            labels[f"{_POD}_{kind}_{re.sub(r'[^A-Za-z0-9_]', '_', key)}"] = value
    return labels


def write(path: Path, pods: Iterable[Object]) -> None:
    """Replace the file if its content changes."""
    text = json.dumps(targets(pods), indent=1)
    if not path.exists() or path.read_text() != text:
        fresh = path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(path)
