"""The fixtures; what the tests import by name is in ``cluster_world``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from cluster_world import sandbox, world

__all__ = ["sandbox", "world"]
