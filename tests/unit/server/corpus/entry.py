"""One model of the corpus: how it is made, and what it is asked."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of other people's import time
    import mlflow
    from mlflow.models import infer_signature

Given = pd.DataFrame | np.ndarray[Any, Any] | dict[str, np.ndarray[Any, Any]] | list[Any]

WIDTH = 5
_ROWS = 60
_CITIES = ["Bergen", "Oslo", "Tromsø"]


def features(rows: int, seed: int = 0) -> pd.DataFrame:
    """Random numbers (rows, `WIDTH`) in named columns."""
    numbers = np.random.default_rng(seed).normal(size=(rows, WIDTH))
    return pd.DataFrame(numbers, columns=[f"c{index}" for index in range(WIDTH)])


def mixed(rows: int, seed: int = 0) -> pd.DataFrame:
    """A table of whole numbers, numbers of both widths, words and truth values."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, rows),
            "income": rng.normal(50_000, 9_000, rows),
            "weight": rng.normal(70, 9, rows).astype(np.float32),
            "city": rng.choice(_CITIES, rows),
            "member": rng.random(rows) < 0.5,
        }
    )


X = features(_ROWS)
NUMBER = X["c0"] * 2 - X["c1"] ** 2 + np.sin(X["c2"])  # what regressions learn
CLASS = (NUMBER > 0).astype(np.int64) + (NUMBER > 1.5)  # what classifications learn: 0, 1 or 2
PAIR = np.column_stack([NUMBER, X["c3"] - X["c4"]])  # what models of two outputs learn


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that `make` trains, and that MLflow's module `flavor` saves.

    `given` are the questions, a new row for each; their types are the model's signature.
    """

    flavor: str
    make: Callable[[], Any]
    given: Given
    options: Mapping[str, Any] = field(default_factory=dict)
    signed: bool = True

    def save(self, folder: Path) -> Path:
        """Train the model and save it in ``folder``."""
        model = self.make()  # first, because it skips the test where the library is missing
        module = importlib.import_module(f"mlflow.{self.flavor}")
        options = {"pip_requirements": [], **self.options}
        if self.signed:
            options["signature"] = infer_signature(self.given)
        if self.flavor == "pyfunc":
            options["python_model"] = model
            module.save_model(path=str(folder), **options)
        else:
            module.save_model(model, path=str(folder), **options)
        return folder


def reference(folder: Path) -> Any:
    """MLflow's own loading."""
    return mlflow.pyfunc.load_model(str(folder), suppress_warnings=True)
