"""Shared by every tier: helper modules beside the tests can be imported by name."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent
for folder in ("unit/app", "unit/core", "unit/reconcile", "scenarios"):
    sys.path.insert(0, str(HERE / folder))

# Started in the background, a shell's child ignores Ctrl-C, and so would all of ours.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples on every run, however busy the machine is.
settings.register_profile(
    "serinus", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("serinus")
