"""Fast runtimes for scikit-learn: the same arithmetic, without validation, pandas and joblib."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from serinus_server.runtimes.fast import FastRuntime, Hints
from serinus_server.runtimes.mlflow_pyfunc import PyFuncRuntime
from serinus_server.runtimes.sklearn.boosting import boosting_heads
from serinus_server.runtimes.sklearn.columns import assemble
from serinus_server.runtimes.sklearn.kinds import foreign_step, kind_of
from serinus_server.runtimes.sklearn.linear import Order, linear_heads, sparse_linear_heads
from serinus_server.runtimes.sklearn.matrix import Array, Columns, whole_input
from serinus_server.runtimes.sklearn.program import Head, Make, Program
from serinus_server.runtimes.sklearn.steps import Step, chain
from serinus_server.runtimes.sklearn.structure import known_values
from serinus_server.runtimes.sklearn.trees import steady, tree_heads


def candidates(reference: PyFuncRuntime) -> Iterator[FastRuntime]:
    """Fast runtimes for the model, the best first; none for a step of an unknown kind."""
    estimator = reference.model.get_raw_model()
    before, last = _split(estimator)
    begun = _begin(before, last, reference)
    if begun is None:
        return
    make, steps, sparse = begun
    for head in _heads(last, _method(reference), sparse, make):
        program = Program(make, steps, head)
        parts = program.ask_parts if hasattr(head, "parts") else None
        yield FastRuntime(f"sklearn-{head.name}", reference, program.ask, parts)


def prepare(reference: PyFuncRuntime) -> str | None:
    """Give forests one thread, and with it the same answers on each call.

    Why the model should be asked nothing generated, or None: a step of somebody's own may do
    anything, such as asking a database.
    """
    estimator = reference.model.get_raw_model()
    if (stranger := foreign_step(estimator)) is not None:
        return f"{type(stranger).__name__} is no estimator of scikit-learn, or has a function"
    steady(_split(estimator)[1])
    return None


def hints(reference: PyFuncRuntime) -> Hints:
    """Where the model changes its mind: thresholds of trees, categories, means of columns."""
    before, last = _split(reference.model.get_raw_model())
    first = (*before, last)[0]
    return Hints(known_values(before, last), getattr(first, "n_features_in_", None))


def _method(reference: PyFuncRuntime) -> str:
    """The estimator's method that is asked: ``predict``, or what ``pyfunc_predict_fn`` said."""
    flavor = reference.model.metadata.flavors["python_function"]
    return str(flavor.get("predict_fn", "predict"))


def _split(estimator: Any) -> tuple[list[Any], Any]:
    """The transformers of a pipeline and its last step."""
    if kind_of(estimator) != "Pipeline":
        return [], estimator
    steps = [step for _, step in estimator.steps]
    return [step for step in steps[:-1] if step is not None and step != "passthrough"], steps[-1]


def _begin(
    before: list[Any], last: Any, reference: PyFuncRuntime
) -> tuple[Make, list[Step], bool] | None:
    """What makes the matrix, the steps after that, and whether scikit-learn's is sparse."""
    first, *rest = (*before, last)
    if kind_of(first) != "ColumnTransformer":
        steps = chain(before)
        make = None if steps is None else whole_input(first, reference.signature)
        return None if steps is None or make is None else (make, steps, False)
    steps = chain(rest[:-1])
    assembly = None if steps is None else assemble(first, reference.signature)
    sparse = bool(first.sparse_output_)
    if steps is None or assembly is None or (sparse and steps):
        return None
    return assembly, steps, sparse


def _heads(last: Any, method: str, sparse: bool, make: Make) -> Iterator[Head]:
    if sparse:
        yield from sparse_linear_heads(last, method)
    else:
        yield from linear_heads(last, method, _orders(make))
    yield from tree_heads(last, method)
    yield from boosting_heads(last, method)


def _orders(make: Make) -> tuple[Order, ...]:
    """The orders of memory that scikit-learn's matrix may have, the likeliest first."""
    match make:
        case Array():
            return ("K",)
        case Columns():
            return ("F", "C")
    return ("C", "F")
