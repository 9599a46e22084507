"""LightGBM models, asked through the C functions behind ``Booster.predict``.

MLflow makes a DataFrame, of which LightGBM makes the same matrix of doubles again; then it reads
its parameters anew for every call. Its C interface keeps them ready for single rows.

Up to `_FEW` rows are asked on one thread: dividing them costs more than it gains, and requests are
what runs in parallel. Trees of a row are summed in the same order whatever the number of threads.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
from lightgbm import basic

from serinus_server.runtimes.fast import Doubt, FastRuntime, Hints
from serinus_server.runtimes.inputs import Numbers
from serinus_server.runtimes.mlflow_pyfunc import PyFuncRuntime

_FEW = 1024  # rows
_HINTED_TREES = 20
_NORMAL, _ROW_MAJOR = 0, 1  # of LightGBM's C interface: the kind of answer, the layout
_TYPES = {"f": 0, "d": 1}  # its numbers of float32 and float64

Floats = npt.NDArray[Any]
Finish = Callable[[Floats], Any]


def candidates(reference: PyFuncRuntime) -> Iterator[FastRuntime]:
    """Two ways to ask the trees: the C functions, and the library's own wrapper of them."""
    raw = reference.model.get_raw_model()
    booster = _booster(raw)
    if booster is None or booster.pandas_categorical:
        return
    params = _params(raw)
    finish = _classes(raw) if type(raw) is lightgbm.LGBMClassifier else None
    width = booster.num_feature()
    numbers = Numbers(reference.signature, width)

    def asking(predict: Finish) -> Callable[[Any], Any]:
        def ask(model_input: Any) -> Any:
            given = predict(numbers.of(model_input))
            return given if finish is None else finish(given)

        return ask

    yield FastRuntime("lightgbm-c", reference, asking(_CFunctions(booster, params, width)))
    yield FastRuntime(
        "lightgbm", reference, asking(lambda rows: booster.predict(rows, **params, num_threads=1))
    )


def prepare(reference: PyFuncRuntime) -> str | None:
    """Why the model should be asked nothing generated: it is somebody's own; None if it is not."""
    kind = type(reference.model.get_raw_model())
    known = kind.__module__.startswith("lightgbm.")
    return None if known else f"{kind.__name__} is no model of LightGBM"


def hints(reference: PyFuncRuntime) -> Hints:
    """The thresholds of the first trees, by the columns' positions."""
    booster = _booster(reference.model.get_raw_model())
    if booster is None:
        return Hints()
    values: dict[str | int, list[Any]] = {}

    def walk(node: Any) -> None:
        if "split_feature" in node:
            found = [node["threshold"]]
            if node["decision_type"] == "==":  # categories, "1||4||7"
                found = [float(each) for each in str(node["threshold"]).split("||")]
            values.setdefault(node["split_feature"], []).extend(found)
            walk(node["left_child"])
            walk(node["right_child"])

    for tree in booster.dump_model(num_iteration=_HINTED_TREES)["tree_info"]:
        walk(tree["tree_structure"])
    return Hints(values, booster.num_feature())


def _booster(raw: Any) -> Any:
    if type(raw) is lightgbm.Booster:
        return raw
    estimators = (lightgbm.LGBMClassifier, lightgbm.LGBMRegressor, lightgbm.LGBMRanker)
    return raw.booster_ if type(raw) in estimators else None


def _params(raw: Any) -> dict[str, Any]:
    """What ``predict`` of a scikit-learn estimator tells its booster, besides the threads."""
    if type(raw) is lightgbm.Booster:
        return {}
    params: dict[str, Any] = raw._process_params(stage="predict")  # noqa: SLF001 - no public way
    aliases = basic._ConfigAliases.get_by_alias(  # noqa: SLF001 - as the estimator asks them
        "data", "X", "raw_score", "start_iteration", "num_iteration", "pred_leaf", "pred_contrib",
        "num_threads",
    )  # fmt: skip
    return {name: value for name, value in params.items() if name not in aliases}


def _classes(raw: Any) -> Finish | None:
    """As ``LGBMClassifier.predict`` makes classes of probabilities; None where it does not."""
    if callable(raw._objective):  # noqa: SLF001 - no public way
        return None
    classes = raw.classes_

    def finish(given: Floats) -> Any:
        if given.ndim == 1:
            return classes[(given > 1.0 - given).astype(np.intp)]
        return classes[np.argmax(given, axis=1)]

    return finish


class _CFunctions:
    """``LGBM_BoosterPredictForMat``, and its form for single rows that keeps its parameters."""

    def __init__(self, booster: Any, params: dict[str, Any], width: int) -> None:
        library = basic._LIB  # noqa: SLF001 - there is no other handle of the library
        self._many = library.LGBM_BoosterPredictForMat
        self._one = library.LGBM_BoosterPredictForMatSingleRowFast
        self._booster = booster  # its handle lives as long as it does
        self._width = width
        self._last = booster.best_iteration  # as Booster.predict has it; -1 or 0: all
        self._outputs = booster.num_model_per_iteration()
        self._few = _text({**params, "num_threads": 1})
        self._all = _text(params)
        self._prepared = {char: self._prepare(library, number) for char, number in _TYPES.items()}

    def _prepare(self, library: Any, number: int) -> ctypes.c_void_p:
        prepared = ctypes.c_void_p()
        _check(
            library.LGBM_BoosterPredictForMatSingleRowFastInit(
                self._booster._handle,  # noqa: SLF001 - as the library's own functions take it
                _NORMAL,
                0,
                self._last,
                number,
                self._width,
                self._few,
                ctypes.byref(prepared),
            )
        )
        weakref.finalize(self, library.LGBM_FastConfigFree, prepared)
        return prepared

    def __call__(self, matrix: Floats) -> Any:
        rows = len(matrix)
        char = matrix.dtype.char
        given = np.empty(rows * self._outputs)
        length = ctypes.c_int64()
        at = ctypes.c_void_p(matrix.__array_interface__["data"][0])
        to = ctypes.c_void_p(given.__array_interface__["data"][0])
        if rows == 1:
            _check(self._one(self._prepared[char], at, ctypes.byref(length), to))
        else:
            _check(
                self._many(
                    self._booster._handle,  # noqa: SLF001 - as above
                    at,
                    _TYPES[char],
                    rows,
                    self._width,
                    _ROW_MAJOR,
                    _NORMAL,
                    0,
                    self._last,
                    self._few if rows <= _FEW else self._all,
                    ctypes.byref(length),
                    to,
                )
            )
        if length.value != given.size:
            raise Doubt
        return given if self._outputs == 1 else given.reshape(rows, -1)


def _text(params: dict[str, Any]) -> ctypes.c_char_p:
    text: str = basic._param_dict_to_str(params)  # noqa: SLF001 - the library's own form
    return ctypes.c_char_p(text.encode())


def _check(failed: int) -> None:
    if failed:
        raise Doubt
