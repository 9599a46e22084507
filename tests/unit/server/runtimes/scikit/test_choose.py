"""Which runtime is chosen, and that nothing that goes wrong in choosing stops a model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures
from sklearn.tree import DecisionTreeRegressor
from structlog.testing import capture_logs

from serinus_server.runtimes.base import Table
from serinus_server.runtimes.choose import choose
from serinus_server.runtimes.example import read_example
from serinus_server.runtimes.fast import FastRuntime, Hints
from serinus_server.runtimes.load import load
from serinus_server.runtimes.mlflow_pyfunc import PyFuncRuntime
from serinus_server.service.batching import merge, split
from serinus_server.service.model import Identity, ServedModel

from .models import (
    CLASSES,
    FEATURES,
    LABELS,
    NAMES,
    TARGET,
    ColSpec,
    Schema,
    loaded,
    mlflow,
    reference_of,
    table,
)

_PATIENT = 30.0  # seconds: the machine may be busy


def _library(*asks: Callable[[Any], Any], hints: Any = None) -> Any:
    def candidates(reference: PyFuncRuntime) -> Iterator[FastRuntime]:
        for number, ask in enumerate(asks):
            yield FastRuntime(f"made-{number}", reference, ask)

    return SimpleNamespace(candidates=candidates, hints=hints or (lambda _: Hints()))


def _right(reference: PyFuncRuntime) -> Callable[[Any], Any]:
    model = reference.model.get_raw_model()

    def ask(rows: Any) -> Any:
        if not np.isfinite(rows).all():
            raise ValueError
        return rows @ model.coef_ + model.intercept_

    return ask


def _wrong(rows: Any) -> Any:
    return np.zeros(len(rows))


def test_a_proved_candidate_is_chosen_and_the_log_says_so() -> None:
    reference = reference_of(LogisticRegression(), LABELS)
    with capture_logs() as logs:
        runtime = choose(reference, seconds=_PATIENT)
    assert runtime.name == "sklearn-linear"
    (entry,) = logs
    assert entry["event"] == "runtime chosen"
    assert entry["runtime"] == "sklearn-linear"
    assert entry["why"] == "equal to pyfunc"
    assert entry["questions"] > 50


def test_the_next_candidate_is_tried_when_one_is_wrong() -> None:
    reference = reference_of(LinearRegression(), TARGET, "tensor")
    library = _library(_wrong, _right(reference))
    assert choose(reference, seconds=_PATIENT, library=library).name == "made-1"


def test_the_reference_serves_when_all_candidates_are_wrong_and_the_log_says_why() -> None:
    reference = reference_of(LinearRegression(), TARGET, "tensor")
    with capture_logs() as logs:
        assert choose(reference, seconds=_PATIENT, library=_library(_wrong)) is reference
    assert "made-0: usual, 1 rows: 1 of 1 values differ" in logs[0]["why"]


def test_a_candidate_that_is_no_faster_is_not_worth_it() -> None:
    reference = reference_of(LinearRegression(), TARGET, "tensor")

    def slow(rows: Any) -> Any:
        for _ in range(3):
            answer = reference.predict(rows, None)
        return answer

    with capture_logs() as logs:
        assert choose(reference, seconds=_PATIENT, library=_library(slow)) is reference
    assert "made-0: no faster" in logs[0]["why"]


def test_errors_of_a_library_never_fail_the_start() -> None:
    def broken(_: Any) -> Any:
        raise OSError("a file is missing")

    reference = reference_of(LinearRegression(), TARGET, "tensor")
    for library in (
        SimpleNamespace(candidates=broken, hints=broken),
        SimpleNamespace(candidates=broken, hints=lambda _: Hints()),
        SimpleNamespace(prepare=broken, candidates=broken, hints=broken),
        SimpleNamespace(),
    ):
        assert choose(reference, seconds=0.1, library=library) is reference  # type: ignore[arg-type]


def test_a_model_that_is_too_slow_to_be_proved_keeps_its_reference() -> None:
    reference = reference_of(LinearRegression(), TARGET, "tensor")
    library = _library(_right(reference))
    with capture_logs() as logs:
        assert choose(reference, seconds=0.0, library=library) is reference
    assert "too slow" in logs[0]["why"]


def test_a_model_with_a_function_of_somebodys_own_is_asked_nothing() -> None:
    asked = []
    model = make_pipeline(
        FunctionTransformer(lambda rows: asked.append(1) or rows), LinearRegression()
    )
    reference = reference_of(model, TARGET, "tensor")
    asked.clear()
    assert choose(reference, seconds=_PATIENT) is reference
    assert asked == []
    assert not reference.row_wise


def test_a_known_pipeline_without_a_fast_way_is_row_wise_if_its_numbers_show_it() -> None:
    tree = make_pipeline(PolynomialFeatures(), DecisionTreeRegressor(max_depth=4))
    runtime = choose(reference_of(tree, TARGET, "tensor"), seconds=_PATIENT)
    assert (runtime.name, runtime.row_wise) == ("pyfunc", True)

    for last, target in ((Ridge(), TARGET), (RidgeClassifier(), CLASSES)):  # labels would hide it
        product = make_pipeline(PolynomialFeatures(), last)
        runtime = choose(reference_of(product, target, "tensor"), seconds=_PATIENT)
        assert (runtime.name, runtime.row_wise) == ("pyfunc", False)


@pytest.mark.parametrize("rows", [[1] * 40, [1, 2, 1, 1, 7, 3, 1, 32], [5, 1]])
@pytest.mark.parametrize(
    ("model", "target", "method"),
    [
        (LogisticRegression(), LABELS, "predict_proba"),
        (LogisticRegression(), CLASSES, "predict_proba"),
        (LinearRegression(), TARGET, "predict"),
        (RandomForestClassifier(7, max_depth=3, random_state=0), CLASSES, "predict_proba"),
    ],
)
@pytest.mark.parametrize("given", ["doubles", "tensor"])
def test_requests_in_a_batch_get_the_bits_that_they_get_alone(
    given: str, model: Any, target: Any, method: str, rows: list[int]
) -> None:
    reference = reference_of(model, target, given, method)
    runtime = choose(reference, seconds=_PATIENT)
    assert runtime.name != "pyfunc"
    served = ServedModel(runtime, Identity("m", "1", "r"), lambda _: None)
    random = np.random.default_rng(0)
    inputs = [random.normal(size=(count, FEATURES.shape[1])) for count in rows]
    asked = [table(each) if given == "doubles" else each for each in inputs]
    together = served.ask_together(asked, rows)
    for alone, answer in zip(asked, together, strict=True):
        assert answer.values.tobytes() == reference.predict(alone, None).tobytes()  # type: ignore[union-attr]


def test_a_bad_row_in_a_batch_fails_alone() -> None:
    runtime = choose(reference_of(LinearRegression(), TARGET, "tensor"), seconds=_PATIENT)
    served = ServedModel(runtime, Identity("m", "1", "r"), lambda _: None)
    inputs = [np.ones((1, 5)), np.full((1, 5), np.nan), np.ones((2, 5))]
    outcomes = served.ask_together(inputs, [1, 1, 2])
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, True, False]


def test_params_go_to_the_reference() -> None:
    asked = []
    reference: Any = SimpleNamespace(predict=lambda _, params: asked.append(params))
    runtime = FastRuntime("made", reference, _wrong)
    assert runtime.predict(FEATURES[:2], None).tolist() == [0, 0]
    assert runtime.predict(FEATURES[:2], {}).tolist() == [0, 0]
    runtime.predict(FEATURES[:2], {"limit": 1})
    assert asked == [{"limit": 1}]


def test_batches_are_merged_and_split_as_the_service_does() -> None:
    parts = split(merge([table(FEATURES[:1]), table(FEATURES[1:3])]).matrix(tuple(NAMES)), [1, 2])
    assert np.vstack(parts or []).tolist() == FEATURES[:3].tolist()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import pandas as pd
    from mlflow.models import infer_signature

    frame = pd.DataFrame(FEATURES, columns=NAMES)
    path = tmp_path_factory.mktemp("saved") / "model"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            LogisticRegression().fit(frame, LABELS),
            path,
            serialization_format="skops",
            signature=infer_signature(frame),
            input_example=frame.head(3),
            pip_requirements=["scikit-learn"],
        )
    return path


def test_a_saved_model_is_loaded_with_its_fast_way_unless_that_is_switched_off(
    folder: Path,
) -> None:
    assert load(folder).name == "sklearn-linear"
    assert load(folder, fast_paths=False).name == "pyfunc"


def test_the_logged_example_is_read_in_the_signatures_dtypes(folder: Path) -> None:
    example = read_example(folder, load(folder, fast_paths=False).signature)
    assert isinstance(example, Table)
    assert example.matrix(tuple(NAMES)).tolist() == FEATURES[:3].tolist()  # type: ignore[union-attr]


def test_an_example_that_is_not_usable_is_none(tmp_path: Path) -> None:
    signature = loaded(LinearRegression(), Schema([ColSpec("double", "a")])).signature
    assert read_example(tmp_path, signature) is None
    for text in (
        "{",
        "[]",
        '{"dataframe_split": {"columns": ["b"], "data": [[1]]}}',
        '{"inputs": 3}',
    ):
        (tmp_path / "serving_input_example.json").write_text(text)
        assert read_example(tmp_path, signature) is None
