"""Candidates that are subtly wrong are refused, each for the reason that it is wrong for."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from serinus_server.runtimes.base import Table
from serinus_server.runtimes.fast import FastRuntime
from serinus_server.runtimes.mlflow_pyfunc import PyFuncRuntime
from serinus_server.runtimes.parity import Trial, has_exact_parts, is_row_wise, unequal
from serinus_server.runtimes.questions import questions
from serinus_server.runtimes.sklearn import candidates

from .models import CLASSES, LABELS, NAMES, TARGET, loaded, reference_of, trial_of
from .test_pipelines import FRAME, MIXED

Ask = Callable[[Any], Any]


def _refusal(reference: PyFuncRuntime, ask: Ask, count: int = 60) -> str | None:
    """Why a runtime that asks in this way is refused."""
    return trial_of(reference, count).difference(FastRuntime("wrong", reference, ask))


def _doubles(table: Table) -> Any:
    return np.array([table.column(name) for name in NAMES], dtype=float).T


def _scores(reference: PyFuncRuntime, table: Table) -> Any:
    model = reference.model.get_raw_model()
    return _doubles(table) @ model.coef_.T + model.intercept_


def test_the_right_answers_are_not_refused() -> None:
    reference = reference_of(LogisticRegression(), CLASSES)
    model = reference.model.get_raw_model()

    def right(table: Table) -> Any:
        if not np.isfinite(scores := _scores(reference, table)).all():
            raise ValueError
        return model.classes_.take(np.argmax(scores, axis=1))

    assert _refusal(reference, right) is None


def test_a_tie_that_goes_to_the_other_class_is_refused() -> None:
    model = LogisticRegression(fit_intercept=False).fit(np.repeat([[1], [-1]], 5, axis=1), [1, 0])
    reference = loaded(model, reference_of(LogisticRegression()).model.metadata.get_input_schema())

    def wrong(table: Table) -> Any:
        scores = _doubles(table) @ model.coef_[0]
        if not np.isfinite(scores).all():
            raise ValueError
        return model.classes_[(scores >= 0).astype(int)]

    # Only rows of zeros are ties: they are no usual rows, so the example has one.
    zeros = Table({name: np.zeros(1) for name in NAMES}, 1)
    asked = itertools.islice(questions(reference.signature, zeros), 30)
    trial = Trial.of(reference, asked, seconds=60)
    assert "the example" in str(trial.difference(FastRuntime("wrong", reference, wrong)))


def _walk(model: Any, rows: Any, below: Callable[[Any, Any], Any]) -> Any:
    tree = model.tree_
    leaves = []
    for row in rows:
        node = 0
        while tree.children_left[node] >= 0:
            left = below(row[tree.feature[node]], tree.threshold[node])
            node = (tree.children_left if left else tree.children_right)[node]
        leaves.append(node)
    return model.classes_.take(np.argmax(tree.value[leaves, 0], axis=1))


@pytest.mark.parametrize(
    ("dtype", "below", "right"),
    [
        (np.float32, lambda value, threshold: value <= threshold, True),
        (np.float32, lambda value, threshold: value < threshold, False),
        (np.float64, lambda value, threshold: value <= threshold, False),
    ],
    ids=["right", "a value at the threshold goes right", "values are not rounded to float32"],
)
def test_a_tree_must_take_values_at_its_thresholds_the_right_way(
    dtype: Any, below: Any, right: bool
) -> None:
    reference = reference_of(DecisionTreeClassifier(random_state=0), CLASSES)
    model = reference.model.get_raw_model()

    def ask(table: Table) -> Any:
        rows = _doubles(table).astype(dtype)
        if not np.isfinite(rows.astype(np.float32)).all():
            raise ValueError
        return _walk(model, rows, below)

    assert (_refusal(reference, ask) is None) is right


def _forest_answers(reference: PyFuncRuntime, table: Table) -> Any:
    rows = _doubles(table).astype(np.float32)
    if not np.isfinite(rows).all():
        raise ValueError
    return np.array([tree.tree_.predict(rows) for tree in reference.model.get_raw_model()])


def test_a_sum_in_another_order_is_refused() -> None:
    reference = reference_of(RandomForestRegressor(30, random_state=0), TARGET)

    def wrong(table: Table) -> Any:
        return _forest_answers(reference, table)[::-1, :, 0].sum(axis=0) / 30

    assert "values differ" in str(_refusal(reference, wrong, 25))


def test_a_tie_of_votes_that_goes_to_the_last_class_is_refused() -> None:
    reference = reference_of(RandomForestClassifier(2, random_state=0), LABELS)

    def wrong(table: Table) -> Any:
        votes = _forest_answers(reference, table).sum(axis=0)
        return np.array([0, 1]).take(1 - np.argmax(votes[:, ::-1], axis=1))

    assert "other values" in str(_refusal(reference, wrong, 25))


_WRONG: dict[str, Callable[[Any], Any]] = {
    "sums in float32": lambda p: p.astype(np.float32).astype(float),
    "one bit of one row": lambda p: np.where(
        np.arange(len(p))[:, None] == 40, np.nextafter(p, 2), p
    ),
    "another dtype": lambda p: p.astype(np.float32),
    "another shape": lambda p: p[:, 1],
    "another type": lambda p: p.tolist(),
    "rows are turned around": lambda p: p[::-1],
}


@pytest.mark.parametrize("kind", _WRONG)
def test_answers_that_are_nearly_right_are_refused(kind: str) -> None:
    reference = reference_of(LogisticRegression(), LABELS, method="predict_proba")
    (candidate, *_) = candidates(reference)

    def wrong(table: Table) -> Any:
        return _WRONG[kind](candidate._ask(table))

    assert _refusal(reference, wrong, 25) is not None


def test_an_answer_where_the_reference_raises_is_refused() -> None:
    reference = reference_of(LinearRegression(), TARGET)
    model = reference.model.get_raw_model()

    def wrong(table: Table) -> Any:
        return np.asarray(_doubles(table), order="F") @ model.coef_ + model.intercept_

    assert "an answer instead of ValueError" in str(_refusal(reference, wrong))


def test_an_error_where_the_reference_answers_is_refused() -> None:
    class Failing(FastRuntime):
        def predict(self, model_input: Any, params: Any) -> Any:
            if model_input.rows > 40:
                raise MemoryError
            return super().predict(model_input, params)

    reference = reference_of(LinearRegression(), TARGET)
    failing = Failing("wrong", reference, reference._model.predict)
    assert "MemoryError instead of an answer" in str(trial_of(reference, 25).difference(failing))


def test_an_unknown_category_that_is_taken_for_a_known_one_is_refused() -> None:
    encoder = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer([("w", encoder, ["city"]), ("n", StandardScaler(), ["income"])])
    model = make_pipeline(columns, LogisticRegression()).fit(FRAME, LABELS)
    reference = loaded(model, MIXED, "predict_proba")
    (candidate, *_) = candidates(reference)

    def wrong(table: Table) -> Any:
        known = {"Oslo", "Graz", "Łódź", "Rome"}
        city = [c if c is None or c in known else "Oslo" for c in table.column("city")]
        return candidate._ask(Table({**table.columns, "city": city}, table.rows))

    assert "values differ" in str(_refusal(reference, wrong))


def test_a_column_that_may_be_missing_but_is_needed_is_not_made_up() -> None:
    encoder = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer([("w", encoder, ["plan"]), ("n", StandardScaler(), ["income"])])
    model = make_pipeline(columns, LogisticRegression()).fit(FRAME, LABELS)
    reference = loaded(model, MIXED)
    (candidate, *_) = candidates(reference)

    def wrong(table: Table) -> Any:
        return candidate._ask(Table({"plan": ["free"] * table.rows, **table.columns}, table.rows))

    assert "without 'plan'" in str(_refusal(reference, wrong))


def test_a_changed_input_is_refused() -> None:
    reference = reference_of(LinearRegression(), TARGET, "tensor")
    model = reference.model.get_raw_model()

    def wrong(rows: Any) -> Any:
        answer = model.predict(rows)
        rows += 1
        return answer

    assert "changed its input" in str(_refusal(reference, wrong, 25))


def test_answers_in_memory_that_is_used_again_are_refused() -> None:
    reference = reference_of(LinearRegression(), TARGET, "tensor")
    model = reference.model.get_raw_model()
    memory = np.empty(64)

    def wrong(rows: Any) -> Any:
        memory[: len(rows)] = model.predict(rows)
        return memory[: len(rows)]

    assert "change after they were given" in str(_refusal(reference, wrong, 25))


def test_a_product_of_many_rows_is_not_row_wise_and_no_exact_part() -> None:
    reference = reference_of(LinearRegression(), TARGET, "tensor")
    model = reference.model.get_raw_model()

    def product(rows: Any) -> Any:
        return rows @ model.coef_ + model.intercept_

    batches = trial_of(reference, 30).batches()
    wrong = FastRuntime("wrong", reference, product, lambda rows, _: product(rows))
    assert not is_row_wise(wrong, batches)
    assert not has_exact_parts(wrong, batches)


def test_rows_that_depend_on_their_neighbours_are_found() -> None:
    reference = reference_of(DecisionTreeClassifier(max_depth=3), LABELS, "tensor")
    batches = trial_of(reference, 30).batches()
    ranks = FastRuntime("wrong", reference, lambda rows: np.argsort(rows[:, 0]))
    assert not is_row_wise(ranks, batches)
    (tree,) = candidates(reference)
    assert is_row_wise(tree, batches)


@pytest.mark.parametrize(
    ("got", "want", "what"),
    [
        (np.array([0.0]), np.array([-0.0]), "1 of 1 values differ"),
        (np.array([np.nan, 1.0]), np.array([np.nan, 1.0]), None),
        (np.array([1]), np.array([True]), "dtype int64 instead of bool"),
        (np.array(["a"], dtype=object), np.array([1], dtype=object), "a str instead of a int"),
        ({"a": [1.0]}, {"a": [1.0]}, None),
        ({"a": [1.0]}, {"b": [1.0]}, "other names"),
        ((1, 2), (1, 2, 3), "2 items instead of 3"),
        (FRAME, FRAME.copy(), None),
        (FRAME, FRAME.rename(columns={"age": "years"}), "other columns"),
        (FRAME, FRAME.astype({"age": "i4"}), "'age' of int64 instead of 'age' of int32"),
        (FRAME["age"], FRAME["age"].rename("x"), "'age' of int64 instead of 'x' of int64"),
        (FRAME.iloc[1:], FRAME.iloc[:-1], "another index"),
    ],
)
def test_answers_are_compared_to_the_last_bit(got: Any, want: Any, what: str | None) -> None:
    assert unequal(got, want) == what
