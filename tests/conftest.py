"""Shared by every tier: helper modules beside the tests can be imported by name."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
for folder in ("unit/core", "scenarios"):
    sys.path.insert(0, str(HERE / folder))
