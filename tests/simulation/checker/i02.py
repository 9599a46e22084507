"""I2. Weight on a revision that cannot answer is an outage."""

from __future__ import annotations

from .base import Invariant
from .raises import rising
from .subject import Subject
from .views import ready_endpoints
from .world import Write


class ReadyBeforeWeight(Invariant):
    """I2: no write raises a revision's weight unless, from a fresh read in the same reconcile, it has ready endpoints.

    Compared: each weight that a route write raises with the last EndpointSlices that this very pass had
    read before it. Stable is no exception: traffic is not moved to a revision that cannot answer.
    """

    name = "I2"

    def routed(self, write: Write, subject: Subject) -> None:
        for revision, (before, after) in rising(write).items():
            reads = [r for r in write.reads if r["resource"] == "endpointslices"]
            ready = ready_endpoints(reads[-1]["result"] or (), revision) if reads else 0
            if not ready:
                seen = "0 ready endpoints" if reads else "no look at its endpoints"
                self.fail(
                    write.t,
                    subject,
                    f"{write.actor} raised {revision} from {before} to {after} with {seen} in the pass",
                )
