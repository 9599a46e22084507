"""What an estimator is, by its class and nothing else: subclasses may do whatever they like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

_LIBRARIES = ("sklearn.", "numpy", "scipy.", "builtins")


def kind_of(estimator: Any) -> str:
    """The name of the estimator's class if it is one of scikit-learn's own, else ``""``."""
    cls = type(estimator)
    return cls.__name__ if cls.__module__.startswith("sklearn.") else ""


def plain_output(transformer: Any) -> bool:
    """Whether the transformer gives arrays, not DataFrames of a configured library."""
    return not getattr(transformer, "_sklearn_output_config", None)


def foreign_step(estimator: Any) -> Any:
    """The first step within ``estimator`` that is not scikit-learn's alone; None if all are.

    Steps with functions of somebody's own count as foreign, too.
    """
    if estimator is None or isinstance(estimator, str):  # "passthrough" and "drop"
        return None
    if not kind_of(estimator):
        return estimator
    for value in vars(estimator).values():
        for part in _parts(value):
            if hasattr(part, "get_params"):
                stranger = foreign_step(part)
            else:
                own = callable(part) and not str(part.__module__).startswith(_LIBRARIES)
                stranger = estimator if own else None
            if stranger is not None:
                return stranger
    return None


def _parts(value: Any) -> Iterator[Any]:
    """``value``, or what is in it: estimators keep others in lists, pairs and arrays."""
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _parts(item)
    elif isinstance(value, np.ndarray):
        if value.dtype == object:
            yield from (item for item in value.ravel() if hasattr(item, "get_params"))
    elif hasattr(value, "get_params") or callable(value):
        yield value
