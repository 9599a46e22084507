"""What a rollout may do, as a small abstract machine that knows nothing of the operator's code.

It is told what each pass saw and what was committed, and says which weights were allowed and which were due.
"""

from __future__ import annotations

from math import ceil

from .sight import Sight, State


class Reference:
    """Follows one object; each method raises AssertionError when the operator did what it must not."""

    def __init__(self) -> None:
        self.failed: dict[str, str] = {}  # revision -> retry token when it failed
        self.done = {"abort": "", "promote": ""}
        self.drifts: list[float] = []
        self._begin(0.0)

    def _begin(self, now: float) -> None:
        self.latched, self.latch_token = "", ""
        self.resumed(now)

    def resumed(self, now: float) -> None:
        """A rollout begins, or begins again: the first weight needs no evidence."""
        self.hold: float | None = None
        self.breaches = self.step_breaches = self.healthy = 0
        self.verdict, self.licence, self.full = "", "first", False
        self.steps: tuple[int, ...] | None = None
        self.since, self.told_at = now, now
        self.silent_since: float | None = None

    def passed(self, s: Sight, a: State, b: State) -> None:
        """One committed pass, from state ``a`` to state ``b``."""
        if s.drifted:
            self.drifts = [at for at in self.drifts if s.now - at < 600] + [s.now]
        abort = s.valid and self._people(s, a, b)
        if a.canary and a.canary == b.canary:
            self._evidence(s, a, b)
            self._latch(s, a, b)
            self._stages(s, a, b)
            self._weights(s, a, b, abort)
            if (a.stage, a.weight) != (b.stage, b.weight):
                self.since = s.now
        elif a.canary:
            self._ended(s, a, b)
        elif b.canary:
            assert s.valid and b.canary == s.wish != a.stable, "a rollout nobody asked for"
            assert not s.held, "a rollout starts while it is held back"
            assert self.failed.get(b.canary) != s.token, "I9: a failed revision is tried again"
            assert b.weight == 0, "I3: weight without a step"
            self.failed.clear()
            self._begin(s.now)
        if a.stable != b.stable and b.stable != a.canary:
            assert a.stable_weight == b.stable_weight == 0, "stable changes without a rollout"
        if b.stable_weight > a.stable_weight and b.stable == a.stable:
            assert s.ready.get(b.stable, 0) >= 1, "I2: the first weight without a ready pod"

    def _people(self, s: Sight, a: State, b: State) -> bool:
        """Commands are carried out once; answers whether an abort is due in this pass."""
        due = False
        for name, value in (("abort", s.abort), ("promote", s.promote)):
            if not value:
                self.done[name] = ""
            elif value != self.done[name]:
                meant = value.removesuffix("/full")
                if meant != a.canary:
                    comes = meant == s.wish != a.stable and a.stable_weight
                    if not comes or self.failed.get(s.wish) == s.token:
                        self.done[name] = value
                elif name == "abort":
                    self.done[name], due = value, True
                    self.latched = self.latched or "Aborted"
                    self.latch_token = self.latch_token or s.token
                elif not (s.held or self.latched or self.breaches or a.stage == "Paused"):
                    self.licence, self.full = "forced", self.full or value != meant
        return due

    def _evidence(self, s: Sight, a: State, b: State) -> None:
        if s.verdict == "Healthy":
            self.healthy, self.breaches, self.told_at = self.healthy + 1, 0, s.verdict_at
        elif s.verdict == "Breach":
            self.healthy, self.told_at = 0, s.verdict_at
            self.breaches, self.step_breaches = self.breaches + 1, self.step_breaches + 1
            self.hold = s.now if self.hold is not None else None
        if s.verdict == "Unavailable":
            self.silent_since = s.now if self.silent_since is None else self.silent_since
        elif s.verdict:
            self.silent_since = None
        self.verdict = s.verdict or self.verdict
        many = self.breaches >= s.threshold or self.step_breaches >= 2 * s.threshold
        if s.verdict == "Breach" and many and not s.on_breach_pause:
            assert b.breach, "enough breaches, and none is latched"

    def _latch(self, s: Sight, a: State, b: State) -> None:
        """A breach is latched for a reason, and for ever."""
        if not a.breach and b.breach:
            late = self.passed_since(self.since, s.now) >= s.deadline
            short = s.ready.get(a.canary, 0) < self.needed(s, 100)
            shown = s.confirmed and (s.route or {}).get(a.canary, 0) == a.weight
            why = {
                "Aborted": self.latched == "Aborted",
                "MetricsBreached": s.verdict == "Breach" or a.pause == "MetricsBreached",
                "CanaryFailing": s.verdict == "Breach" or a.pause == "CanaryFailing",
                "CanaryNotReady": a.weight > 0 and not s.ready.get(a.canary),
                "ProgressDeadlineExceeded": (late and short) or a.pause == b.breach,
                "RouteNotConfirmed": (late and not shown) or a.pause == b.breach,
                "InsufficientData": s.starving == "Rollback"
                and self.passed_since(self.told_at, s.now) >= s.patience,
            }
            assert why[b.breach], f"I10: {b.breach} without a cause"
            self.latched, self.latch_token = self.latched or b.breach, self.latch_token or s.token
        assert not a.breach or a.breach == b.breach, "I4: a latched breach is forgotten"

    def _stages(self, s: Sight, a: State, b: State) -> None:
        if a.stage == "Paused" and b.stage == "Scaling":
            assert not self.latched and b.weight == 0, "I4: a latched revision begins again"
            self.resumed(s.now)
        elif a.stage == "Holding" and b.stage == "Scaling":
            hold = s.holds.get(a.weight, 0.0)
            passed = self.hold is not None and self.passed_since(self.hold, s.now) >= hold
            proven = passed and self.healthy and self.verdict == "Healthy"
            last = all(step <= a.weight for step in s.steps)
            approved = not (s.manual and last)
            starved = (
                s.starving == "Promote" and self.passed_since(self.told_at, s.now) >= s.patience
            )
            assert not s.held, "a rollout advances while it is held back"
            if self.licence != "forced" and not (proven and approved):
                assert starved and approved and not self.breaches, "I3/I10: a step without its hold"
                self.licence = "forced"
            elif self.licence != "forced":
                self.licence = "evidence"
        elif b.stage == "Holding" != a.stage:
            self.licence, self.full, self.hold, self.steps = "", False, s.now, s.steps
            if a.stage == "Shifting":
                shown = s.confirmed and (s.route or {}).get(a.canary) == a.weight
                assert shown, "a hold begins before the router has confirmed the weight"
                self.healthy = self.step_breaches = 0
                self.told_at = s.now
        elif a.stage == b.stage in {"Scaling", "Shifting"} and s.starving == "Promote":
            patient = self.passed_since(self.told_at, s.now) < s.patience
            if not (patient or self.breaches or s.held):
                self.licence = "forced"

    def _weights(self, s: Sight, a: State, b: State, abort: bool) -> None:
        stable_ready = s.ready.get(a.stable, 0) >= 1
        if b.weight not in {0, a.weight}:
            assert s.valid and not s.held, "a rollout advances while it is held back"
            assert not self.latched, "I4: weight for a latched revision"
            assert a.stage == "Scaling", "a weight out of turn"
            assert b.weight in {*s.steps, 100}, "I3: not a configured weight"
            left_out = [w for w in s.steps if a.weight < w < b.weight]
            assert self.full or not left_out, "I3: a step is left out"
            assert s.ready.get(a.canary, 0) >= self.needed(s, b.weight), "I2: pods are not ready"
            self._entitled()
        elif b.weight < a.weight:
            assert stable_ready, "traffic moves to a stable without a ready pod"
            silent = (
                self.silent_since is not None and self.passed_since(self.silent_since, s.now) >= 120
            )
            assert (
                self.latched
                or not s.valid
                or s.wish != a.canary
                or (a.stage == "Paused" and a.pause)
                or (b.pause == "MetricsUnavailable" and silent)
                or (b.pause == "DriftConflict" and len(self.drifts) >= 5)
            ), "I10: the canary loses its traffic without a cause"
        elif a.weight and stable_ready:
            assert not abort, "I12: an abort is not carried out at once"
            if a.acknowledged != b.acknowledged:
                return  # this pass dealt with a command for another revision; the next follows at once
            assert not self.latched, "I4: a latched revision keeps its traffic"
            assert s.valid, "a canary that cannot be judged keeps its traffic"
            assert s.wish in {"", a.canary}, "I12: a superseded revision keeps its traffic"
            assert s.ready.get(a.canary), "a canary without a ready pod keeps its traffic"

    def _entitled(self) -> None:
        good = self.verdict == "Healthy" or self.hold is None
        forced = self.licence == "forced" and not self.breaches
        assert self.licence and (good or forced), "I3/I10: weight without evidence"

    def _ended(self, s: Sight, a: State, b: State) -> None:
        shown = (s.route or {}).get(a.canary, 0) if s.confirmed or s.route is None else None
        if b.stable == a.canary:
            assert not self.latched, "I4: a latched revision is promoted"
            assert a.weight == 100 == shown, "promoted before it has all the traffic"
            assert not s.held, "promoted while it is held back"
            self._entitled()
        else:
            assert a.stage == "RollingBack", "a rollout ends out of turn"
            assert a.weight == 0 and not shown, "a rollout ends while its canary has traffic"
        wanted = "Promoted" if b.stable == a.canary else "Superseded"
        if self.latched:
            wanted = "Aborted" if self.latched == "Aborted" else "RolledBack"
            self.failed[a.canary] = self.latch_token
        assert b.outcome == wanted and b.ended != a.ended, f"it ended as {b.outcome}, not {wanted}"
        self.latched = ""

    @staticmethod
    def passed_since(since: float, now: float) -> float:
        """Seconds; a status keeps milliseconds."""
        return now - since + 0.001

    @staticmethod
    def needed(s: Sight, weight: int) -> int:
        """Pods that a share of the traffic needs."""
        return max(1, ceil(s.replicas * weight / 100))
