"""Statuses of a ModelDeployment as the operator writes them, for the demo's tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from serinus.api.spec import ModelDeploymentSpec
from serinus.api.status import ModelDeploymentStatus

T0 = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def time(seconds: float) -> str:
    return at(seconds).isoformat()


SPEC = ModelDeploymentSpec.model_validate(
    {
        "model": {"uri": "models:/tumor/2"},
        "rollout": {
            "steps": [
                {"weight": 10, "hold": "6s"},
                {"weight": 30, "hold": "6s"},
                {"weight": 60, "hold": "6s"},
            ]
        },
        "analysis": {
            "interval": "2s",
            "metrics": [
                {"name": "errors", "type": "ErrorRate", "max": "0.01"},
                {"name": "latency", "type": "Latency", "max": "250ms"},
            ],
        },
    }
)


def arm(
    version: str, requested: int, observed: int | None = None, ready: int = 1
) -> dict[str, Any]:
    return {
        "revision": f"v1:{version * 64}",
        "modelURI": f"models:/tumor/{version}",
        "resolvedVersion": version,
        "digest": "",
        "image": "serinus-server",
        "resources": {},
        "warmupRequests": 1,
        "loadTimeout": "60s",
        "latencyBounds": ["0.25"],
        "requestedWeight": requested,
        "observedWeight": observed,
        "readyReplicas": ready,
    }


def verdict(which: str, seconds: float = 0, step: int = 0) -> dict[str, Any]:
    judged = which in ("Healthy", "Breach")
    reading = {
        "name": "errors",
        "verdict": which,
        "canary": "0.25",
        "stable": "0.0",
        "limit": "0.01",
        "display": "errors: 25 % (stable 0 %, limit 1 %)",
    }
    return {
        "at": time(seconds),
        "step": step,
        "weight": 10,
        "verdict": which,
        "message": "",
        "metrics": [reading] if judged else [],
    }


def rolling(stage: str, step: int = 0, **more: Any) -> dict[str, Any]:
    return {"stage": stage, "step": step, "startedAt": time(0), "waitingSince": time(0), **more}


def failed(version: str = "3") -> dict[str, Any]:
    return {
        "revision": f"v1:{version * 64}",
        "modelURI": f"models:/tumor/{version}",
        "resolvedVersion": version,
        "reason": "MetricsBreached",
        "message": "3 breached slots in a row; the last: errors: 25 % (stable 0 %, limit 1 %)",
        "at": time(10),
        "firstBreachAt": time(4),
        "weightZeroAt": time(10.5),
    }


def status(**fields: Any) -> ModelDeploymentStatus:
    return ModelDeploymentStatus.model_validate(fields)


@pytest.fixture(scope="session")
def build() -> SimpleNamespace:
    """The builders above; test modules cannot import each other."""
    return SimpleNamespace(
        at=at, spec=SPEC, t0=T0, arm=arm, verdict=verdict, rolling=rolling, failed=failed,
        status=status, time=time,
    )  # fmt: skip
