"""The real Prometheus; the node tells it of the pods (see `node.targets`)."""

from __future__ import annotations

import shutil
from pathlib import Path

from serinus.sandbox.objects import Object

_POD = "__meta_kubernetes_pod"
_ANNOTATION = f"{_POD}_annotation_prometheus_io"


def program() -> str | None:
    """The program's path, if it is on this machine."""
    return shutil.which("prometheus")


def command(path: str, config: Path, data: Path, port: int) -> tuple[str, ...]:
    """How to start it, listening on loopback only."""
    return (
        path,
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=1d",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    )


def config(targets: Path, scrape_interval: float, operator_port: int | None) -> Object:
    """The configuration: pods that ask for it by annotation, and the operator.

    ``targets`` is the node's file, ``scrape_interval`` is in seconds.
    """
    interval = f"{round(scrape_interval * 1000)}ms"
    jobs: list[Object] = [
        {
            "job_name": "kubernetes-pods",
            "honor_labels": False,
            "file_sd_configs": [{"files": [str(targets)]}],
            "relabel_configs": _relabelling(),
        }
    ]
    if operator_port is not None:
        static = [{"targets": [f"127.0.0.1:{operator_port}"]}]
        jobs.append({"job_name": "serinus-operator", "static_configs": static})
    return {
        "global": {
            "scrape_interval": interval,
            "scrape_timeout": interval,
            "evaluation_interval": interval,
        },
        "scrape_configs": jobs,
    }


def _relabelling() -> list[Object]:
    """The usual handling of the prometheus.io annotations."""
    return [
        {"source_labels": [f"{_ANNOTATION}_scrape"], "action": "keep", "regex": "true"},
        {"source_labels": [f"{_POD}_phase"], "action": "drop", "regex": "Pending|Succeeded|Failed"},
        {
            "source_labels": [f"{_ANNOTATION}_path"],
            "regex": "(.+)",
            "target_label": "__metrics_path__",
        },
        {
            "source_labels": [f"{_POD}_ip", f"{_ANNOTATION}_port"],
            "separator": ":",
            "regex": r"(.+:\d+)",
            "target_label": "__address__",
        },
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": [f"{_POD}_name"], "target_label": "pod"},
    ]
