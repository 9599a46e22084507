"""Why pods are not ready, in the kubelet's own words: what a person would dig out of four commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_QUIET = {"ContainerCreating", "PodInitializing"}  # on the way, not a problem


def problem_of(deployment: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> str:
    """One sentence for the most telling problem of a Deployment and its pods, or nothing."""
    problems = sorted({text for pod in pods for text in _of_pod(pod)}, key=_rank)
    if problems:
        return problems[0]
    for condition in (deployment.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return f"{condition.get('reason')}: {condition.get('message')}"[:300]
    return ""


def _of_pod(pod: Mapping[str, Any]) -> list[str]:
    status = pod.get("status") or {}
    name = pod["metadata"]["name"]
    out = [
        f"pod {name} is not scheduled: {condition.get('message', '')}"[:300]
        for condition in status.get("conditions") or ()
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False"
    ]
    for container in status.get("containerStatuses") or ():
        last = (container.get("lastState") or {}).get("terminated") or {}
        state = container.get("state") or {}
        ended = state.get("terminated") or last
        waiting = state.get("waiting") or {}
        why = ended.get("message") or ended.get("reason") or ""
        code = f" (exit code {ended['exitCode']})" if "exitCode" in ended else ""
        if ended and not container.get("ready"):
            out.append(f"pod {name} ended: {why.strip()}{code}"[:300])
        elif waiting and waiting.get("reason") not in _QUIET:
            message = waiting.get("message") or ""
            out.append(f"pod {name}: {waiting.get('reason')}: {message}"[:300].rstrip(": "))
    return out


def _rank(problem: str) -> tuple[int, str]:
    return (0 if " ended: " in problem else 1, problem)
