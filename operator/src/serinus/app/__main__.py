"""``python -m serinus.app``: the operator."""

from __future__ import annotations

import sys

from serinus.app.main import main

sys.exit(main())
