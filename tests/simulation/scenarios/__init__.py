"""The stories that the simulation tells, by name."""

from __future__ import annotations

from ..run import Scenario
from . import basics, changes, operators, troubles

SCENARIOS: dict[str, Scenario] = {
    s.name: s for module in (basics, troubles, changes, operators) for s in module.SCENARIOS
}
