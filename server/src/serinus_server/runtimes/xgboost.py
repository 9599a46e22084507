"""XGBoost models, asked through the C function behind ``inplace_predict``.

MLflow makes a DataFrame of the request and, for a plain Booster, a DMatrix of that. Both end up as
float32 values in front of the same trees, which a matrix gives as well. The C call itself is half
of what is left when Python prepares its arguments only once.

A model gets one thread: a single request is too small to be divided, and requests are what runs in
parallel. Trees of a row are summed in the same order whatever the number of threads.
"""

from __future__ import annotations

import ctypes
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost

from serinus_server.runtimes.fast import Doubt, FastRuntime, Hints
from serinus_server.runtimes.inputs import Numbers
from serinus_server.runtimes.mlflow_pyfunc import PyFuncRuntime

_LARGEST = float(np.finfo(np.float32).max)  # above it a DMatrix refuses a value
_HINTED_TREES = 20

Floats = npt.NDArray[Any]
Finish = Callable[[Floats], Any]


@dataclass(frozen=True, slots=True)
class _Model:
    """What of a loaded model decides its answers."""

    booster: Any
    finish: Finish | None  # from the booster's answer to the model's; None: they are the same
    rounds: int  # boosting rounds that are asked; 0: all
    missing: float  # the value that counts as missing, besides NaN
    width: int
    names: tuple[str, ...] | None
    takes_arrays: bool


def candidates(reference: PyFuncRuntime) -> Iterator[FastRuntime]:
    """Two ways to ask the trees: the C function, and the library's own wrapper of it."""
    model = _read(reference.model.get_raw_model())
    if model is None:
        return
    for name, predict in (("xgboost-c", _CFunction(model)), ("xgboost", _Wrapper(model))):
        numbers = Numbers(reference.signature, model.width, model.names)
        yield FastRuntime(name, reference, _Ask(model, numbers, predict))


def prepare(reference: PyFuncRuntime) -> str | None:
    """Set the model to one thread; why it should be asked nothing generated, if it is somebody's own."""
    raw = reference.model.get_raw_model()
    if not type(raw).__module__.startswith("xgboost."):
        return f"{type(raw).__name__} is no model of XGBoost"
    booster = raw if type(raw) is xgboost.Booster else raw.get_booster()
    booster.set_param({"nthread": 1})
    return None


def hints(reference: PyFuncRuntime) -> Hints:
    """The thresholds of the first trees, by the columns' positions."""
    model = _read(reference.model.get_raw_model())
    if model is None:
        return Hints()
    booster = model.booster
    names = model.names or tuple(f"f{index}" for index in range(model.width))
    position = {name: index for index, name in enumerate(names)}
    values: dict[str | int, list[float]] = {}
    for tree in booster[: min(_HINTED_TREES, booster.num_boosted_rounds())].get_dump():
        for name, threshold in re.findall(r"\[([^\[\]]+)<([^\[\]<]+)\]", tree):
            values.setdefault(position[name], []).append(float(threshold))
    return Hints(values, model.width)


def _read(raw: Any) -> _Model | None:
    """The model's parts; None for a kind that has no fast way."""
    classifiers = (xgboost.XGBClassifier, xgboost.XGBRFClassifier)
    others = (xgboost.XGBRegressor, xgboost.XGBRFRegressor)
    kind = type(raw)
    if kind is not xgboost.Booster and kind not in classifiers + others:
        return None  # a ranker takes a column of groups out of the table
    plain = kind is xgboost.Booster
    booster = raw if plain else raw.get_booster()
    gradient_booster = json.loads(booster.save_config())["learner"]["gradient_booster"]["name"]
    if gradient_booster not in ("gbtree", "dart") or "c" in (booster.feature_types or ()):
        return None
    names = None if booster.feature_names is None else tuple(booster.feature_names)
    missing = math.nan if plain or raw.missing is None else float(raw.missing)
    return _Model(
        booster,
        finish=_classes(raw) if kind in classifiers else None,
        rounds=0 if plain else _rounds(raw),
        missing=missing,
        width=booster.num_features(),
        names=names,
        # The plain Booster refuses nameless columns where it knows names.
        takes_arrays=not plain or names is None,
    )


def _rounds(raw: Any) -> int:
    try:
        return int(raw.best_iteration) + 1
    except AttributeError:  # no early stopping
        return 0


def _classes(raw: Any) -> Finish:
    """As ``XGBClassifier.predict`` makes classes of probabilities."""
    binary = raw.n_classes_ == 2
    softmax = raw.objective == "multi:softmax"

    def finish(given: Floats) -> Any:
        if given.ndim == 2 and not binary:
            return np.argmax(given, axis=1)
        if given.ndim != 1:
            raise Doubt
        if softmax:
            return given.astype(np.int32)
        return (given > 0.5).astype(np.int64)

    return finish


class _Ask:
    def __init__(self, model: _Model, numbers: Numbers, predict: Finish) -> None:
        self._model = model
        self._numbers = numbers
        self._predict = predict

    def __call__(self, model_input: Any) -> Any:
        model = self._model
        if not model.takes_arrays and type(model_input) is np.ndarray:
            raise Doubt
        matrix = self._numbers.of(model_input)
        if (np.abs(matrix) > _LARGEST).any():
            raise Doubt
        given = self._predict(matrix)
        return given if model.finish is None else model.finish(given)


class _Wrapper:
    """``Booster.inplace_predict``."""

    def __init__(self, model: _Model) -> None:
        self._model = model

    def __call__(self, matrix: Floats) -> Any:
        return self._model.booster.inplace_predict(
            matrix,
            iteration_range=(0, self._model.rounds),
            missing=self._model.missing,
            validate_features=False,
        )


class _CFunction:
    """``XGBoosterPredictFromDense``, with arguments as ``Booster.inplace_predict`` makes them.

    The library keeps one buffer of answers for every thread, so that threads do not meet.
    """

    def __init__(self, model: _Model) -> None:
        from xgboost.core import _LIB

        self._function = _LIB.XGBoosterPredictFromDense
        self._booster = model.booster  # its handle lives as long as it does
        self._options = json.dumps(
            {
                "type": 0,
                "training": False,
                "iteration_begin": 0,
                "iteration_end": model.rounds,
                "missing": model.missing,
                "strict_shape": False,
                "cache_id": 0,
            }
        ).encode()

    def __call__(self, matrix: Floats) -> Any:
        interface = b'{"data":[%d,true],"shape":[%d,%d],"typestr":"%s","version":3}' % (
            matrix.__array_interface__["data"][0],
            *matrix.shape,
            matrix.dtype.str.encode(),
        )
        shape = ctypes.POINTER(ctypes.c_uint64)()
        dimensions = ctypes.c_uint64()
        values = ctypes.POINTER(ctypes.c_float)()
        failed = self._function(
            self._booster.handle,
            interface,
            self._options,
            None,
            ctypes.byref(shape),
            ctypes.byref(dimensions),
            ctypes.byref(values),
        )
        if failed:
            raise Doubt
        lengths = shape[: dimensions.value]
        given = np.empty(lengths, dtype=np.float32)
        ctypes.memmove(given.ctypes.data, values, given.nbytes)
        return given
