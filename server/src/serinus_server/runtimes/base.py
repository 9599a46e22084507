"""What the service needs from a loaded model, whatever library holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

Values: TypeAlias = "Sequence[Any] | npt.NDArray[Any]"

# A column's type, in MLflow's words. `any` stands for arrays, objects and maps, whose inside only
# the model's library checks.
COLUMN_TYPES = (
    "boolean", "integer", "long", "float", "double", "string", "binary", "datetime", "any",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table; ``name`` is None where the signature only counts columns."""

    name: str | None
    type: str
    required: bool = True


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


@dataclass(frozen=True, slots=True)
class Table:
    """An input that fits a signature of columns: their converted values, in its order.

    Keys are names, or positions where the signature has no names; optional columns may be absent.
    """

    columns: Mapping[str | int, Values]
    rows: int

    def frame(self) -> pd.DataFrame:
        """The table as pandas has it; costs hundreds of microseconds."""
        import pandas as pd

        return pd.DataFrame(dict(self.columns))


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

    def predict(self, model_input: Any, params: Mapping[str, Any] | None) -> Any:
        """The model's own answer.

        Raises:
            InputRefused: the input does not fit the signature.
            Exception: whatever the model raises.
        """
