"""ColumnTransformer: each of its parts writes its own columns of one matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from serinus_server.runtimes.base import Column, Signature
from serinus_server.runtimes.fast import Doubt
from serinus_server.runtimes.questions import DTYPES
from serinus_server.runtimes.sklearn.categories import Categories, encoder_lookups
from serinus_server.runtimes.sklearn.kinds import kind_of, plain_output
from serinus_server.runtimes.sklearn.matrix import (
    Array,
    Columns,
    Matrix,
    Source,
    array_input,
    keys_of,
)
from serinus_server.runtimes.sklearn.steps import Step, chain

Part: TypeAlias = Callable[[Any, Matrix], None]

_MOST_VALUES = 8_000_000  # of one request's matrix, which scikit-learn may hold without its zeros
_WIDEST = 4096  # columns of the result, most of them zeros after an encoder


class Assembly:
    """Makes the matrix that a ColumnTransformer makes; sparse ones with all their zeros."""

    def __init__(self, parts: Sequence[Part], width: int, check: Array | None) -> None:
        self._parts = tuple(parts)
        self._width = width
        self._check = check

    def __call__(self, model_input: Any) -> Matrix:
        if self._check is None:
            rows = model_input.rows
        else:
            rows = len(self._check(model_input))
            if not model_input.flags.c_contiguous:  # scikit-learn's matrix has another order then
                raise Doubt
        if rows * self._width > _MOST_VALUES:
            raise Doubt
        result = np.zeros((rows, self._width))
        for part in self._parts:
            part(model_input, result)
        return result


class _Numbers:
    """Numeric columns, transformed by ``steps``, written from ``first`` on."""

    def __init__(self, source: Source | _Places, steps: Sequence[Step], at: slice) -> None:
        self._source = source
        self._steps = tuple(steps)
        self._at = at

    def __call__(self, model_input: Any, result: Matrix) -> None:
        matrix = self._source(model_input)
        for step in self._steps:
            matrix = step(matrix)
        result[:, self._at] = matrix


class _Places:
    """Takes columns of an array by their positions."""

    def __init__(self, places: Sequence[int]) -> None:
        first = places[0]
        follow = list(places) == list(range(first, first + len(places)))
        self._places = slice(first, first + len(places)) if follow else list(places)

    def __call__(self, model_input: Matrix) -> Matrix:
        return model_input[:, self._places]


def assemble(transformer: Any, signature: Signature) -> Assembly | None:
    """What a ColumnTransformer makes of inputs that fit ``signature``.

    None where one of its parts is of an unknown kind, or the result is not float64.
    """
    if transformer.transformer_weights or not plain_output(transformer):
        return None
    inputs = _Inputs(transformer, signature)
    parts: list[Part] = []
    width = 0
    for name, step, _ in transformer.transformers_:
        places = [int(place) for place in transformer._transformer_to_input_indices.get(name, ())]  # noqa: SLF001
        if len(places) == 0 or (isinstance(step, str) and step == "drop"):
            continue
        made = inputs.part(step, places, width)
        if made is None:
            return None
        part, columns = made
        parts.append(part)
        width += columns
    if width != _outputs(transformer) or width > _WIDEST:
        return None
    return Assembly(parts, width, inputs.array)


def _outputs(transformer: Any) -> int:
    return max((part.stop or 0 for part in transformer.output_indices_.values()), default=0)


class _Inputs:
    """How the parts of one ColumnTransformer take their columns: from a table or an array."""

    def __init__(self, transformer: Any, signature: Signature) -> None:
        columns = [spec for spec in signature.inputs if isinstance(spec, Column)]
        self.array = None if columns else array_input(signature, transformer.n_features_in_)
        self._types = {key: spec.type for key, spec in zip(keys_of(columns), columns, strict=True)}
        names = getattr(transformer, "feature_names_in_", None)
        self._keys = list(self._types) if names is None else [str(name) for name in names]

    def part(self, step: Any, places: list[int], first: int) -> tuple[Part, int] | None:
        """What writes the columns ``places``, transformed by ``step``, and how many they become."""
        steps = _numeric_steps(step)
        if self.array is not None:
            if steps is None:
                return None
            at = slice(first, first + len(places))
            return _Numbers(_Places(places), steps, at), len(places)
        keys = [self._keys[place] for place in places]
        types = [self._types.get(key, "any") for key in keys]
        if steps is not None and all(type_ in DTYPES for type_ in types):
            source = Columns(keys, [DTYPES[type_] for type_ in types])
            at = slice(first, first + len(places))
            return _Numbers(source, steps, at), len(places)
        if not all(type_ in DTYPES or type_ == "string" for type_ in types):
            return None
        encoded = encoder_lookups(step, keys, types)
        return None if encoded is None else (Categories(encoded[0], first), encoded[1])


def _numeric_steps(step: Any) -> list[Step] | None:
    """The steps of a part that takes numbers and keeps their count; None if it may do else."""
    if isinstance(step, str):
        return [] if step == "passthrough" else None
    if kind_of(step) == "FunctionTransformer":  # what "passthrough" becomes when it is fitted
        return [] if step.func is None else None
    if kind_of(step) == "Pipeline":
        return chain([inner for _, inner in step.steps])
    return chain([step])
