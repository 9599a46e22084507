"""I1. An omitted weight means 1 and a sum other than 100 means other shares than anybody asked for."""

from __future__ import annotations

from . import views
from .base import Invariant
from .world import ROUTES, Event


class RouteWeights(Invariant):
    """I1: route weights are explicit integers, 0..100, sum 100.

    Compared: the backendRefs of every rule in every HTTPRoute that an operator sends, as sent, taken or
    not; the API server would fill in an omitted weight.
    """

    name = "I1"

    def attempted(self, event: Event) -> None:
        if event["resource"] != ROUTES or event["sub"]:
            return
        spec = (event["body"] or {}).get("spec") or {}
        for rule in spec.get("rules") or ():
            refs = rule.get("backendRefs") or ()
            found = [ref.get("weight") for ref in refs]
            plain = all(type(w) is int and 0 <= w <= 100 for w in found)
            if not plain or sum(found) != 100:
                named = ", ".join(f"{r.get('name')}={w}" for r, w in zip(refs, found, strict=True))
                about = (
                    f"{event['namespace']}/{views.meta(event['body']).get('name', event['name'])}"
                )
                self.fail(
                    event["t"], about, f"{event['actor']} sent a route with {named or 'no backend'}"
                )
