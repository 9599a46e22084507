"""Pods as Prometheus' file_sd wants them."""

from __future__ import annotations

import json
from pathlib import Path

from serinus.sandbox.node.targets import targets, write

POD = {
    "metadata": {
        "name": "p",
        "namespace": "ml",
        "labels": {"app.kubernetes.io/name": "x"},
        "annotations": {"prometheus.io/scrape": "true"},
    },
    "status": {"podIP": "127.70.1.10", "phase": "Running"},
}


def test_a_pod_has_the_labels_of_kubernetes_discovery() -> None:
    (entry,) = targets([POD, {"metadata": {"name": "q"}, "status": {}}])
    assert entry["targets"] == ["127.70.1.10"]
    assert entry["labels"] == {
        "__meta_kubernetes_namespace": "ml",
        "__meta_kubernetes_pod_name": "p",
        "__meta_kubernetes_pod_ip": "127.70.1.10",
        "__meta_kubernetes_pod_phase": "Running",
        "__meta_kubernetes_pod_label_app_kubernetes_io_name": "x",
        "__meta_kubernetes_pod_annotation_prometheus_io_scrape": "true",
    }


def test_the_file_is_replaced_only_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "targets.json"
    write(path, [POD])
    before = path.stat().st_ino
    write(path, [POD])
    assert path.stat().st_ino == before
    write(path, [])
    assert json.loads(path.read_text()) == []
