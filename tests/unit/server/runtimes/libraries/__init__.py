"""Fast runtimes of the libraries beside scikit-learn, held against ``mlflow.pyfunc``."""

from __future__ import annotations

import os

from serinus_server.runtimes.threads import limit_threads

# As the server does, before the libraries are loaded, and with one thread: the tests are many times
# as slow where threads of several processes wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
limit_threads(os.environ)
