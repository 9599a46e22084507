"""What the service needs from a loaded model, whatever library holds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from serinus_server.runtimes.table import Table, Values

__all__ = (
    "COLUMN_TYPES",
    "Column",
    "InputRefused",
    "Runtime",
    "Signature",
    "Table",
    "Tensor",
    "Values",
)

# A column's type, in MLflow's words. `any` stands for arrays, objects and maps, whose inside only
# the model's library checks.
COLUMN_TYPES = (
    "boolean", "integer", "long", "float", "double", "string", "binary", "datetime", "any",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table; ``name`` is None where the signature only counts columns.

    ``nested`` columns hold an array or an object in each cell; their type is ``any``.
    """

    name: str | None
    type: str
    required: bool = True
    nested: bool = False


@dataclass(frozen=True, slots=True)
class Tensor:
    """One array of ``dtype`` and ``shape``, in which -1 stands for any length."""

    name: str | None
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives: all columns, all tensors, or empty where nobody said."""

    inputs: tuple[Column, ...] | tuple[Tensor, ...] = ()
    outputs: tuple[Column, ...] | tuple[Tensor, ...] = ()
    params: tuple[str, ...] = ()
    checked_by_model: bool = False  # Python type hints: the model takes JSON values as they are
    # MLflow's own words for `inputs`, `outputs` and `params`, for documents about the model.
    declared: Mapping[str, Sequence[Mapping[str, Any]]] = field(
        default_factory=dict, compare=False, repr=False
    )


class InputRefused(Exception):
    """The model's library finds that the input does not fit the signature; says why in one line."""


class Runtime(Protocol):
    """A loaded model. Every method may be called from several threads at once."""

    @property
    def signature(self) -> Signature:
        """The model's signature."""

    @property
    def flavor(self) -> str:
        """The library that made the model, for example ``sklearn``."""

    @property
    def name(self) -> str:
        """The way in which the model is asked, for the log: ``pyfunc``, ``sklearn-forest``..."""

    @property
    def row_wise(self) -> bool:
        """Whether `predict` answers a row alike, bit for bit, whatever rows are beside it.

        Then several requests may be asked as one. Proved on generated inputs when the model was
        loaded; False where nobody knows.
        """

    @property
    def quick_rows(self) -> int:
        """How many rows were measured, at load, to take less than 0.3 ms: no thread is worth it.

        0: not even one, or nobody knows.
        """

    @property
    def predict_parts(self) -> Callable[[Any, Sequence[int]], Any] | None:
        """For models that are not row-wise: the exact answers to several requests in one call.

        ``predict_parts(stacked, sizes)`` takes the requests' rows one after the other, of which
        the first ``sizes[0]`` are the first request's, and answers, bit for bit, what `predict`
        answers to each request alone, one after the other. None: ask `predict` for each.
        """

    def predict(self, model_input: Any, params: Mapping[str, Any] | None) -> Any:
        """The model's own answer.

        Raises:
            InputRefused: the input does not fit the signature.
            Exception: whatever the model raises.
        """
