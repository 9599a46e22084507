"""``python -m serinus_server``."""

from __future__ import annotations

from serinus_server.signals import end_at_once

# Before the imports of everything else, which take most of a second.
end_at_once()

from serinus_server.main import main  # noqa: E402

main()
