"""Random walks through everything that may happen to one ModelDeployment, judged by the reference model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize
from world import START, Behaviour

from serinus.core.observed import Commands
from serinus.core.plan import EnsureRoute, Plan, RemoveRevision, Reweigh
from serinus.core.revision import revision_of, short

from .cluster import RESYNC, Cluster, Snapshot, Write, as_stored
from .judge import Judge, difference
from .reference import Reference

MILLISECOND = timedelta(milliseconds=1)
PATIENCE = 3600  # seconds in which a mended world settles; the sum of all deadlines is less
PASSES = 15  # at one moment, before everything that can be done is done
GARBLED = "0badc0de"

STEPS = (
    [(10, 30), (50, 30)],
    [(5, 20), (25, 20), (75, 20)],
    [(50, 60)],
    [(100, 20)],
    [],
)
SKEWS = (-300, -31, -10, 10, 31, 300)


class RolloutMachine(Judge, RuleBasedStateMachine):
    """Rules are what users, pods, sources, clocks and operators do; every pass is judged."""

    @initialize(
        steps=st.sampled_from(STEPS),
        on_breach=st.sampled_from(["Rollback", "Rollback", "Pause"]),
        do=st.sampled_from(["Pause", "Rollback", "Promote"]),
        bad=st.sampled_from([0.0, 0.0, 0.0, 0.2, 1.0]),
        lead=st.sampled_from([None, 0, 5, 12, 25, 45, 70]),
    )
    def begin(self, steps: Sequence, on_breach: str, do: str, bad: float, lead: int | None) -> None:
        self.world = Cluster(now=START + timedelta(microseconds=123_456), epoch=100)
        self.reference = Reference()
        self.hung: tuple[Snapshot, list[Write]] | None = None
        self.stale: tuple[Snapshot, Plan] | None = None
        self.next_look = RESYNC
        self.world.behaviour["2"] = Behaviour(errors=bad)
        self.edit("rollout", steps=[{"weight": w, "hold": f"{h}s"} for w, h in steps])
        self.edit("rollout", onBreach=on_breach)
        self.edit("analysis", onInsufficient={"after": "2m", "do": do})
        if lead is not None:  # most walks begin somewhere in a rollout
            self.run_on(10)
            self.world.model("2")
            self.world.edited()
            self.run_on(lead)

    # Passes

    def look(self, crash: int | None = None) -> Plan:
        """One pass; ``crash``: the operator dies after so many writes, counted from the commit on."""
        snapshot = self.world.snapshot()
        plan = self.world.decide(snapshot)
        self.next_look = RESYNC if plan.requeue_after is None else min(RESYNC, plan.requeue_after)
        assert plan.requeue_after is None or plan.requeue_after >= timedelta(0)
        if crash is not None and crash < 1:
            return plan
        if self.commit(snapshot, plan):
            self.send(self.world.writes_of(plan, snapshot)[: None if crash is None else crash - 1])
        return plan

    def send(self, writes: Sequence[Write]) -> None:
        """As the writer does: after a failure nothing else is kept from happening but the route."""
        failed = False
        for index, write in enumerate(writes):
            if failed and index and isinstance(write.intent, EnsureRoute | Reweigh):
                continue
            if isinstance(write.intent, RemoveRevision):
                named = self.world.weights or {}
                live = all(self.world.objects.get(w) == v for w, v in write.expected.items())
                assert not live or write.intent.short not in named, "I5: removed while routed to"
            failed = not self.world.send(write) or failed

    def settle_now(self) -> None:
        """Looks until nothing more can be done at this moment, and then finds nothing to tell."""
        plan = self.finish_now()
        assert not plan.events, f"told again: {plan.events}"
        ahead = plan.requeue_after - MILLISECOND if plan.requeue_after else timedelta(hours=1)
        if ahead > timedelta(0):
            self.unchanged_at(ahead)

    def finish_now(self) -> Plan:
        """Looks until a pass changes nothing, which must not take long."""
        for _ in range(PASSES):
            before = self.world.counter
            plan = self.look()
            if plan.requeue_after != timedelta(0) and before == self.world.counter:
                return plan
        raise AssertionError(f"still at work after {PASSES} passes: {self.world.text}")

    def unchanged_at(self, ahead: timedelta) -> None:
        """Time alone changes nothing before the next look that was asked for."""
        self.world.now += ahead
        try:
            snapshot = self.world.snapshot()
            plan = self.world.decide(snapshot)
            text = self.world.text if plan.status is None else as_stored(plan.status)
            assert text == self.world.text, (
                f"nobody asked for the look {ahead} ahead: {difference(self.world.text, text)}"
            )
            assert not plan.events
            assert not self.world.writes_of(plan, snapshot)
        finally:
            self.world.now -= ahead

    def run_on(self, length: int) -> None:
        """Time passes, and the operator looks whenever it has asked for it."""
        end = self.world.true_now + timedelta(seconds=length)
        while True:
            self.finish_now()
            left = end - self.world.true_now
            if left <= timedelta(0):
                return
            self.world.pass_time(min(max(self.next_look, 10 * MILLISECOND), left))

    # The world, by name

    def key_of(self, whose: str) -> str:
        status = self.world.status
        arm = status.stable if whose == "stable" else status.canary
        return short(arm.revision) if arm is not None else ""

    def value_for(self, whose: str) -> str:
        """What people write to name a revision; empty: there is none of that name yet."""
        canary = self.world.status.canary
        if whose == "whole":
            return canary.revision if canary else ""
        if whose in {"canary", "stable"}:
            return self.key_of(whose)
        return self.world.known.get(whose, "") if len(whose) == 1 else whose

    def command(self, name: str, value: str) -> None:
        self.world.commands = replace(self.world.commands, **{name: value})
        self.world.edited()

    def send_late(self, writes: Sequence[Write]) -> None:
        """Writes of a pass that hung since its commit: none undoes what was decided and written since."""
        for write in writes:
            newest = self.world.fence == str(self.world.status.fence)
            before = self.world.weights
            self.send([write])
            if newest and isinstance(write.intent, EnsureRoute | Reweigh):
                wanted = write.intent.fence == str(self.world.status.fence)
                assert wanted or before == self.world.weights, (
                    "I15: a late write undoes a newer one"
                )

    def teardown(self) -> None:
        """Everything is mended: the rollout ends, or waits for a reason that is still true."""
        if not hasattr(self, "world"):
            return
        if self.hung is not None:
            self.send_late(self.hung[1])
        self.mend()
        end = self.world.true_now + timedelta(seconds=PATIENCE)
        while not self.settled():
            assert self.world.true_now < end, f"it does not settle: {self.world.text}"
            self.run_on(20)
        self.settle_now()
        if self.world.status.rollout is None:
            while self.world.status.retiring or self.world.status.drift is not None:
                assert self.world.true_now < end, f"it is never forgotten: {self.world.text}"
                self.run_on(120)
            self.rest()

    def rest(self) -> None:
        """Nothing is written any more, and exactly what serves is left."""
        self.settle_now()
        before, own = (self.world.counter, self.world.text), self.key_of("stable")
        for seconds_later in (30, 200, 600):
            self.world.pass_time(timedelta(seconds=seconds_later))
            self.settle_now()
        after = (self.world.counter, self.world.text)
        assert before == after, f"L1: writes at rest: {difference(before[1], after[1])}"
        assert self.world.weights == {own: 100}
        assert set(self.world.replicas) == self.world.services == {own}

    def mend(self) -> None:
        world = self.world
        for version in "1234":
            world.behaviour[version] = Behaviour()
        world.rate, world.confirmed, world.fault = 100.0, True, ""
        world.source_down, world.rival, world.invalid = False, "", ""
        world.unregistered.clear()
        world.set_clock(timedelta(0), known=True)
        world.commands = Commands()
        self.edit("rollout", paused=False)

    def settled(self) -> bool:
        """At rest with what the spec asks for, or with the failure of it; or waiting for people."""
        status, spec = self.world.status, self.spec()
        rollout, target, stable = status.rollout, status.target, status.stable
        if target is None or stable is None or stable.requested_weight == 0:
            return False
        wish = revision_of(spec, target)
        if rollout is None:
            token = spec.rollout.retry_token
            failed = self.reference.failed.get(short(wish)) == token
            return target.uri == spec.model.uri and (stable.revision == wish or failed)
        reason = rollout.pause_reasons[0].reason if rollout.pause_reasons else ""
        if reason == "ApprovalRequired":
            return spec.rollout.approval == "Manual"
        if reason in {"MetricsBreached", "ProgressDeadlineExceeded", "RouteNotConfirmed"}:
            same = rollout.retry_token == spec.rollout.retry_token
            return spec.rollout.on_breach == "Pause" and same and rollout.breach is None
        return False

    def edit(self, part: str, **fields: object) -> None:
        self.world.change_spec(**{part: {**self.world.spec.get(part, {}), **fields}})
