"""I10. No evidence is neither good nor bad evidence."""

from __future__ import annotations

from .base import Invariant
from .raises import evidence, patient, raise_of
from .subject import Subject
from .views import ready_endpoints, ready_replicas, replicas, revision_label
from .world import Write


class NoEvidenceNoVerdict(Invariant):
    """I10: Insufficient and Unavailable never advance and never fail.

    Compared: each rise with the last answer of a metric source before it, which must be samples, and
    with the most requests of one answer at the weight before. Each latched breach with that last answer
    too, and with the errors of all answers where errors are all that is judged, unless pods that are
    not ready, an unconfirmed route, an abort or ``onInsufficient`` explain it. Of several sources in one
    pass the answer that says most counts.
    """

    name = "I10"

    def committed(self, write: Write, subject: Subject) -> None:
        self._advance(write, subject)
        breach = (subject.status.get("rollout") or {}).get("breach")
        old = ((write.before or {}).get("status") or {}).get("rollout") or {}
        if breach and not old.get("breach") and subject.canary:
            self._fail(write, subject)

    def _advance(self, write: Write, subject: Subject) -> None:
        rise = raise_of(write, subject)
        if (
            rise is None
            or not rise.before
            or rise.forced
            or patient(self.world, write, subject, rise)
        ):
            return
        answers = evidence(subject, rise)
        what = f"{write.actor} raised {rise.revision} from {rise.before} to {rise.after}"
        if answers and answers[-1].kind != "samples":
            last = answers[-1]
            text = f"{what}; the last answer, {write.t - last.t:.1f} s before, was {last.kind}"
            self.fail(write.t, subject, text)
            return
        least = min(s.min_requests for s in subject.specs_since(rise.since))
        most = max((a.requests for a in answers if a.kind == "samples"), default=0)
        if most < least:
            self.fail(write.t, subject, f"{what} on {most} requests, of {least} that make evidence")

    def _fail(self, write: Write, subject: Subject) -> None:
        canary = subject.canary
        if canary in subject.latches and subject.latches[canary].why == "aborted":
            return
        answers = subject.answers.get(canary, [])
        if answers and answers[-1].kind == "samples" and answers[-1].requests:
            if subject.spec.only_errors and not any(a.errors for a in answers):
                text = f"{write.actor} failed {canary} on {answers[-1].requests} requests"
                self._unless_explained(write, subject, f"{text} and not one error")
            return
        last = answers[-1].kind if answers else "none"
        text = f"{write.actor} failed {canary} without evidence: its pods are ready"
        self._unless_explained(write, subject, f"{text} and the last answer is {last}")

    def _unless_explained(self, write: Write, subject: Subject, message: str) -> None:
        """Pods that are not ready, a route that nobody takes and impatience need no evidence."""
        canary, spec = subject.canary, subject.spec
        if self.world.blinded(write.t):
            return  # what an old view showed of pods and Services is not in the log
        if not self._pods_ready(write, canary) or not self._confirmed(subject, canary):
            return
        asked = subject.asked.get(canary, (0, write.t))[1]
        since = min(subject.held.values(), default=asked)
        waited = write.t - since >= self.world.at_least(spec.insufficient_after)
        if spec.insufficient == "Rollback" and waited:
            return
        self.fail(write.t, subject, message)

    @staticmethod
    def _pods_ready(write: Write, canary: str) -> bool:
        """Whether this pass has seen all of the canary's pods ready, its Service and its endpoints."""
        seen = {read["resource"]: read["result"] or () for read in write.reads}
        pods = any(
            ready_replicas(item) >= max(1, replicas(item))  # somebody may have scaled it to none
            for item in seen.get("deployments", ())
            if revision_label(item) == canary
        )
        service = any(revision_label(item) == canary for item in seen.get("services", ()))
        return pods and service and ready_endpoints(seen.get("endpointslices", ()), canary) > 0

    @staticmethod
    def _confirmed(subject: Subject, canary: str) -> bool:
        """Whether the Gateway has taken the route as it is."""
        live = subject.live.get(canary)
        return live is None or live.accepted is not None
