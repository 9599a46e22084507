"""I3. Steps and evidence are the whole point of a rollout."""

from __future__ import annotations

from .base import Invariant
from .evidence import Answer, certain_breach
from .raises import Raise, evidence, patient, raise_of, rising
from .subject import Subject
from .world import Write


class OnlyByHealthySteps(Invariant):
    """I3: weight rises only by the configured step and only after a complete Healthy hold.

    Compared: each commit that asks for more weight (promotion asks for 100) with the spec's steps as they
    are by then, of which it must be the first above the weight before; with the time since a Gateway first
    took that weight; and with what the metric sources answered in that time: at least one answer with
    ``minRequests``, and no certain breach within the last hold. The route itself never shows more than was
    committed. A ``promote`` command, and ``onInsufficient`` with ``do: Promote`` after its time, are the
    exceptions; a Manual last step needs the command. A route that was on its way when its object was
    deleted is left to the collector, and to L2: no API server can be asked to refuse a late create.
    """

    name = "I3"

    def committed(self, write: Write, subject: Subject) -> None:
        rise = raise_of(write, subject)
        if rise is None:
            return
        if not rise.forced:
            self._step(write, subject, rise)
        if rise.before and not rise.forced and not patient(self.world, write, subject, rise):
            self._hold(write, subject, rise)

    def _step(self, write: Write, subject: Subject, rise: Raise) -> None:
        spec = subject.spec
        what = f"{rise.revision} from {rise.before} to {rise.after}"
        if rise.after != spec.next_weight(rise.before):
            steps = [w for w, _ in spec.steps]
            self.fail(
                write.t, subject, f"{write.actor} asked for {what}; the steps are {steps}, 100"
            )
        elif rise.after == 100 and spec.manual:
            self.fail(write.t, subject, f"{write.actor} asked for {what} without approval")

    def _hold(self, write: Write, subject: Subject, rise: Raise) -> None:
        what = f"{write.actor} raised {rise.revision} from {rise.before} to {rise.after}"
        if rise.held is None:
            self.fail(write.t, subject, f"{what} before a Gateway had taken {rise.before}")
            return
        recent = subject.specs_since(rise.since)
        hold = min(s.hold_of(rise.before) or 0.0 for s in recent)
        least_time = self.world.at_least(hold)
        if write.t - rise.held < least_time:
            self.fail(write.t, subject, f"{what} after {write.t - rise.held:.1f} s of {hold:g} s")
        answers = evidence(subject, rise)
        least = min(s.min_requests for s in recent)
        if not any(a.kind == "samples" and a.requests >= least for a in answers):
            most = max((a.requests for a in answers), default=0)
            self.fail(
                write.t, subject, f"{what} on {most} requests in one slot at most, of {least}"
            )
        self._no_breach(write, subject, answers, least_time, what)

    def _no_breach(
        self, write: Write, subject: Subject, answers: list[Answer], hold: float, what: str
    ) -> None:
        bound, least = subject.spec.error_bound, subject.spec.min_requests
        if bound is None:
            return
        before: Answer | None = None
        for answer in answers:
            bad = certain_breach(before, answer, least, bound)
            if bad and write.t - answer.t < hold:
                text = f"{what} {write.t - answer.t:.1f} s after a slot with {answer.errors} errors"
                self.fail(write.t, subject, f"{text} of {answer.requests} requests")
                return
            before = answer

    def routed(self, write: Write, subject: Subject) -> None:
        if _outlived(write, subject):
            return
        arms = {
            subject.canary: subject.arm("canary").get("requestedWeight", 0),
            subject.stable: 100 - subject.arm("canary").get("requestedWeight", 0),
        }
        for revision, (before, after) in rising(write).items():
            asked = arms.get(revision, 0)
            if after > asked:
                text = f"{write.actor} raised {revision} on the route from {before} to {after}"
                self.fail(write.t, subject, f"{text}; committed are {asked}")


def _outlived(write: Write, subject: Subject) -> bool:
    """Whether this creates what a pass of before the delete has sent. Of a later pass it is I12's."""
    deleted = subject.deleted
    return write.before is None and deleted is not None and write.began <= deleted
