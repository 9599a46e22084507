"""Others write to what is ours, or want the address that is ours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from serinus.api.status import Claim
from serinus.core.claims import Claimant, rival

from .world import Behaviour, World, ended, weights_of

START = datetime(2026, 1, 1, tzinfo=UTC)


def at_ten_percent() -> World:
    world = World().serving()
    world.model("2")
    return world.run(lambda w: w.by_version() == {"1": 90, "2": 10})


def meddle(world: World) -> None:
    """Somebody gives the canary everything."""
    world.weights = {key: 100 - weight for key, weight in world.weights.items()}
    world.route_drifted = True


def test_a_foreign_change_of_the_route_is_undone_at_once() -> None:
    world = at_ten_percent()
    meddle(world)
    world.look()
    assert world.by_version() == {"1": 90, "2": 10}
    world.run(ended)
    assert world.status.stable.resolved_version == "2"


def test_a_foreign_writer_that_does_not_stop_is_answered_ever_later_and_costs_the_canary_its_traffic() -> (
    None
):
    world = at_ten_percent()
    answers = []
    for second in range(90):
        if not world.route_drifted:
            meddle(world)
        world.look()
        if not world.route_drifted:
            answers.append(second)
        world.pass_time()
    in_a_minute = [second for second in answers if second < 60]
    assert len(in_a_minute) <= 8
    assert world.status.phase == "Paused"
    assert [r.reason for r in world.status.rollout.pause_reasons] == ["DriftConflict"]
    assert world.status.canary.requested_weight == 0
    assert "DriftConflict" in world.story()


def test_a_change_that_cannot_be_set_right_now_is_not_counted() -> None:
    world = at_ten_percent()
    world.weights = {key: 0 if weight == 90 else 100 for key, weight in world.weights.items()}
    world.route_drifted = True
    world.behaviour["1"] = Behaviour(ready=False)  # no weight is raised for a stable without pods
    world.look()
    writes = world.writes
    world.rate = 0.0
    world.run_for(5)
    assert world.status.drift is None
    assert world.writes - writes <= 2


def test_ten_minutes_after_a_conflict_the_rollout_begins_again() -> None:
    world = at_ten_percent()
    for _ in range(90):
        if not world.route_drifted:
            meddle(world)
        world.look()
        world.pass_time()
    world.run(ended, limit=1200)
    assert world.status.stable.resolved_version == "2"
    assert weights_of(world, "2")[-4:] == [0, 10, 50, 100]


def test_a_breach_does_not_wait_for_its_turn_among_foreign_changes() -> None:
    world = at_ten_percent()
    world.behaviour["2"].errors = 0.2
    for _ in range(60):
        world.look()
        if world.status.rollout is None or world.status.rollout.breach is not None:
            break
        if not world.route_drifted:
            meddle(world)
        world.pass_time()
    assert world.by_version() == {"1": 100, "2": 0}


def test_a_revision_that_somebody_gave_traffic_again_drains_anew_before_its_pods_go() -> None:
    world = at_ten_percent().run(ended)
    old = next(key for key, version in world.versions.items() if version == "1")
    new = next(key for key, version in world.versions.items() if version == "2")
    world.run_for(15)  # of the 20 seconds of the delay
    world.weights, world.route_drifted = {old: 50, new: 50}, True
    world.look()
    assert world.by_version() == {"2": 100}
    world.run_for(15)
    assert old in world.replicas
    world.run_for(10)
    assert old not in world.replicas


def test_a_resource_whose_address_is_taken_does_nothing_but_say_so() -> None:
    world = World(rival="ml/other has claimed churn.example.com/")
    world.run_for(60)
    assert world.weights is None
    assert not world.replicas
    ready = next(c for c in world.status.conditions if c.type == "Ready")
    assert (ready.status, ready.reason) == ("False", "AddressTaken")
    assert "ml/other" in ready.message
    world.rival = ""
    world.serving()


def test_the_claim_keeps_its_time_until_the_addresses_change() -> None:
    world = World().serving()
    since = world.status.claim.since
    world.run_for(60)
    assert world.status.claim.since == since
    world.spec["traffic"] = {"hostnames": ["other.example.com"]}
    world.look()
    assert world.status.claim.since > since


def claimant(
    name: str, *hosts: str, held: int | None = None, made: int = 0, path: str = "/"
) -> Claimant:
    at = START + timedelta(seconds=made)
    claim = None
    if held is not None:
        claim = Claim(
            hostnames=hosts,
            path=path,
            gateway="infra/public",
            since=START + timedelta(seconds=held),
        )
    return Claimant("ml", name, name, at, hosts, path, "infra/public", claim)


def test_of_two_resources_with_the_same_address_exactly_one_is_first() -> None:
    old, new = claimant("a", "x.com", made=0), claimant("b", "x.com", "y.com", made=5)
    assert rival(old, (old, new)) is None
    assert rival(new, (old, new)) == old


def test_who_serves_already_is_not_put_out_by_an_older_resource_that_moves_in() -> None:
    serving = claimant("young", "x.com", held=100, made=90)
    moved = claimant("old", "x.com", made=0)
    assert rival(serving, (serving, moved)) is None
    assert rival(moved, (serving, moved)) == serving


def test_other_paths_and_host_names_are_other_addresses() -> None:
    one = claimant("a", "x.com", held=0)
    for other in (claimant("b", "y.com"), claimant("b", "x.com", path="/v2"), claimant("b")):
        assert rival(other, (one, other)) is None
