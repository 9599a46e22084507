"""I4. What was found to be bad must not come back by a restart, a new leader or a clock."""

from __future__ import annotations

from .base import Invariant
from .raises import raise_of, rising
from .subject import Subject
from .world import Write


class LatchedStaysDown(Invariant):
    """I4: after a latched breach or abort of R nothing raises R's weight, across restarts, leaders and clocks.

    Compared: every rise, in a status and on the route, with the breaches and failures that were ever
    committed and the aborts that were ever asked for. An abort counts for passes that began after it, and
    for all as soon as an operator has answered it with weight 0.
    Only a person lifts it: by another spec and back, or by the retry token.
    """

    name = "I4"

    def committed(self, write: Write, subject: Subject) -> None:
        rise = raise_of(write, subject)
        if rise is not None:
            self._check(write, subject, rise.revision, f"from {rise.before} to {rise.after}")

    def routed(self, write: Write, subject: Subject) -> None:
        for revision, (before, after) in rising(write).items():
            self._check(write, subject, revision, f"on the route from {before} to {after}")

    def _check(self, write: Write, subject: Subject, revision: str, what: str) -> None:
        latch = subject.latches.get(revision)
        if latch is None or subject.foreign_status:
            return
        if latch.why == "aborted" and write.began <= latch.t and not latch.answered:
            return
        text = f"{write.actor} raised {revision} {what}, {latch.why} at {latch.t:.1f} s"
        self.fail(write.t, subject, text)
