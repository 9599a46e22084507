"""Models as MLflow saves and loads them, and how a candidate is held against the reference."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import infer_signature

from serinus_server.runtimes.base import Table
from serinus_server.runtimes.fast import FastRuntime, Hints
from serinus_server.runtimes.mlflow_pyfunc import PyFuncRuntime, load
from serinus_server.runtimes.parity import Trial, unequal
from serinus_server.runtimes.questions import questions

WIDTH = 6
NAMES = [f"c{index}" for index in range(WIDTH)]


def matrix(rows: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Random numbers (rows, `WIDTH`)."""
    return np.random.default_rng(seed).normal(size=(rows, WIDTH))


def frame(rows: int, seed: int = 0) -> pd.DataFrame:
    """The same as a DataFrame with `NAMES`."""
    return pd.DataFrame(matrix(rows, seed), columns=NAMES)


def table(rows: int, seed: int = 0) -> Table:
    """The same as a table."""
    return as_table(frame(rows, seed))


def as_table(data: pd.DataFrame) -> Table:
    return Table({name: data[name].to_numpy() for name in data.columns}, len(data))


def saved(flavor: ModuleType, model: Any, folder: Path, given: Any, **options: Any) -> Any:
    """``model`` saved with the signature of ``given``, if any, and loaded as the server does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's hints for people who train
        signature = None if given is None else infer_signature(given)
        flavor.save_model(  # type: ignore[attr-defined]
            model, path=str(folder / "model"), signature=signature, pip_requirements=[], **options
        )
        return load(folder / "model")


def trial_of(reference: PyFuncRuntime, hints: Hints | None = None, count: int = 60) -> Trial:
    """The reference's answers to so many generated questions."""
    asked = itertools.islice(questions(reference.signature, None, hints, seed=3), count)
    trial = Trial.of(reference, asked, seconds=60)
    assert trial.enough
    return trial


def difference(candidate: FastRuntime, reference: PyFuncRuntime, hints: Hints | None = None) -> Any:
    """What differs in the answers to generated questions; None if nothing does."""
    return trial_of(reference, hints).difference(candidate)


def answers_itself(candidate: FastRuntime, model_input: Any) -> bool:
    """Whether the fast way answers; False where it leaves the input to the reference."""
    try:
        candidate._ask(model_input)
    except Exception:  # noqa: BLE001 - as the runtime does
        return False
    return True


def same_outcome(candidate: FastRuntime, reference: PyFuncRuntime, model_input: Any) -> str | None:
    """What differs in the answer or the error to one input; None if nothing does."""
    outcomes = []
    for runtime in (candidate, reference):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                outcomes.append(runtime.predict(model_input, None))
            except Exception as error:  # noqa: BLE001 - the error is the outcome
                outcomes.append((type(error), str(error)))
    return unequal(*outcomes)


def same_from_threads(candidate: FastRuntime, inputs: Sequence[Any], times: int = 25) -> bool:
    """Whether four threads at once get the answers that one gets alone."""
    alone = [candidate.predict(each, None) for each in inputs]

    def ask(_: int) -> bool:
        return all(
            unequal(candidate.predict(each, None), want) is None
            for _ in range(times)
            for each, want in zip(inputs, alone, strict=True)
        )

    with ThreadPoolExecutor(4) as pool:
        return all(pool.map(ask, range(4)))
