"""What the gateway says about the objects that it serves."""

from __future__ import annotations

from datetime import datetime

from serinus.sandbox.gateway.attach import (
    ADDRESS,
    CONTROLLER,
    Attachments,
    Listener,
    Parent,
    Verdict,
)
from serinus.sandbox.objects import Object, key_of, with_condition
from serinus.sandbox.resources import HTTP_ROUTES

_FINE = {
    "Accepted": "the sandbox's gateway takes it",
    "Programmed": "Envoy serves it",
    "ResolvedRefs": "everything that it refers to is there",
}


def _conditions(
    before: list[Object] | None, verdicts: dict[str, Verdict], generation: int, now: datetime
) -> list[Object]:
    conditions = list(before or [])
    for kind, verdict in verdicts.items():
        new = {
            "type": kind,
            "status": "True" if verdict.ok else "False",
            "reason": verdict.reason,
            "message": verdict.message or _FINE[kind],
            "observedGeneration": generation,
        }
        conditions = with_condition(conditions, new, now)
    return conditions


def gateway_class(obj: Object, now: datetime) -> Object:
    """The status of our GatewayClass."""
    before = (obj.get("status") or {}).get("conditions")
    verdicts = {"Accepted": Verdict(True, "Accepted")}
    return {"conditions": _conditions(before, verdicts, obj["metadata"]["generation"], now)}


def gateway(obj: Object, attachments: Attachments, rejection: str | None, now: datetime) -> Object:
    """The status of one of our Gateways. ``rejection``: why Envoy did not take it."""
    generation = obj["metadata"]["generation"]
    status = obj.get("status") or {}
    listeners = [one for one in attachments.listeners if one.gateway == key_of(obj)]
    good = any(one.verdict.ok for one in listeners)
    accepted = Verdict(True, "Accepted")
    if obj["spec"].get("addresses"):
        text = f"the sandbox's gateway listens on {ADDRESS} only"
        accepted = Verdict(False, "UnsupportedAddress", text)
    elif not good:
        accepted = Verdict(False, "ListenersNotValid", "no listener is valid")
    verdicts = {"Accepted": accepted, "Programmed": _programmed(accepted, rejection)}
    old = {entry["name"]: entry for entry in status.get("listeners") or []}
    return {
        "addresses": [{"type": "IPAddress", "value": ADDRESS}],
        "conditions": _conditions(status.get("conditions"), verdicts, generation, now),
        "listeners": [
            _listener(one, old.get(one.name, {}), attachments, rejection, generation, now)
            for one in listeners
        ],
    }


def _programmed(accepted: Verdict, rejection: str | None) -> Verdict:
    if not accepted.ok:
        return Verdict(False, "Invalid", accepted.message)
    if rejection is not None:
        return Verdict(False, "Invalid", rejection)
    return Verdict(True, "Programmed")


def _listener(
    listener: Listener,
    before: Object,
    attachments: Attachments,
    rejection: str | None,
    generation: int,
    now: datetime,
) -> Object:
    verdicts = {
        "Accepted": listener.verdict,
        "Programmed": _programmed(listener.verdict, rejection),
        "ResolvedRefs": Verdict(True, "ResolvedRefs"),
    }
    return {
        "name": listener.name,
        "supportedKinds": [{"group": HTTP_ROUTES.group, "kind": HTTP_ROUTES.kind}],
        "attachedRoutes": sum(1 for one in attachments.attached if one.listener == listener),
        "conditions": _conditions(before.get("conditions"), verdicts, generation, now),
    }


def route(obj: Object, attachments: Attachments, now: datetime) -> Object:
    """The status of an HTTPRoute; what other controllers say about it stays."""
    before = (obj.get("status") or {}).get("parents") or []
    others = [entry for entry in before if entry["controllerName"] != CONTROLLER]
    mine = [one for one in attachments.parents if one.route == key_of(obj)]
    return {"parents": others + [_parent(obj, one, before, now) for one in mine]}


def _parent(obj: Object, parent: Parent, before: list[Object], now: datetime) -> Object:
    old = next(
        (
            entry
            for entry in before
            if entry["controllerName"] == CONTROLLER and entry["parentRef"] == parent.reference
        ),
        {},
    )
    verdicts = {"Accepted": parent.accepted, "ResolvedRefs": parent.resolved}
    generation = obj["metadata"]["generation"]
    return {
        "parentRef": parent.reference,
        "controllerName": CONTROLLER,
        "conditions": _conditions(old.get("conditions"), verdicts, generation, now),
    }
