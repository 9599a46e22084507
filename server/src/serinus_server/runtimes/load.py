"""From a folder to the runtime that serves its model."""

from __future__ import annotations

from pathlib import Path

from serinus_server.runtimes import mlflow_pyfunc
from serinus_server.runtimes.base import Runtime
from serinus_server.runtimes.choose import choose
from serinus_server.runtimes.example import read_example


def load(folder: Path, *, fast_paths: bool = True) -> Runtime:
    """The fastest runtime for the model in ``folder``, which must have been admitted.

    Without ``fast_paths`` it is MLflow's own way, unproved and therefore never batched.

    Raises:
        LoadFailed: the files do not become a model.
    """
    reference = mlflow_pyfunc.load(folder)
    if not fast_paths:
        return reference
    return choose(reference, read_example(folder, reference.signature))
