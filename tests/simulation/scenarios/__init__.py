"""The stories that the simulation tells, by name."""

from __future__ import annotations

from ..run import Scenario
from . import basics

SCENARIOS: dict[str, Scenario] = {s.name: s for s in (*basics.SCENARIOS,)}
