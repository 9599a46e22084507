"""``python -m serinus_server.batch``, which is ``serinus predict``."""

from __future__ import annotations

import os

from serinus_server.runtimes.threads import limit_threads

if __name__ == "__main__":
    # As the server does, and before anything imports NumPy: answers must not differ by threads.
    limit_threads(os.environ)
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from serinus_server.batch.cli import main

    main()
