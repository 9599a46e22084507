"""What the people of a story see: neither the handiwork of others nor an old answer misleads them."""

from __future__ import annotations

from serinus.ports import SeriesQuery

from .faults import Faults
from .run import run
from .scenarios import SCENARIOS
from .store import Address
from .world import NAMESPACE, World

ROUTE = Address("httproutes", NAMESPACE, "churn")


class Meddling(Faults):
    """Somebody else writes the weights of the route at some moments; for a while nothing is measured."""

    def __init__(self, stable: int, moments: tuple[float, ...], measured_from: float) -> None:
        self._weights = (stable, 100 - stable)
        self._moments = moments
        self.calm_at = measured_from

    def begin(self, world: World) -> None:
        super().begin(world)
        for moment in self._moments:
            world.loop.outside(moment, self._write)

    def _write(self) -> None:
        route = self.world.store.get(ROUTE)
        assert route is not None
        (rule,) = route["spec"]["rules"]
        pairs = zip(rule["backendRefs"], self._weights, strict=True)
        refs = [{**ref, "weight": weight} for ref, weight in pairs]
        self.world.fault("foreign weights")
        body = {"spec": {"rules": [{**rule, "backendRefs": refs}]}}
        self.world.write("foreign", "patch", ROUTE, body)

    def on_read(self, query: SeriesQuery) -> str:
        return "empty" if self.on else ""


def test_a_weight_that_somebody_else_wrote_is_no_reason_to_approve() -> None:
    in_the_first_step = Meddling(39, (10.0,), measured_from=30.0)
    result = run(SCENARIOS["approved"], 1, in_the_first_step)
    assert result.troubles == []
    assert result.faults["foreign weights"] == 1


def test_an_approval_that_a_conflict_has_made_worthless_is_given_again() -> None:
    # The fifth change comes in the last step, a second before the approval.
    conflict = Meddling(70, (10.0, 13.0, 19.0, 30.0, 51.0), measured_from=42.0)
    result = run(SCENARIOS["approved"], 1, conflict)
    assert result.troubles == []
    given = [e["t"] for e in result.events if e["kind"] == "user" and e.get("revision")]
    assert len(given) == 2
    assert 51 < given[0] < 60
    assert given[1] > 610
