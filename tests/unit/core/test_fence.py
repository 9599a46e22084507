"""Every change of weights is a write of the route; an older leader decides nothing."""

from __future__ import annotations

from .world import Behaviour, World, ended


def test_the_route_carries_the_fence_of_the_weights_and_each_change_is_a_new_one() -> None:
    world = World().serving()
    fences = [world.fence]
    world.model("2")
    for weights in ({"1": 90, "2": 10}, {"1": 50, "2": 50}):
        world.run(lambda w, weights=weights: w.by_version() == weights)
        fences.append(world.fence)
    assert fences == sorted(set(fences), key=int)
    assert world.fence == str(world.status.fence)


def test_a_route_of_an_older_fence_confirms_nothing() -> None:
    world = World(behaviour={"2": Behaviour(errors=1.0)}).serving()
    world.model("2")
    world.run(lambda w: w.by_version() == {"1": 90, "2": 10})
    world.run(lambda w: w.status.rollout is not None and w.status.rollout.breach is not None)
    world.fence = "0"  # as if the write of weight 0 had not arrived, but the route says 0
    world.look()
    assert world.status.canary is not None
    world.run(ended)


def test_a_leader_of_an_older_epoch_decides_nothing() -> None:
    world = World(epoch=3).serving()
    world.model("2")
    world.run(lambda w: w.by_version() == {"1": 90, "2": 10})
    assert world.status.epoch == 3
    world.epoch = 2
    writes = world.writes
    plan = world.look()
    assert plan.status is None
    assert world.writes == writes


def test_a_new_leader_fences_a_running_rollout_and_writes_nothing_at_rest() -> None:
    world = World(epoch=1).serving()
    world.run_for(60)
    writes, world.epoch = world.writes, 2
    world.run_for(60)
    assert world.writes == writes
    world.model("2")
    world.run(lambda w: w.by_version() == {"1": 90, "2": 10})
    fence, world.epoch = world.status.fence, 3
    world.look()
    assert (world.status.fence, world.fence) == (fence + 1, str(fence + 1))
    world.run(ended)
    assert world.status.stable.resolved_version == "2"
