"""Sequential evidence over a whole rollout: comparison with stable, a router that does not split."""

from __future__ import annotations

from datetime import timedelta

from serinus.api.status import Outcome, Verdict

from .world import SECOND, SPEC, Behaviour, World, ended, weights_of

COMPARED = {
    **SPEC,
    "analysis": {
        **SPEC["analysis"],
        "metrics": [{"name": "versus", "type": "ErrorRate", "compareTo": "Stable"}],
    },
}


def rolled_out(stable: float, canary: float) -> World:
    world = World(spec=COMPARED).serving()
    world.behaviour = {"1": Behaviour(errors=stable), "2": Behaviour(errors=canary)}
    world.model("2")
    return world.run(ended)


def test_a_canary_as_bad_as_a_bad_stable_is_promoted() -> None:
    world = rolled_out(stable=0.1, canary=0.1)
    assert world.status.stable.resolved_version == "2"
    assert weights_of(world, "2") == [0, 10, 50, 100]


def test_a_canary_worse_than_stable_is_taken_back_with_the_numbers_of_both() -> None:
    world = rolled_out(stable=0.1, canary=0.25)
    assert world.status.failed.reason == "MetricsBreached"
    assert world.status.history[-1].outcome is Outcome.ROLLED_BACK
    message = world.status.failed.message
    assert "(25 %)" in message
    assert "(10 %)" in message
    assert "0.5 points above stable with a certainty of 99 %" in message
    assert weights_of(world, "2") == [0, 10, 0]


def test_the_comparison_goes_on_from_step_to_step_and_bounds_begin_anew() -> None:
    both = [*COMPARED["analysis"]["metrics"], *SPEC["analysis"]["metrics"]]
    spec = {**SPEC, "analysis": {**SPEC["analysis"], "metrics": both}}
    world = World(spec=spec).serving()
    world.model("2")
    world.run(lambda w: w.by_version() == {"1": 50, "2": 50})
    first = {e.metric.split(":")[0]: e.total for e in world.status.rollout.evidence}
    world.run(lambda w: w.status.rollout.step == 1 and w.status.rollout.healthy_slots == 1)
    second = {e.metric.split(":")[0]: e.total for e in world.status.rollout.evidence}
    assert second["versus"] >= first["versus"] + 400
    assert 400 <= second["errors"] < 700


class Halves(World):
    """The router confirms every weight, and gives each version the same."""

    def pass_time(self, by: timedelta = SECOND) -> None:
        confirmed = self.weights
        if confirmed and 0 not in confirmed.values():
            self.weights = {key: 100 // len(confirmed) for key in confirmed}
        super().pass_time(by)
        self.weights = confirmed


def test_a_router_that_ignores_the_weight_holds_the_rollout_back_and_fails_nobody() -> None:
    world = Halves().serving()
    world.model("2")
    world.run_for(300)
    assert world.by_version() == {"1": 90, "2": 10}
    assert world.status.failed is None
    latest = world.status.rollout.verdicts[-1]
    assert latest.verdict is Verdict.INSUFFICIENT
    assert "the canary got 50 % of" in latest.message
    assert "instead of 10 %" in latest.message


def test_a_router_that_ignores_the_weight_protects_no_bad_canary() -> None:
    world = Halves(behaviour={"2": Behaviour(errors=0.05)}).serving()
    world.model("2")
    world.run(ended)
    assert world.status.failed.reason == "MetricsBreached"
