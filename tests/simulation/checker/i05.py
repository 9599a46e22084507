"""I5. Whoever has traffic must have pods."""

from __future__ import annotations

from . import views
from .base import Invariant
from .views import replicas, revision_label
from .world import Write


class BackendsStay(Invariant):
    """I5: no backend with weight > 0 is deleted, re-pointed or scaled below one pod by us.

    Compared: the operator's deletes of Deployments and Services, its replicas, and its selectors, with
    the weights on the route at that moment and with those that a Gateway took last.
    """

    name = "I5"

    def wrote(self, write: Write) -> None:
        if write.resource not in {"deployments", "services"} or write.before is None:
            return
        revision = revision_label(write.before)
        subject = write.subject
        if subject is None or not revision or subject.gone is not None:
            return
        weight = max(subject.weights.get(revision, 0), subject.taken.get(revision, 0))
        if weight and (harm := _harm(write)):
            self.fail(
                write.t, subject, f"{write.actor} {harm} of {revision}, which has weight {weight}"
            )


def _harm(write: Write) -> str:
    one = write.resource[:-1]
    if write.after is None or "deletionTimestamp" in views.meta(write.after):
        return f"deleted the {one}"
    if one == "deployment":
        now = replicas(write.after)
        return f"scaled the {one} to {now}" if now < 1 <= replicas(write.before) else ""
    old, new = ((o or {}).get("spec", {}).get("selector") for o in (write.before, write.after))
    return f"re-pointed the {one}" if old != new else ""
