"""``python -m serinus.sandbox``"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    try:
        # Imported here: importing takes a second, and Ctrl-C in it is no error either.
        from serinus.sandbox.main import main

        main()
    except KeyboardInterrupt:
        sys.exit(130)
