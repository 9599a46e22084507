"""What the inside of a fitted model tells about inputs that are worth trying."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from serinus_server.runtimes.sklearn.kinds import kind_of

_ENOUGH = 200  # values of one column


def known_values(before: Sequence[Any], last: Any) -> dict[str | int, Sequence[Any]]:
    """Values of the input's columns, by name and by position, that mean something to the model.

    ``before`` are the transformers, ``last`` is the predictor. Thresholds behind a transformer are
    not known as values of the input; a scaler's own means are, and tell where the values lie.
    """
    found: dict[int, list[Any]] = {}
    first = (*before, last)[0]
    if kind_of(first) == "ColumnTransformer":
        for name, transformer, _ in first.transformers_:
            places = first._transformer_to_input_indices.get(name, [])  # noqa: SLF001
            for place, values in _of_transformer(transformer).items():
                if place < len(places):
                    found.setdefault(int(places[place]), []).extend(values)
    elif before:
        found = _of_transformer(first)
    else:
        found = _thresholds(last)
    names = getattr(first, "feature_names_in_", None)
    if names is None:
        return {place: values for place, values in found.items()}  # noqa: C416 - another key type
    return {str(names[place]): values for place, values in found.items()}


def _of_transformer(transformer: Any) -> dict[int, list[Any]]:
    if kind_of(transformer) == "Pipeline":
        merged: dict[int, list[Any]] = {}
        for _, step in transformer.steps:
            for place, values in _of_transformer(step).items():
                merged.setdefault(place, []).extend(values)
        return merged
    if hasattr(transformer, "categories_"):
        return {
            place: list(values[:_ENOUGH]) for place, values in enumerate(transformer.categories_)
        }
    middle = getattr(transformer, "mean_", getattr(transformer, "center_", None))
    spread = getattr(transformer, "scale_", None)
    if middle is None or spread is None:
        lowest = getattr(transformer, "data_min_", getattr(transformer, "statistics_", None))
        if lowest is None or np.asarray(lowest).dtype.kind != "f":
            return {}
        highest = getattr(transformer, "data_max_", lowest)
        return {place: list(pair) for place, pair in enumerate(zip(lowest, highest, strict=True))}
    return {
        place: [m - 2 * s, m, m + 2 * s]
        for place, (m, s) in enumerate(zip(middle, spread, strict=True))
    }


def _thresholds(model: Any) -> dict[int, list[Any]]:
    """Thresholds by column, spread over all trees of ``model``."""
    found: dict[int, set[float]] = {}
    for features, thresholds in _splits(model):
        for feature, threshold in zip(features, thresholds, strict=True):
            values = found.setdefault(int(feature), set())
            if len(values) < _ENOUGH:
                values.add(float(threshold))
        if found and all(len(values) >= _ENOUGH for values in found.values()):
            break
    return {feature: sorted(values) for feature, values in found.items()}


def _splits(model: Any) -> Iterable[tuple[Any, Any]]:
    """Columns and thresholds of the inner nodes of each tree."""
    if hasattr(model, "_predictors"):
        for iteration in model._predictors:  # noqa: SLF001
            for tree in iteration:
                inner = tree.nodes[tree.nodes["is_leaf"] == 0]
                yield inner["feature_idx"], inner["num_threshold"]
        return
    trees = [model] if hasattr(model, "tree_") else np.ravel(getattr(model, "estimators_", []))
    for each in trees:
        tree = getattr(each, "tree_", None)
        if tree is not None:
            inner = tree.children_left >= 0
            yield tree.feature[inner], tree.threshold[inner]
