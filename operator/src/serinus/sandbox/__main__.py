"""``python -m serinus.sandbox``"""

from __future__ import annotations

from serinus.sandbox.main import main

if __name__ == "__main__":
    main()
