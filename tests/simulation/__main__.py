"""``python -m tests.simulation``: one run again, many runs, or how fast a breach is answered."""

from __future__ import annotations

import sys

from .cli import main

sys.exit(main())
