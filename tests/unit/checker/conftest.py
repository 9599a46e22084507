"""The builder of logs beside the tests, and the repository's root, where the checker is found."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
for folder in (HERE, HERE.parents[2]):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
