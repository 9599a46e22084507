"""The rules of the walks: what users, pods, sources, clocks, strangers and operators do."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from .cluster import ROUTE
from .machine import GARBLED, SKEWS, STEPS, RolloutMachine

seconds = st.integers(1, 60)


def event(**draws: st.SearchStrategy) -> Callable:
    """A rule, after which the operator may be left to work for a while: many things need time to tell."""

    def make(happen: Callable) -> Callable:
        @functools.wraps(happen)
        def body(self: Walk, then: int, **drawn: object) -> None:
            happen(self, **drawn)
            if then:
                self.run_on(then)

        return rule(then=st.sampled_from([0, 0, 0, 11, 36]), **draws)(body)

    return make


versions = st.sampled_from("1234")
someone = st.sampled_from(["stable", "canary"])


class Walk(RolloutMachine):
    # Users

    @event(version=versions)
    def ask_for_a_version(self, version: str) -> None:
        self.world.model(version)
        self.world.edited()

    @event(steps=st.sampled_from(STEPS))
    def change_the_steps(self, steps: list[tuple[int, int]]) -> None:
        self.edit("rollout", steps=[{"weight": w, "hold": f"{h}s"} for w, h in steps])

    @event(
        field=st.sampled_from(
            [
                {"approval": "Manual"},
                {"approval": "Automatic"},
                {"onBreach": "Pause"},
                {"onBreach": "Rollback"},
                {"retryToken": "a"},
                {"retryToken": "b"},
                {"progressDeadline": "30s"},
                {"progressDeadline": "2m"},
                {"scaleDownDelay": "0s"},
            ]
        )
    )
    def change_the_rollout(self, field: dict) -> None:
        self.edit("rollout", **field)

    @event(paused=st.booleans())
    def pause_or_go_on(self, paused: bool) -> None:
        self.edit("rollout", paused=paused)

    @event(
        field=st.sampled_from(
            [
                {"interval": "10s"},
                {"interval": "30s"},
                {"failureThreshold": 1},
                {"failureThreshold": 3},
                {"minRequests": 1},
                {"minRequests": 200},
                {"onInsufficient": {"after": "1m", "do": "Pause"}},
                {"onInsufficient": {"after": "1m", "do": "Rollback"}},
                {"onInsufficient": {"after": "1m", "do": "Promote"}},
            ]
        )
    )
    def change_the_analysis(self, field: dict) -> None:
        self.edit("analysis", **field)

    @event(replicas=st.sampled_from([1, 2, 4]))
    def change_the_replicas(self, replicas: int) -> None:
        self.edit("server", replicas=replicas)

    @event(
        name=st.sampled_from(["abort", "promote", "promote/full", "pause"]),
        whose=st.sampled_from(["canary", "stable", "whole", "2", "3", GARBLED]),
    )
    def annotate(self, name: str, whose: str) -> None:
        self.annotate_with(name, self.value_for(whose))

    def annotate_with(self, name: str, revision: str) -> None:
        name, slash, full = name.partition("/")
        self.command(name, revision + slash + full if revision else "")

    @event(name=st.sampled_from(["abort", "promote", "pause"]))
    def take_an_annotation_away(self, name: str) -> None:
        self.command(name, "")

    @event(why=st.sampled_from(["spec.server: wrong", ""]))
    def make_the_spec_invalid_or_mend_it(self, why: str) -> None:
        self.world.invalid = why
        self.world.edited()

    @event(rival=st.sampled_from(["ml/other has claimed churn.example.com/", ""]))
    def claim_the_address(self, rival: str) -> None:
        self.world.rival = rival

    @event(version=versions, there=st.booleans())
    def register(self, version: str, there: bool) -> None:
        (self.world.unregistered.discard if there else self.world.unregistered.add)(version)

    @event(name=st.sampled_from(["abort", "promote", "promote/full", "pause"]))
    def command_the_canary(self, name: str) -> None:
        self.annotate_with(name, self.key_of("canary"))

    # Pods and traffic

    @event(version=versions, ready=st.booleans(), at_most=st.sampled_from([None, None, 0, 1]))
    def pods(self, version: str, ready: bool, at_most: int | None) -> None:
        how = self.world.behaviour_of(version)
        how.ready, how.at_most = ready, at_most

    @event(
        version=versions,
        errors=st.sampled_from([0.0, 0.2, 0.6, 1.0]),
        slow=st.sampled_from([0.0, 0.0, 0.5]),
    )
    def behave(self, version: str, errors: float, slow: float) -> None:
        how = self.world.behaviour_of(version)
        how.errors, how.slow = errors, slow

    @event(rate=st.sampled_from([0.0, 0.5, 20.0, 100.0, 1000.0]))
    def traffic(self, rate: float) -> None:
        self.world.rate = rate

    @event(whose=someone)
    def restart_the_pods(self, whose: str) -> None:
        key = self.key_of(whose)
        if key:
            self.world.restart_pods(key)

    # Sources

    @event(down=st.booleans(), second=st.booleans())
    def the_source_goes_down_or_comes_back(self, down: bool, second: bool) -> None:
        self.world.source_down, self.world.second_source = down, second

    @event(
        fault=st.sampled_from(["", "", "nodata", "nan", "negative", "infinite", "stale", "pods"])
    )
    def the_source_lies(self, fault: str) -> None:
        self.world.fault, self.world.frozen_at = fault, self.world.true_now

    # Router and strangers

    @event(confirmed=st.booleans())
    def the_router_confirms_or_does_not(self, confirmed: bool) -> None:
        self.world.confirmed = confirmed

    @precondition(lambda self: self.world.weights)
    @event(what=st.sampled_from(["delete", "swap", "other"]))
    def meddle_with_the_route(self, what: str) -> None:
        world = self.world
        if what == "delete":
            world.delete(ROUTE)
            return
        if what == "swap":
            world.weights = {key: 100 - weight for key, weight in (world.weights or {}).items()}
        world.route_drifted = True
        world.touch(ROUTE)

    @event(whose=someone, what=st.sampled_from(["scale", "deployment", "service"]))
    def meddle_with_a_revision(self, whose: str, what: str) -> None:
        key, world = self.key_of(whose), self.world
        if what == "service" and key in world.services:
            world.delete(f"service {key}")
        elif what == "deployment" and key in world.replicas:
            world.delete(f"deployment {key}")
        elif what == "scale" and key in world.replicas:
            world.replicas[key] = 0
            world.touch(f"deployment {key}")

    # Clocks

    @rule(offset=st.sampled_from([0, 0, *SKEWS]), known=st.booleans())
    def the_clock_jumps(self, offset: int, known: bool) -> None:
        self.world.set_clock(timedelta(seconds=offset), known=known)

    @rule(by=seconds)
    def tick(self, by: int) -> None:
        """Time passes, and the operator does not look."""
        self.world.pass_time(timedelta(seconds=by))

    @rule(by=st.sampled_from([5, 15, 40, 130, 300]))
    def work(self, by: int) -> None:
        self.run_on(by)
        self.settle_now()

    # Operators

    @rule()
    def one_look(self) -> None:
        self.look()

    @rule(writes=st.integers(0, 4))
    def crash(self, writes: int) -> None:
        """The operator dies before the commit, after it, or after some of its writes."""
        self.look(crash=writes)

    @rule()
    def decide_on_a_snapshot_and_wait(self) -> None:
        snapshot = self.world.snapshot()
        self.stale = snapshot, self.world.decide(snapshot)

    @precondition(lambda self: self.stale)
    @rule()
    def act_on_the_old_snapshot(self) -> None:
        """Compare-and-set refuses it when anything was committed since, or the user was faster."""
        snapshot, plan = self.stale
        self.stale = None
        if self.commit(snapshot, plan):
            self.send(self.world.writes_of(plan, snapshot))

    @precondition(lambda self: self.hung is None)
    @rule()
    def hang_after_the_commit(self) -> None:
        snapshot = self.world.snapshot()
        plan = self.world.decide(snapshot)
        if self.commit(snapshot, plan):
            self.hung = snapshot, self.world.writes_of(plan, snapshot)

    @precondition(lambda self: self.hung is not None)
    @rule()
    def the_hung_one_goes_on(self) -> None:
        _, writes = self.hung
        self.hung = None
        self.send_late(writes)

    @rule()
    def another_leader(self) -> None:
        self.world.epoch += 1
        self.look()

    @rule()
    def an_old_leader_looks(self) -> None:
        self.world.epoch -= 1
        try:
            plan = self.look()
            assert plan.status is None or self.world.epoch >= self.world.status.epoch
        finally:
            self.world.epoch += 1

    @rule(image=st.sampled_from(["image:1", "image:2"]))
    def upgrade_the_operator(self, image: str) -> None:
        """At rest or under way: nothing follows from that (I11)."""
        self.settle_now()
        self.world.image = image
        text, counter = self.world.text, self.world.counter
        self.look()
        assert (text, counter) == (self.world.text, self.world.counter), "I11: an upgrade changes"
