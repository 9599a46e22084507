"""I7. Two canaries at once can be told apart by nobody."""

from __future__ import annotations

from .base import Invariant
from .subject import Subject
from .views import weights
from .world import Write


class OneCanary(Invariant):
    """I7: at most one canary revision has weight.

    Compared: the backends with weight > 0 in each route that an operator has written: at most two, and
    at most one that is not stable.
    """

    name = "I7"

    def routed(self, write: Write, subject: Subject) -> None:
        shares = {r: w for r, w in weights(write.after).items() if w}
        others = [r for r in shares if r != subject.stable]
        if len(shares) > 2 or len(others) > 1:
            self.fail(
                write.t,
                subject,
                f"{write.actor} gave weight to {shares}, stable is {subject.stable}",
            )
