"""``python -m serinus_server``."""

from __future__ import annotations

from serinus_server.main import main

main()
