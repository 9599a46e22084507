"""A pod's status, made from what its containers are doing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from serinus.sandbox.clock import stamp
from serinus.sandbox.objects import Object, condition, with_condition


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not running, and why."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    since: datetime


@dataclass(frozen=True, slots=True)
class Terminated:
    """Ended; ``final`` if it will not be started again."""

    exit_code: int
    reason: str
    message: str
    started: datetime
    finished: datetime
    final: bool = False


State = Waiting | Running | Terminated


@dataclass(frozen=True, slots=True)
class ContainerView:
    """One container at one moment."""

    name: str
    image: str
    state: State
    last: Terminated | None
    restarts: int
    started: bool
    ready: bool
    process: str = ""  # what stands for a container id


def pod_status(
    pod: Object, containers: Sequence[ContainerView], address: str, host: str, now: datetime
) -> Object:
    """The whole status that the node writes for a pod."""
    before = pod.get("status") or {}
    phase = _phase(containers)
    finished = phase in {"Succeeded", "Failed"}
    unready = [view.name for view in containers if not view.ready]
    conditions = [c for c in before.get("conditions") or [] if c.get("type") not in _OURS]
    told = {c["type"]: c for c in before.get("conditions") or [] if c.get("type") in _OURS}
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or []]
    closed = [gate for gate in gates if (condition(conditions, gate) or {}).get("status") != "True"]
    containers_ready = _ready_condition("ContainersReady", unready, finished)
    ready = {**containers_ready, "type": "Ready"}
    if not unready and closed:
        text = f"corresponding conditions of pod readiness gates {closed} are not true"
        ready = {"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady"}
        ready["message"] = text
    for new in (
        {"type": "Initialized", "status": "True"},
        ready,
        containers_ready,
        {"type": "PodScheduled", "status": "True"},
    ):
        old = [told[new["type"]]] if new["type"] in told else []
        conditions += with_condition(old, {"lastProbeTime": None, **new}, now)
    return {
        "phase": phase,
        "conditions": conditions,
        "hostIP": host,
        "podIP": address,
        "podIPs": [{"ip": address}] if address else [],
        "startTime": before.get("startTime") or stamp(now),
        "containerStatuses": [_container_status(view) for view in containers],
        "qosClass": before.get("qosClass") or "Burstable",
    }


_OURS = ("Initialized", "Ready", "ContainersReady", "PodScheduled")


def _ready_condition(kind: str, unready: list[str], finished: bool) -> Object:
    if not unready:
        return {"type": kind, "status": "True"}
    if finished:
        return {"type": kind, "status": "False", "reason": "PodCompleted"}
    return {
        "type": kind,
        "status": "False",
        "reason": "ContainersNotReady",
        "message": f"containers with unready status: [{' '.join(unready)}]",
    }


def _phase(containers: Sequence[ContainerView]) -> str:
    ended = [c.state for c in containers if isinstance(c.state, Terminated) and c.state.final]
    if len(ended) == len(containers):
        return "Succeeded" if all(state.exit_code == 0 for state in ended) else "Failed"
    never = any(isinstance(c.state, Waiting) and c.last is None for c in containers)
    return "Pending" if never else "Running"


def _container_status(view: ContainerView) -> Object:
    return {
        "name": view.name,
        "image": view.image,
        "imageID": f"sandbox://{view.image}" if view.process else "",
        "containerID": view.process,
        "restartCount": view.restarts,
        "started": view.started,
        "ready": view.ready,
        "state": state_object(view.state),
        "lastState": {} if view.last is None else state_object(view.last),
    }


def state_object(state: State) -> Object:
    """A container's state as the API has it."""
    match state:
        case Waiting(reason, message):
            return {"waiting": {"reason": reason, "message": message}}
        case Running(since):
            return {"running": {"startedAt": stamp(since)}}
        case Terminated():
            return {
                "terminated": {
                    "exitCode": state.exit_code,
                    "reason": state.reason,
                    "message": state.message,
                    "startedAt": stamp(state.started),
                    "finishedAt": stamp(state.finished),
                }
            }
