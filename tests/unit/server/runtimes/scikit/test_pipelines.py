"""Pipelines of transformers and column transformers against the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from threadpoolctl import threadpool_limits

from serinus_server.runtimes.base import Table
from serinus_server.runtimes.parity import unequal
from serinus_server.runtimes.sklearn import candidates, prepare
from serinus_server.service.batching import merge

from .models import (
    CLASSES,
    GIVEN,
    LABELS,
    TARGET,
    ColSpec,
    Schema,
    answers_itself,
    loaded,
    own_share,
    proved,
    reference_of,
    trial_of,
)

_SCALED: dict[str, Callable[[], Any]] = {
    "standard": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "not centered": lambda: make_pipeline(StandardScaler(with_mean=False), LogisticRegression()),
    "range": lambda: make_pipeline(MinMaxScaler(clip=True), LogisticRegression()),
    "largest": lambda: make_pipeline(MaxAbsScaler(), RandomForestClassifier(5, random_state=0)),
    "robust": lambda: make_pipeline(RobustScaler(), "passthrough", LogisticRegression()),
    "filled in": lambda: make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
    "filled for trees": lambda: make_pipeline(
        SimpleImputer(strategy="median"), HistGradientBoostingClassifier(max_iter=3)
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """OpenMP's threads wait for each other on a busy machine."""
    with threadpool_limits(1, user_api="openmp"):
        yield


@pytest.mark.parametrize("given", [given for given in GIVEN if given != "floats"])
@pytest.mark.parametrize("kind", _SCALED)
def test_scaled_numbers_are_answered_as_by_pyfunc(kind: str, given: str) -> None:
    reference = reference_of(_SCALED[kind](), CLASSES, given, "predict_proba")
    candidate, trial = proved(reference)
    if kind.startswith("filled") and given in ("longs", "mixed"):
        return  # an imputer that was fitted to integers leaves much to the reference
    assert own_share(candidate, trial) > 0.5


def test_single_precision_is_scaled_in_single_precision() -> None:
    reference = reference_of(_SCALED["standard"](), LABELS, "floats", "predict_proba")
    candidate, trial = proved(reference)
    assert own_share(candidate, trial) > 0.5


_random = np.random.default_rng(4)
FRAME = pd.DataFrame(
    {
        "age": _random.integers(18, 90, 150),
        "income": _random.normal(3000, 900, 150),
        "weight": _random.normal(70, 9, 150).astype("f4"),
        "member": _random.integers(0, 2, 150).astype(bool),
        "city": _random.choice(["Oslo", "Graz", "Łódź", "Rome"], 150),
        "plan": _random.choice(["free", "paid"], 150),
        "floor": _random.integers(0, 4, 150),
    }
)
MIXED = Schema(
    [
        ColSpec("long", "age"),
        ColSpec("double", "income"),
        ColSpec("float", "weight"),
        ColSpec("boolean", "member"),
        ColSpec("string", "city"),
        ColSpec("string", "plan", required=False),
        ColSpec("long", "floor"),
    ]
)
_NUMBERS = ["age", "income", "weight"]
_WORDS = ["city", "plan"]
_KNOWN = OneHotEncoder(handle_unknown="ignore")
_COLUMNS: dict[str, list[Any]] = {
    "dense": [
        ("n", StandardScaler(), _NUMBERS),
        ("w", OneHotEncoder(handle_unknown="ignore", sparse_output=False), _WORDS),
    ],
    "sparse": [("n", StandardScaler(), ["income"]), ("w", _KNOWN, [*_WORDS, "floor"])],
    "by name and by type": [
        ("n", make_pipeline(SimpleImputer(), RobustScaler()), ["income", "weight"]),
        ("w", _KNOWN, make_column_selector("city|plan")),
        ("b", "passthrough", ["member"]),
    ],
    "unknown words are errors": [
        ("w", OneHotEncoder(drop="first"), _WORDS), ("n", MinMaxScaler(), _NUMBERS),
    ],
    "rare words": [
        ("w", OneHotEncoder(min_frequency=40, handle_unknown="infrequent_if_exist"), ["city"]),
        ("n", "passthrough", ["income"]),
    ],
    "numbers for words": [
        (
            "w",
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
            [*_WORDS, "floor"],
        ),
        ("n", StandardScaler(), _NUMBERS),
    ],
    "words are filled in": [
        ("w", make_pipeline(SimpleImputer(strategy="most_frequent"), _KNOWN), ["city"]),
        ("n", MaxAbsScaler(), _NUMBERS),
    ],
    "target": [("w", TargetEncoder(), _WORDS), ("n", StandardScaler(), ["income"])],
}  # fmt: skip
_LAST: dict[str, tuple[Callable[[], Any], Any, str]] = {
    "logistic": (lambda: LogisticRegression(max_iter=500), LABELS, "predict_proba"),
    "ridge": (Ridge, TARGET, "predict"),
    "forest": (
        lambda: RandomForestClassifier(9, max_depth=5, random_state=0), LABELS, "predict_proba",
    ),
    "boosting": (
        lambda: GradientBoostingRegressor(n_estimators=9, random_state=0), TARGET, "predict",
    ),
}  # fmt: skip


@pytest.mark.parametrize("last", _LAST)
@pytest.mark.parametrize("columns", _COLUMNS)
def test_mixed_columns_are_answered_as_by_pyfunc(columns: str, last: str) -> None:
    make, target, method = _LAST[last]
    threshold = 1.0 if columns == "sparse" else 0.0
    transformer = ColumnTransformer(_COLUMNS[columns], sparse_threshold=threshold)
    model = make_pipeline(transformer, make()).fit(FRAME, target)
    assert transformer.sparse_output_ is (columns == "sparse")
    candidate, trial = proved(loaded(model, MIXED, method))
    assert own_share(candidate, trial) > 0.5
    if last in ("logistic", "ridge"):
        assert candidate.name == (
            "sklearn-linear-sparse" if columns == "sparse" else "sklearn-linear"
        )


def test_a_dense_matrix_may_be_transformed_again_behind_a_column_transformer() -> None:
    model = make_pipeline(
        ColumnTransformer(_COLUMNS["dense"], remainder="passthrough"),
        StandardScaler(),
        LogisticRegression(),
    )
    frame = FRAME.drop(columns=["member"])
    schema = Schema([spec for spec in MIXED.inputs if spec.name != "member"])
    candidate, trial = proved(loaded(model.fit(frame, CLASSES), schema, "predict_proba"))
    assert own_share(candidate, trial) > 0.5


def test_columns_of_an_array_are_taken_by_position() -> None:
    transformer = ColumnTransformer(
        [("a", StandardScaler(), [3, 0]), ("b", MinMaxScaler(), slice(1, 3)), ("c", "drop", [4])]
    )
    model = make_pipeline(transformer, LogisticRegression())
    for given in ("tensor", "nothing"):
        candidate, trial = proved(reference_of(model, LABELS, given, "predict_proba"))
        assert own_share(candidate, trial) > 0.5


@pytest.mark.parametrize("strategy", ["most_frequent", "constant"])
def test_nulls_among_strings_are_answered_where_an_imputer_or_encoder_takes_them(
    strategy: str,
) -> None:
    frame = FRAME.assign(city=FRAME["city"].where(FRAME["floor"] > 0))
    filled = make_pipeline(SimpleImputer(strategy=strategy, fill_value="-"), _KNOWN)
    ordered = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    model = make_pipeline(
        ColumnTransformer([("a", filled, ["city"]), ("b", ordered, ["city", "plan"])]),
        HistGradientBoostingClassifier(max_iter=4),
    )
    model[0].set_params(sparse_threshold=0)
    reference = loaded(model.fit(frame, LABELS), MIXED, "predict_proba")
    candidate, _ = proved(reference)
    for cities in ([None], [None, None], [None, "Oslo"], ["Rome", None, "nowhere", None]):
        rows = len(cities)
        asked = Table(
            {**merge([_row()] * rows).columns, "city": cities, "plan": [None] * rows}, rows
        )
        assert unequal(candidate._ask(asked), reference.predict(asked, None)) is None


def _row(**changes: Any) -> Table:
    row: dict[str, Any] = {
        "age": np.array([40]), "income": np.array([2500.0]), "weight": np.array([60], dtype="f4"),
        "member": np.array([True]), "city": ["Oslo"], "plan": ["free"], "floor": np.array([1]),
        **changes,
    }  # fmt: skip
    return Table({name: values for name, values in row.items() if values is not None}, 1)


@pytest.mark.parametrize(
    ("changes", "itself"),
    [
        ({}, True),
        ({"city": ["nowhere"]}, True),
        ({"city": [None]}, True),
        ({"income": np.array([np.nan])}, False),
        ({"income": np.array([np.inf])}, False),
        ({"member": [None]}, True),  # no part takes it
        ({"plan": None}, False),
    ],
)
def test_what_is_missing_is_left_to_the_reference(changes: dict[str, Any], itself: bool) -> None:
    model = make_pipeline(ColumnTransformer(_COLUMNS["dense"]), LogisticRegression())
    reference = loaded(model.fit(FRAME, LABELS), MIXED)
    (candidate, *_) = list(candidates(reference))

    class Question:
        model_input = _row(**changes)

    assert answers_itself(candidate, Question) is itself  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(PolynomialFeatures(), LogisticRegression()),
        make_pipeline(StandardScaler().set_output(transform="pandas"), LogisticRegression()),
        Pipeline([("scale", SimpleImputer(add_indicator=True)), ("last", LogisticRegression())]),
        GradientBoostingRegressor(init=Ridge(), n_estimators=3),
        make_pipeline(
            ColumnTransformer([("a", StandardScaler(), ["c0"])], transformer_weights={"a": 2}),
            LogisticRegression(),
        ),
    ],
    ids=["unknown step", "pandas between", "indicators", "own start", "weights"],
)
def test_what_nobody_knows_has_no_fast_way(model: Any) -> None:
    reference = reference_of(model)
    assert prepare(reference) is None
    assert list(candidates(reference)) == []


class _OwnRegression(LogisticRegression):
    pass


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(FunctionTransformer(np.negative), _OwnRegression()),
        make_pipeline(FunctionTransformer(lambda rows: rows), LogisticRegression()),
        make_pipeline(ColumnTransformer([("a", _OwnRegression, ["c0"])]), LogisticRegression()),
    ],
)
def test_a_step_of_somebodys_own_is_asked_nothing_generated(model: Any) -> None:
    assert "no estimator of scikit-learn" in str(prepare(loaded(model, None)))


@pytest.mark.parametrize("last", ["forest", "boosting", "logistic"])
@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_thousands_of_rows_are_answered_alike(last: str, threshold: float) -> None:
    make, target, method = _LAST[last]
    transformer = ColumnTransformer(_COLUMNS["sparse"], sparse_threshold=threshold)
    model = make_pipeline(transformer, make()).fit(FRAME, target)
    reference = loaded(model, MIXED, method)
    many = Table(
        {name: np.tile(FRAME[name], 9) for name in FRAME if FRAME[name].dtype != "str"}, 1350
    )
    words = {name: FRAME[name].tolist() * 9 for name in _WORDS}
    asked = Table({**many.columns, **words}, 1350)
    candidate, _ = proved(reference)
    assert unequal(candidate._ask(asked), reference.predict(asked, None)) is None


def test_a_forest_with_threads_answers_alike_each_time() -> None:
    model = RandomForestClassifier(30, max_depth=3, n_jobs=2, random_state=0)
    reference = reference_of(model, CLASSES, "tensor", "predict_proba")
    assert trial_of(reference, 20).difference(reference) is None
    assert model.n_jobs == 1
