"""Clocks that are set in the middle of a pass: the checker excuses what a wrong clock may explain, this does not."""

from __future__ import annotations

import pytest

from .client import Call, CallFault
from .faults import Faults
from .run import Result, Scenario, run
from .scenarios.basics import at_rest, first_deploy, serving, spec
from .world import World

HOLD = 30.0


class SetRightWithinAPass(Faults):
    """The clock is wrong from the fifth second on, and right again while a later pass reads its objects."""

    calm_at = 30.0

    def __init__(self, offset: float) -> None:
        self._offset = offset
        self._right = False

    def begin(self, world: World) -> None:
        super().begin(world)
        world.loop.outside(5.0, self._set, self._offset)

    def _set(self, offset: float) -> None:
        (host,) = self.world.hosts
        host.clock.set(offset)
        self.world.fault("clock jump", actor=host.name, offset=offset, rate=1.0)

    def on_call(self, call: Call) -> CallFault | None:
        # A pass reads the endpoints, the resync does not.
        if self.world.now > 15.0 and not self._right and call.at.plural == "endpointslices":
            self._right = True
            self._set(0.0)
        return None


async def one_long_hold(w: World) -> None:
    await first_deploy(w)
    w.apply("churn", spec("2", steps=((20, f"{HOLD:.0f}s"), (60, "2s"))))
    await serving(w, "2", 900.0)


def committed(result: Result, weight: int) -> float:
    """When a weight of the canary was first committed."""
    return next(
        float(event["t"])
        for event in result.events
        if event["kind"] == "request"
        and event["committed"]
        and event["sub"] == "status"
        and ((event["result"].get("status") or {}).get("canary") or {}).get("requestedWeight")
        == weight
    )


@pytest.mark.parametrize("offset", [300.0, -300.0])
def test_a_clock_set_right_in_the_middle_of_a_pass_neither_cuts_a_hold_nor_draws_it_out(
    offset: float,
) -> None:
    faults = SetRightWithinAPass(offset)
    result = run(Scenario("clock", one_long_hold, (at_rest("2"),)), 1, faults)
    assert result.troubles == []
    assert result.faults == {"clock jump": 2}
    held = committed(result, 60) - 15.0  # it begins anew when the clock is right
    assert HOLD <= held < HOLD + 10.0
