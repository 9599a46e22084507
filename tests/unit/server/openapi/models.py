"""A model of every kind of signature, whose answers are plain arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from serinus_server.runtimes.base import Column, Signature, Tensor


@dataclass(frozen=True, slots=True)
class Case:
    """One model: what it declares, its logged example, and how it answers."""

    signature: Signature
    example: Mapping[str, Any] | None
    predict: Callable[[Any], Any]
    missing: frozenset[str] = field(default_factory=frozenset)  # paths that cannot carry its input
    silent: frozenset[str] = field(default_factory=frozenset)  # without an example
    csv: bool = True


def _ones(model_input: Any) -> Any:
    first = next(iter(model_input.values())) if isinstance(model_input, dict) else model_input
    return np.ones(model_input.rows if hasattr(model_input, "rows") else len(first))


def _columns(*columns: Column, **declared: Any) -> Signature:
    told = [{"type": column.type, "name": column.name} for column in columns]
    return Signature(
        columns,
        (Tensor(None, np.dtype(np.float64), (-1,)),),
        tuple(param["name"] for param in declared.get("params", ())),
        declared={"inputs": told, **declared},
    )


def _tensors(*tensors: Tensor) -> Signature:
    return Signature(tensors, (Tensor(None, np.dtype(np.float64), (-1,)),))


MIXED = _columns(
    Column("age", "long"),
    Column("children", "integer", required=False),
    Column("income", "double"),
    Column("weight", "float"),
    Column("city", "string"),
    Column("member", "boolean"),
    Column("joined", "datetime"),
    Column("photo", "binary"),
)
_MIXED_ROW = [41, 2, 51000.25, 71.5, "Oslo, west", True, "2026-03-04T05:06:07", "aGk="]
_PARAMS = [
    {"name": "limit", "type": "long", "default": 7, "shape": None},
    {"name": "weights", "type": "double", "default": [0.5], "shape": [-1]},
    {"name": "mode", "type": "string", "default": "fast", "shape": None},
]
_F8, _I4 = np.dtype(np.float64), np.dtype(np.int32)
V2 = "/v2/models/churn/infer"

CASES: dict[str, Case] = {
    "mixed columns": Case(
        MIXED,
        {
            "dataframe_split": {
                "columns": [str(column.name) for column in MIXED.inputs],
                "data": [_MIXED_ROW, _MIXED_ROW, _MIXED_ROW],
            }
        },
        _ones,
    ),
    "columns with nulls": Case(
        _columns(Column("income", "double"), Column("city", "string"), Column("on", "boolean")),
        {"dataframe_split": {"columns": ["income", "city", "on"], "data": [[None, None, True]]}},
        _ones,
    ),
    "columns and params": Case(
        _columns(Column("x", "double"), params=_PARAMS),
        {"dataframe_split": {"columns": ["x"], "data": [[1.5]]}, "params": {"limit": 9}},
        _ones,
        silent=frozenset({"/predict"}),
    ),
    "an optional column that the example lacks": Case(
        _columns(Column("note", "string", required=False), Column("x", "double")),
        {"dataframe_split": {"columns": ["x"], "data": [[1.5], [2.5]]}},
        _ones,
    ),
    "columns without names": Case(
        _columns(Column(None, "double"), Column(None, "long")),
        {"dataframe_split": {"columns": [0, 1], "data": [[1.5, 2]]}},
        _ones,
    ),
    "nested columns": Case(
        Signature(
            (Column("tags", "any", nested=True), Column("who", "any", nested=True)),
            (Column("score", "double"),),
            declared={
                "inputs": [
                    {"name": "tags", "type": "array", "items": {"type": "string"}},
                    {
                        "name": "who",
                        "type": "object",
                        "properties": {
                            "id": {"type": "long"},
                            "more": {
                                "type": "map",
                                "values": {"type": "double"},
                                "required": False,
                            },
                        },
                    },
                ],
                "outputs": [{"name": "score", "type": "double"}],
            },
        ),
        {
            "dataframe_split": {
                "columns": ["tags", "who"],
                "data": [[["a", "b"], {"id": 3, "more": {"x": 0.5}}]],
            }
        },
        lambda table: [{"score": 1.0}] * table.rows,
        missing=frozenset({V2}),
        csv=False,
    ),
    "one tensor": Case(_tensors(Tensor(None, _F8, (-1, 3))), {"inputs": [[1.0, 2.0, 3.0]]}, _ones),
    "a tensor of one dimension": Case(
        _tensors(Tensor(None, _I4, (-1,))), {"inputs": [1, 2, 3]}, _ones, csv=False
    ),
    "a tensor of pictures": Case(
        _tensors(Tensor(None, np.dtype(np.uint8), (-1, 2, 2, 1))),
        {"inputs": [[[[1], [2]], [[3], [255]]]]},
        _ones,
        csv=False,
    ),
    "a tensor of fixed length": Case(
        _tensors(Tensor(None, np.dtype(np.float32), (2, 2))), {"inputs": [[1, 2], [3, 4]]}, _ones
    ),
    "named tensors": Case(
        _tensors(Tensor("a", _F8, (-1, 2)), Tensor("b", _I4, (-1,))),
        {"inputs": {"a": [[1.0, 2.0], [3.0, 4.0]], "b": [5, 6]}},
        _ones,
        csv=False,
    ),
    "no signature, a table": Case(
        Signature(),
        {"dataframe_split": {"columns": ["x", "y"], "data": [[1.5, "a"]]}},
        _ones,
        silent=frozenset({V2}),
    ),
    "no signature, an array": Case(Signature(), {"inputs": [[1.5, 2.5]]}, _ones),
    "type hints of objects": Case(
        Signature(
            checked_by_model=True,
            declared={"inputs": [{"type": "map", "values": {"type": "double"}}]},
        ),
        {"inputs": [{"a": 1.0}, {"b": 2.0}]},
        lambda rows: [sum(row.values()) for row in rows],
        missing=frozenset({V2}),
        csv=False,
    ),
    "type hints of strings": Case(
        Signature(checked_by_model=True, declared={"inputs": [{"type": "string"}]}),
        {"inputs": ["a", "b"]},
        lambda texts: [text.upper() for text in texts],
        missing=frozenset({"/predict"}),
        csv=False,
    ),
    "no example": Case(
        _columns(Column("x", "double")),
        None,
        _ones,
        silent=frozenset({"/predict", "/invocations", V2}),
    ),
}
