"""The real MLflow: tracking server and registry on SQLite and local files."""

from __future__ import annotations

import sys
from pathlib import Path

# It asks nobody outside of this machine anything, and runs no jobs.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def command(folder: Path, port: int) -> tuple[str, ...]:
    """How to start it; artifacts go through the server, so that pods need no folder of ours."""
    return (
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host=127.0.0.1",
        f"--port={port}",
        f"--backend-store-uri=sqlite:///{folder / 'mlflow.db'}",
        "--serve-artifacts",
        f"--artifacts-destination={folder / 'artifacts'}",
        "--workers=1",
    )
