"""L1. An operator that never stops writing has not understood something."""

from __future__ import annotations

from .base import Invariant
from .subject import Subject
from .world import ROUTES, Write

QUIET = 60.0  # two resyncs
STUCK = {"Shifting", "RollingBack"}


class Settles(Invariant):
    """L1: if spec and world stop changing the object settles and writes stop.

    Compared: the operators' writes of the last 60 s before the end of a run whose faults ended at least
    twice as long before (the Lease's renewals apart), which must be none; and the state they left: the
    route shows the committed weights, and no weight is still on its way to the router.
    """

    name = "L1"

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._last: dict[str, Write] = {}
        self._touched = 0.0  # when somebody else last changed something

    def changed(self, write: Write) -> None:
        if write.operator and write.resource != "leases":
            subject = write.subject or write.about
            self._last[subject.key if subject else f"{write.namespace}/{write.name}"] = write
        elif not write.operator and not write.sub:
            self._touched = write.t

    def ended(self, t: float) -> None:
        calm = self.world.calm
        if calm is None or t - max(calm, self._touched) < 2 * QUIET:
            return
        for key, write in self._last.items():
            if write.t > t - QUIET:
                text = f"{write.what}, {t - write.t:.1f} s before the end"
                self.fail(t, key, f"{text} and {t - calm:.0f} s after the last fault")
        for subject in self.world.subjects.values():
            if subject.gone is None and not subject.foreign_status:
                self._state(t, subject)

    def _state(self, t: float, subject: Subject) -> None:
        rollout = subject.status.get("rollout") or {}
        if rollout.get("stage") in STUCK and self.world.child(subject, "services", subject.stable):
            self.fail(t, subject, f"stuck in {rollout['stage']} at the end")
        stable, canary = subject.arm("stable"), subject.arm("canary")
        if not stable.get("requestedWeight"):
            return
        weight = int(canary.get("requestedWeight", 0))
        wanted = {subject.stable: 100 - weight} | ({subject.canary: weight} if weight else {})
        namespace, _, name = subject.key.partition("/")
        present = (ROUTES, namespace, name) in self.world.objects
        shown = {r: w for r, w in subject.weights.items() if w}
        if present and shown != {r: w for r, w in wanted.items() if w}:
            self.fail(t, subject, f"at the end the route has {shown}, committed is {wanted}")
