"""The operator itself, as it runs in a cluster but for where it finds things."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

COMMAND = (sys.executable, "-m", "serinus.app")


def environment(
    *,
    kubeconfig: Path,
    probe_port: int,
    gateway: str,
    prometheus_url: str | None,
    mlflow_url: str | None,
    extra: Mapping[str, str],
) -> dict[str, str]:
    """Its settings; ``extra`` wins. Without Prometheus it scrapes the pods itself."""
    settings = {
        "KUBECONFIG": str(kubeconfig),
        "SERINUS_PROBE_HOST": "127.0.0.1",
        "SERINUS_PROBE_PORT": str(probe_port),
        "SERINUS_DEFAULT_GATEWAY": gateway,
    }
    if prometheus_url is not None:
        settings["SERINUS_PROMETHEUS_URL"] = prometheus_url
    if mlflow_url is not None:
        settings["SERINUS_MLFLOW_TRACKING_URI"] = mlflow_url
    return {**settings, **extra}
