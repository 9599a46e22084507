"""What readers have in common: what they are asked for, and which columns the model gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from serinus_server.batch.chunk import Chunk, Position
from serinus_server.batch.errors import RunFailed
from serinus_server.runtimes.base import Column, Signature, Tensor
from serinus_server.service.payload import Array, Columns, Payload, Records

ALL = "*"  # stands for every column

# Types of columns that a tensor's dtype stands for, by its kind.
_TENSOR_TYPES = {"f": "double", "i": "long", "u": "long", "b": "boolean"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run wants of its input.

    ``features`` are the columns for the model, in this order; empty: those of the signature, or all.
    ``keep`` are the columns that go to the output, ``(ALL,)`` for all.
    """

    signature: Signature
    chunk_rows: int
    features: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()


class Reader(Protocol):
    """An open input."""

    def chunks(self, after: Position) -> Iterator[Chunk]:
        """The rows after the position, in order, ``Plan.chunk_rows`` at a time. Called once.

        Raises:
            RunFailed: the file cannot be read any further.
        """

    def done(self) -> float | None:
        """Which part of the input was read, 0 to 1; None where nobody knows how much there is."""

    def close(self) -> None:
        """Let go of the file."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A column of the file for the model; ``type`` is a column type of a signature, or empty."""

    name: str
    type: str


class Features:
    """Which of the file's columns the model gets, and the payload that they become."""

    def __init__(self, plan: Plan, columns: Sequence[str]) -> None:
        """Choose among the file's ``columns``.

        Raises:
            RunFailed: the signature or ``plan`` wants a column that the file lacks.
        """
        self._signature = plan.signature
        inputs = plan.signature.inputs
        self._by_name = bool(inputs) and inputs[0].name is not None
        _require(plan.features, columns, "--features names")
        chosen = plan.features or tuple(columns)
        if self._by_name:
            wanted = [str(spec.name) for spec in inputs if _required(spec)]
            _require(wanted, chosen, "the model wants")
            types = {str(spec.name): _type(spec) for spec in inputs}
            self.list = [Feature(name, types[name]) for name in chosen if name in types]
        else:
            count = len(inputs) if inputs and isinstance(inputs[0], Column) else None
            if count is not None and len(chosen) != count:
                raise RunFailed(
                    f"the model wants {count} columns by their positions, but there are "
                    f"{len(chosen)}: {_shown(chosen)}; choose with --features"
                )
            specs: Sequence[Any] = inputs if count else list(inputs) * len(chosen)
            types = {name: _type(spec) for name, spec in zip(chosen, specs, strict=False)}
            self.list = [Feature(name, types.get(name, "")) for name in chosen]

    def payload(self, columns: Mapping[str, Any]) -> Payload:
        """The model's input of ``columns``, lists or arrays of equal length."""
        if self._by_name:
            return Columns(columns)
        values = list(columns.values())
        if not self._signature.inputs:
            if not self._signature.checked_by_model:
                return Columns(columns)
            return Records([dict(zip(columns, row, strict=True)) for row in _rows(values)])
        if all(
            isinstance(v, np.ndarray) and v.ndim == 1 and v.dtype.kind in "biuf" for v in values
        ):
            dtypes = {column.dtype for column in values}
            if len(dtypes) == 1 or isinstance(self._signature.inputs[0], Tensor):
                return Array(np.column_stack(values))
        return Array([list(row) for row in _rows(values)])


def kept_names(plan: Plan, columns: Sequence[str]) -> tuple[str, ...]:
    """The names of the file's columns that go to the output.

    Raises:
        RunFailed: the file lacks one.
    """
    if plan.keep == (ALL,):
        return tuple(columns)
    _require(plan.keep, columns, "--columns names")
    return plan.keep


def require_distinct(columns: Sequence[str]) -> None:
    """Raise RunFailed when two columns of the file have one name."""
    twice = sorted({name for name in columns if list(columns).count(name) > 1})
    if twice:
        raise RunFailed(f"the input has two columns named {_shown(twice)}")


def _require(wanted: Sequence[str], columns: Sequence[str], who: str) -> None:
    lacking = [name for name in wanted if name not in columns]
    if lacking:
        many = "columns" if len(lacking) > 1 else "the column"
        raise RunFailed(f"{who} {many} {_shown(lacking)}, but the input has only {_shown(columns)}")


def _shown(names: Sequence[str], most: int = 50) -> str:
    shown = ", ".join(map(repr, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown or "none"


def _required(spec: Column | Tensor) -> bool:
    return spec.required if isinstance(spec, Column) else True


def _type(spec: Column | Tensor) -> str:
    if isinstance(spec, Column):
        return spec.type
    if len(spec.shape) > 1 and spec.name is not None:
        return "any"  # each cell holds an array
    return _TENSOR_TYPES.get(spec.dtype.kind, "string")


def _rows(columns: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    plain = [v.tolist() if isinstance(v, np.ndarray) else v for v in columns]
    return zip(*plain, strict=True)
