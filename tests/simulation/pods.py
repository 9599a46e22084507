"""What pods are to the simulated world: a model version, and how it really behaves."""

from __future__ import annotations

from dataclasses import dataclass

from .store import Object


@dataclass(slots=True)
class Truth:
    """How the pods of one model version really behave.

    Attributes:
        errors: share of requests answered with 5xx.
        slow: share of requests slower than every bound.
        start: "ok", or why its pods never get ready: "image", "crash", "quota", "hang".
        load: seconds until a pod is ready.
    """

    errors: float = 0.0
    slow: float = 0.0
    start: str = "ok"
    load: float = 1.0


def version_of(template: Object) -> str:
    """The model version that a pod, or a pod template, serves."""
    for pair in template["spec"]["containers"][0].get("env") or ():
        if pair["name"] == "SERINUS_MODEL_VERSION":
            return str(pair["value"])
    return ""


def is_ready(pod: Object) -> bool:
    """Whether the pod's container is ready."""
    return any(c.get("ready") for c in pod["status"].get("containerStatuses") or ())
