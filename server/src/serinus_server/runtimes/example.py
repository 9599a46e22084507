"""The input example that was logged with a model, as a question for its runtimes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serinus_server.runtimes.base import Column, Signature, Table, Tensor
from serinus_server.runtimes.questions import DTYPES, MANY

_FILE = "serving_input_example.json"  # what MLflow logs beside the example as it was given
_LARGEST = 1024 * 1024  # bytes; a larger example takes longer to read than it is worth


def read_example(folder: Path, signature: Signature) -> Any:
    """The example's first rows as `Runtime.predict` takes them; None without a usable example."""
    path = folder / _FILE
    try:
        if path.stat().st_size > _LARGEST:
            return None
        document = json.loads(path.read_bytes())
        if "dataframe_split" in document:
            split = document["dataframe_split"]
            return _table(split["columns"], split["data"][:MANY], signature)
        return _tensors(document.get("inputs", document.get("instances")), signature)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None  # it is only one more question


def _table(names: Sequence[Any], rows: Sequence[Sequence[Any]], signature: Signature) -> Any:
    columns: dict[str | int, Any] = {}
    for index, spec in enumerate(signature.inputs):
        if not isinstance(spec, Column):
            return None
        place = index if spec.name is None else list(names).index(spec.name)
        values = [row[place] for row in rows]
        key = index if spec.name is None else spec.name
        plain = spec.type not in DTYPES or (spec.type == "boolean" and None in values)
        columns[key] = values if plain else np.array(values, dtype=DTYPES[spec.type])
    return Table(columns, len(rows)) if columns else None


def _tensors(values: Any, signature: Signature) -> Any:
    specs = [spec for spec in signature.inputs if isinstance(spec, Tensor)]
    if values is None or len(specs) != len(signature.inputs):
        return None
    if not specs:
        return np.array(values, dtype=np.float64)
    if specs[0].name is None:
        return np.array(values, dtype=specs[0].dtype)[:MANY]
    return {spec.name: np.array(values[spec.name], dtype=spec.dtype) for spec in specs}
