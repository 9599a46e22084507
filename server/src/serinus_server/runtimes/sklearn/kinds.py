"""What an estimator is, by its class and nothing else: subclasses may do whatever they like."""

from __future__ import annotations

from typing import Any


def kind_of(estimator: Any) -> str:
    """The name of the estimator's class if it is one of scikit-learn's own, else ``""``."""
    cls = type(estimator)
    return cls.__name__ if cls.__module__.startswith("sklearn.") else ""


def plain_output(transformer: Any) -> bool:
    """Whether the transformer gives arrays, not DataFrames of a configured library."""
    return not getattr(transformer, "_sklearn_output_config", None)
