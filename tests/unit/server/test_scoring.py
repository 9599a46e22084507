"""``/invocations`` beside MLflow's own scoring server, on the same requests and models.

What the model is given must be the same, or the request is refused; the ways in which the two
differ on purpose are in docs/server.md, and each has a test here.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serinus_server.errors import InvalidInput, MalformedRequest
from serinus_server.protocols.codec import Request, answer
from serinus_server.protocols.mlflow import MlflowCodec
from serinus_server.runtimes.mlflow_pyfunc import PyFuncRuntime
from serinus_server.service.model import Identity, ServedModel

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of other people's import time
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.models import ModelSignature
    from mlflow.pyfunc import scoring_server
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
    from mlflow.types.schema import Array

REFUSED = "refused"


class Both:
    """One model behind MLflow's scoring server and behind ours."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._schema = model.metadata.get_input_schema()
        self._codec = MlflowCodec()
        identity = Identity("churn", "3", "abc")
        self._served = ServedModel(PyFuncRuntime(model), identity, lambda _: None)

    def mlflow(self, body: bytes, content_type: str = "application/json") -> Any:
        try:
            response = scoring_server.invocations(body, content_type, self.model, self._schema)
        except MlflowException:
            return REFUSED
        return json.loads(response.response)["predictions"] if response.status == 200 else REFUSED

    def serinus(self, body: bytes, content_type: str = "application/json") -> Any:
        try:
            found = answer(self._codec, self._served, Request(body, content_type))
        except (InvalidInput, MalformedRequest):
            return REFUSED
        return json.loads(found.body)["predictions"]


Signed = Callable[..., Both]


@pytest.fixture(scope="session")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    """A model of given inputs and params that tells what it was given: names, dtypes, values."""
    made: dict[str, Both] = {}

    def make(inputs: Any = None, params: ParamSchema | None = None) -> Both:
        key = repr((inputs, params))
        if key in made:
            return made[key]

        class Echo(mlflow.pyfunc.PythonModel):
            # Without annotations, which MLflow would take for a signature.
            def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
                def array(values):  # type: ignore[no-untyped-def]
                    return [str(values.dtype), list(values.shape), repr(values.tolist())]

                if hasattr(model_input, "columns"):
                    columns = [(name, model_input[name]) for name in model_input.columns]
                    return [
                        *([str(n), str(c.dtype), list(map(repr, c.tolist()))] for n, c in columns),
                        sorted((params or {}).items()),
                    ]
                if isinstance(model_input, dict):
                    return [{name: array(values) for name, values in model_input.items()}]
                return [array(model_input) if hasattr(model_input, "dtype") else repr(model_input)]

        Echo.__module__ = "__main__"  # pickled by value
        folder = tmp_path_factory.mktemp("models") / "echo"
        signature = None if inputs is None else ModelSignature(Schema(inputs), None, params)
        made[key] = Both(save(folder, Echo(), signature))
        return made[key]

    return make


def save(folder: Path, model: Any, signature: ModelSignature | None = None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            folder, python_model=model, signature=signature, pip_requirements=["pandas"]
        )
        return mlflow.pyfunc.load_model(str(folder), suppress_warnings=True)


def body_of(document: Any) -> bytes:
    return json.dumps(document).encode()


TYPES = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime")
COLUMNS = [ColSpec(kind, kind) for kind in TYPES] + [ColSpec("double", "more", required=False)]

# What both take, and take alike.
CLEAN: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31 - 1) | st.integers(-999, 999).map(float),
    "long": st.integers(-(2**53), 2**53) | st.integers(-999, 999).map(float),
    "float": st.floats(-1e38, 1e38) | st.integers(-(2**53), 2**53) | st.none(),
    "double": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1)
    | st.none(),
    "string": st.text(max_size=5).filter(lambda text: "\x00" not in text),
    "binary": st.sampled_from(["", "AAE=", "//8="]),
    "datetime": st.integers(-(2**33), 2**32).map(
        lambda seconds: str(np.datetime64(seconds, "s"))
    ),
    "more": st.floats(-1, 1),
}  # fmt: skip
# What MLflow converts without a word, and this server refuses.
UNCLEAN: dict[str, list[Any]] = {
    "boolean": [0, 1, 1.5, "true", "", [True], {}],
    "integer": [True, 1.5, "1", 2**31, 1e39, None, [1]],
    "long": [True, 1.5, "1", 2**63, 1e39, None, [1]],
    "float": [True, "1.5", 1e39, [1.0]],
    "double": [True, "1.5", [1.0], {}],
    "string": [True, 1, 1.5, ["a"], {}],
    "binary": [1, "no base64!", ["AA=="]],
    "datetime": [0, True, "yesterday", "2300-01-01", "2026-01-01T00:00:00Z", []],
}


@st.composite
def clean_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    names = [*TYPES, *draw(st.sampled_from([[], ["more"]]))]
    names = draw(st.permutations(names))
    return [{name: draw(CLEAN[name]) for name in names} for _ in range(draw(st.integers(1, 3)))]


def table_forms(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    columns = list(rows[0])
    data = [list(row.values()) for row in rows]
    labels = [f"row {number}" for number in range(len(rows))]
    return [
        {"dataframe_records": rows},
        {"dataframe_records": [{**row, "unknown": [1]} for row in rows]},
        {"dataframe_split": {"columns": columns, "data": data}},
        {"dataframe_split": {"columns": columns, "index": labels, "data": data}},
    ]


def tensor_forms(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_name = {name: [row[name] for row in rows] for name in rows[0]}
    return [{"instances": rows}, {"inputs": rows}, {"inputs": by_name}, {"instances": by_name}]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=clean_rows())
def test_the_model_is_given_what_mlflow_gives_it(
    signed: Signed, rows: list[dict[str, Any]]
) -> None:
    both = signed(COLUMNS)
    for document in table_forms(rows):
        expected = both.mlflow(body_of(document))
        assert expected != REFUSED
        assert both.serinus(body_of(document)) == expected


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=clean_rows())
def test_the_model_is_given_what_mlflow_gives_it_in_the_forms_of_tensorflow_serving(
    signed: Signed, rows: list[dict[str, Any]]
) -> None:
    both = signed([column for column in COLUMNS if column.name != "binary"])
    for row in rows:
        del row["binary"]  # MLflow decodes it only in tables
        for name in ("float", "double"):  # MLflow makes objects of some large integers
            row[name] = None if row[name] is None else float(row[name])
    for document in tensor_forms(rows):
        expected = both.mlflow(body_of(document))
        assert expected != REFUSED
        assert both.serinus(body_of(document)) == expected


@pytest.mark.parametrize(
    ("kind", "value"), [(k, v) for k, values in UNCLEAN.items() for v in values]
)
def test_a_value_that_would_have_to_be_changed_is_refused_in_every_form(
    signed: Signed, kind: str, value: Any
) -> None:
    both = signed([ColSpec(kind, "x")])
    good = {"boolean": True, "string": "a", "binary": "AA==", "datetime": "2026-01-01"}.get(kind, 1)
    for rows in ([{"x": value}], [{"x": good}, {"x": value}]):
        for document in (*table_forms(rows), *tensor_forms(rows)):
            if document == {"inputs": {"x": value}}:
                continue
            assert both.serinus(body_of(document)) == REFUSED, document


PARAMS = ParamSchema([ParamSpec("k", "long", 3), ParamSpec("xs", "double", [1.0], (-1,))])
NAMED = [ColSpec("double", "x"), ColSpec("string", "y"), ColSpec("long", "z", required=False)]
POSITIONS = [ColSpec("double"), ColSpec("double")]
NESTED = [ColSpec(Array(DataType.double), "v"), ColSpec("string", "y")]
ROW = {"x": 1.5, "y": "a"}


def matrix(dtype: str, *shape: int, name: str | None = None) -> TensorSpec:
    return TensorSpec(np.dtype(dtype), shape, name)


MATRIX = [matrix("f8", -1, 3)]
ARRAYS = [matrix("f8", -1, name="a"), matrix("i8", -1, 2, name="b")]


@pytest.mark.parametrize(
    ("inputs", "document"),
    [
        (NAMED, {"dataframe_records": [{**ROW, "z": 3}]}),
        (NAMED, {"dataframe_records": [{"y": "a", "x": 1.5}]}),
        (NAMED, {"dataframe_records": [{"x": None, "y": None}]}),
        (NAMED, {"dataframe_records": [{"x": None, "y": None}, ROW]}),
        (NAMED, {"inputs": ROW}),
        (NAMED, {"inputs": [ROW], "params": {"k": 5}}),
        (NAMED, {"dataframe_records": [ROW], "params": {"k": 5, "xs": [1, 2.5]}}),
        (NAMED, {"dataframe_records": [ROW], "params": {"k": None}}),
        (NAMED, {"dataframe_records": [ROW], "params": {}}),
        (NAMED, {"dataframe_records": [ROW], "params": None}),
        (POSITIONS, {"dataframe_split": {"data": [[1.5, 2]]}}),
        (POSITIONS, {"dataframe_split": {"columns": [0, 1], "data": [[1.5, 2]]}}),
        (POSITIONS, {"dataframe_split": {"data": [[1.5, 2, 3]]}}),
        (POSITIONS, {"instances": [[1.5, 2]]}),
        (POSITIONS, {"inputs": [[1.5, 2.5], [3, 4]]}),
        ([ColSpec("double", "x")], {"inputs": [1.5, 2]}),
        ([ColSpec("string", "x")], {"instances": ["a", "b"]}),
        ([ColSpec("string")], {"inputs": ["a", "b"]}),
        ([ColSpec("string")], {"inputs": "a"}),
        (NESTED, {"dataframe_records": [{"v": [1.5, 2], "y": "a"}]}),
        (NESTED, {"dataframe_split": {"columns": ["v", "y"], "data": [[[1.5, 2], "a"]]}}),
        (MATRIX, {"inputs": [[1, 2, 3.5]]}),
        (MATRIX, {"inputs": [[1, None, 3]]}),
        (MATRIX, {"instances": [[1, 2, 3], [4, 5, 6]]}),
        (MATRIX, {"dataframe_split": {"data": [[1, 2, 3.5]]}}),
        (MATRIX, {"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1, 2, 3]]}}),
        (MATRIX, {"dataframe_split": {"columns": ["a"], "data": [[[1, 2, 3]], [[4, 5, 6]]]}}),
        (MATRIX, {"dataframe_records": [{"a": 1, "b": 2, "c": None}]}),
        (MATRIX, {"dataframe_records": [{"a": 1, "b": 2, "c": 3}, {"c": 6, "b": 5, "a": 4}]}),
        (MATRIX, {"dataframe_records": [{"a": [1, 2, 3]}]}),
        ([matrix("f8", -1, 1)], {"dataframe_records": [{"a": 1.5}, {"a": 2}]}),
        ([matrix("f8", -1, 1)], {"dataframe_split": {"columns": ["a"], "data": [[1.5], [2]]}}),
        ([matrix("f8", -1)], {"dataframe_records": [{"a": 1.5}]}),
        ([matrix("f8", -1, 2, 2)], {"dataframe_records": [{"a": [1, 2, 3, 4]}]}),
        ([matrix("f4", -1, 2)], {"inputs": [[0.1, 1]]}),
        ([matrix("i8", -1, 2)], {"inputs": [[2**53 + 1, 2.0]]}),
        ([matrix("i8", -1, 2)], {"inputs": [[2**63 - 1, -(2**63)]]}),
        ([matrix("u1", -1, 2)], {"inputs": [[0, 255]]}),
        ([matrix("?", -1)], {"inputs": [True, False]}),
        ([matrix("str", -1)], {"inputs": ["a", "bc"]}),
        ([matrix("str", -1)], {"dataframe_split": {"data": [["a"]]}}),
        ([matrix("O", -1, 2)], {"inputs": [["a", 1]]}),
        (ARRAYS, {"inputs": {"b": [[1, 2]], "a": [1], "c": ["x"]}}),
        (ARRAYS, {"instances": [{"a": 1.5, "b": [1, 2]}, {"a": 2, "b": [3, 4]}]}),
        (ARRAYS, {"dataframe_records": [{"a": 1.5, "b": [1, 2]}]}),
        (ARRAYS, {"dataframe_split": {"columns": ["b", "a"], "data": [[[1, 2], 1.5]]}}),
        ([matrix("f8", -1, 2, name="a")], {"inputs": [[1, 2.5]]}),
        ([matrix("f8", -1, 2, 2, name="a")], {"dataframe_records": [{"a": [1, 2, 3, 4]}]}),
        (None, {"inputs": [[1, 2.5]]}),
        (None, {"inputs": 1}),
        (None, {"inputs": "a"}),
        (None, {"inputs": {"a": [1], "b": ["x"]}}),
        (None, {"inputs": {"a": 1}}),
        (None, {"instances": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]}),
        (None, {"instances": ["a"]}),
        (None, {"dataframe_split": {"columns": ["a"], "data": [[1]]}}),
        (None, {"dataframe_split": {"data": [[1, "a"]]}}),
        (None, {"dataframe_records": [{"a": 1}, {"b": 2}]}),
    ],
)  # fmt: skip
def test_what_mlflow_answers_is_answered_alike(
    signed: Signed, inputs: Any, document: dict[str, Any]
) -> None:
    both = signed(inputs, PARAMS if inputs is NAMED else None)
    expected = both.mlflow(body_of(document))
    assert expected != REFUSED
    assert both.serinus(body_of(document)) == expected


@pytest.mark.parametrize(
    ("inputs", "document"),
    [
        (NAMED, {"dataframe_records": []}),
        (NAMED, {"dataframe_records": [{}]}),
        (NAMED, {"dataframe_records": [{"x": 1.5}]}),
        (NAMED, {"dataframe_records": [{**ROW, "z": 3}, ROW]}),
        (NAMED, {"dataframe_records": ROW}),
        (NAMED, {"dataframe_split": {"columns": ["x", "y"], "data": [[1.5]]}}),
        (NAMED, {"dataframe_split": {"columns": ["x", "y", "y"], "data": [[1.5, "a", "b"]]}}),
        (NAMED, {"dataframe_split": {"columns": ["x", "y"], "index": [1], "data": [[1, "a"]] * 2}}),
        (NAMED, {"dataframe_split": {"data": [[1.5, "a"]]}}),
        (NAMED, {"instances": 1.5}),
        (NAMED, {"instances": [1.5]}),
        (NAMED, {"instances": []}),
        (NAMED, {"inputs": "a"}),
        (NAMED, {"inputs": {}}),
        (NAMED, {"inputs": {"x": [1.5, 2], "y": ["a"]}}),
        (NAMED, {"inputs": {"x": [[1.5]], "y": ["a"]}}),
        (NAMED, {"dataframe_records": [ROW], "instances": [ROW]}),
        (NAMED, {"dataframe_records": [ROW], "params": [1]}),
        (NAMED, {"dataframe_records": [ROW], "params": {"k": 5.5}}),
        (NAMED, {"dataframe_records": [ROW], "params": {"k": True}}),
        (NAMED, {"dataframe_records": [ROW], "params": {"xs": 4}}),
        (NAMED, [ROW]),
        (NAMED, ROW),
        (NAMED, {}),
        (POSITIONS, {"dataframe_split": {"data": [[1.5]]}}),
        (POSITIONS, {"inputs": {"a": [1.5], "b": [2]}}),
        (POSITIONS, {"inputs": [1.5, 2]}),
        (NESTED, {"dataframe_records": [{"v": ["q"], "y": "a"}]}),
        (MATRIX, {"inputs": [[1, 2]]}),
        (MATRIX, {"inputs": [1, 2, 3]}),
        (MATRIX, {"inputs": [[1, "a", 3]]}),
        (MATRIX, {"inputs": [[1, 2], [1]]}),
        (MATRIX, {"inputs": [[[1, 2, 3]]]}),
        (MATRIX, {"inputs": 1.5}),
        (MATRIX, {"inputs": []}),
        ([matrix("i8", -1, 2)], {"inputs": [[2**63, 1]]}),
        ([matrix("u1", -1, 2)], {"inputs": [[256, 0]]}),
        ([matrix("u1", -1, 2)], {"inputs": [[-1, 0]]}),
        (ARRAYS, {"inputs": {"a": [1.5]}}),
        (ARRAYS, {"inputs": [1.5]}),
    ],
)  # fmt: skip
def test_what_mlflow_refuses_is_refused(
    signed: Signed, inputs: Any, document: dict[str, Any]
) -> None:
    both = signed(inputs, PARAMS if inputs is NAMED else None)
    assert both.mlflow(body_of(document)) == REFUSED
    assert both.serinus(body_of(document)) == REFUSED


@pytest.mark.filterwarnings("ignore:overflow encountered")  # MLflow's infinity
@pytest.mark.parametrize(
    ("inputs", "document"),
    [
        (NAMED, {"dataframe_split": {"columns": ["x", "y"], "data": []}}),
        (NAMED, {"inputs": {"x": [1.5], "y": "a"}}),
        (NAMED, {"dataframe_records": [ROW], "params": {"unknown": 1}}),
        (NAMED, {"dataframe_records": [ROW], "parms": {"k": 1}}),
        (MATRIX, {"inputs": [["1", "2", "3"]]}),
        (MATRIX, {"inputs": [[True, False, True]]}),
        ([matrix("i8", -1, 2)], {"inputs": [[1, 2.5]]}),
        ([matrix("f4", -1, 2)], {"inputs": [[1e39, 1]]}),
        ([matrix("str", -1)], {"inputs": [1]}),
    ],
)
def test_some_of_what_mlflow_answers_is_refused_on_purpose(
    signed: Signed, inputs: Any, document: dict[str, Any]
) -> None:
    both = signed(inputs, PARAMS if inputs is NAMED else None)
    assert both.mlflow(body_of(document)) != REFUSED
    assert both.serinus(body_of(document)) == REFUSED


@pytest.mark.parametrize(
    ("inputs", "document", "as_if"),
    [
        # Rows may go by their positions, when there are as many values as columns.
        (NAMED, {"inputs": [[1.5, "a", 3]]}, {"dataframe_records": [{**ROW, "z": 3}]}),
        ([ColSpec("double", "x")], {"inputs": [[1], [2]]}, {"inputs": {"x": [1, 2]}}),
        # Named rows of positions in every form.
        (POSITIONS, {"instances": [{"a": 1.5, "b": 2}]}, {"inputs": [[1.5, 2]]}),
        (POSITIONS, {"dataframe_records": [{"a": 1.5, "b": 2}]}, {"inputs": [[1.5, 2]]}),
        # Cells with arrays, in every form.
        (NESTED, {"instances": [{"v": [1], "y": "a"}]}, {"dataframe_records": [{"v": [1.0], "y": "a"}]}),
        (NESTED, {"inputs": {"v": [[1.0]], "y": ["a"]}}, {"dataframe_records": [{"v": [1.0], "y": "a"}]}),
        (NESTED, {"inputs": {"v": [1.0, 2.0], "y": "a"}}, {"dataframe_records": [{"v": [1.0, 2.0], "y": "a"}]}),
        # Columns for one matrix.
        (MATRIX, {"inputs": {"a": [1], "b": [2], "c": [3]}}, {"inputs": [[1, 2, 3]]}),
        (ARRAYS, {"inputs": [{"a": 1.5, "b": [1, 2]}]}, {"instances": [{"a": 1.5, "b": [1, 2]}]}),
        # base64 and null mean the same everywhere.
        ([ColSpec("binary", "x")], {"instances": [{"x": "AAE="}]}, {"dataframe_records": [{"x": "AAE="}]}),
        ([ColSpec("string", "x")], {"inputs": {"x": [None]}}, {"dataframe_records": [{"x": None}]}),
    ],
)  # fmt: skip
def test_forms_that_mlflow_refuses_or_reads_otherwise_are_read_like_the_others(
    signed: Signed, inputs: Any, document: dict[str, Any], as_if: dict[str, Any]
) -> None:
    both = signed(inputs, PARAMS if inputs is NAMED else None)
    expected = both.serinus(body_of(as_if))
    assert expected != REFUSED
    assert both.mlflow(body_of(document)) != expected
    assert both.serinus(body_of(document)) == expected


def test_a_missing_boolean_stays_missing(signed: Signed) -> None:
    both = signed([ColSpec("boolean", "x")])
    body = body_of({"dataframe_records": [{"x": True}, {"x": None}]})
    assert both.mlflow(body)[0] == ["x", "bool", ["True", "False"]]
    assert both.serinus(body)[0] == ["x", "object", ["True", "None"]]


def test_dates_may_be_written_in_several_ways(signed: Signed) -> None:
    both = signed([ColSpec("datetime", "x")])
    body = body_of({"dataframe_records": [{"x": "2026-01-02T03:04:05"}, {"x": "2026-01-02"}]})
    assert both.mlflow(body) == REFUSED
    assert both.serinus(body)[0][1] == "datetime64[ns]"


def test_large_integers_keep_their_digits_beside_floats(signed: Signed) -> None:
    both = signed([ColSpec("long", "x")])
    body = body_of({"dataframe_records": [{"x": 2**53 + 1}, {"x": 1.0}]})
    assert both.mlflow(body)[0][2] == [str(2**53), "1"]
    assert both.serinus(body)[0][2] == [str(2**53 + 1), "1"]


CSV_COLUMNS = [ColSpec(kind, kind) for kind in TYPES if kind not in ("binary", "datetime")]


@pytest.mark.parametrize(
    "text",
    [
        "true,1,2,0.1,1.5,a\nfalse,-1,9007199254740993,3,1e300,7\n",
        'True,1,2,,,"a,b"\n',
        "True,1,2,0.5,NA,008\r\nFalse,1,2,1,1,\n",
    ],
)
def test_csv_gives_the_values_that_mlflow_gives(signed: Signed, text: str) -> None:
    both = signed(CSV_COLUMNS)
    body = f"{','.join(str(column.name) for column in CSV_COLUMNS)}\n{text}".encode()
    expected, found = both.mlflow(body, "text/csv"), both.serinus(body, "text/csv")
    # Text has the dtype of text, as in JSON, where MLflow's CSV has objects.
    assert expected[5][1], found[5][1] == ("object", "str")
    expected[5][1] = found[5][1]
    assert found == expected


@pytest.mark.parametrize(
    ("inputs", "text", "as_if"),
    [
        (POSITIONS, "a,b\n1.5,2\n3,\n", {"inputs": [[1.5, 2], [3, None]]}),
        (POSITIONS, "a,b,c\n1.5,2,x\n", {"inputs": [[1.5, 2]]}),
        (MATRIX, "a,b,c\n1,2,3.5\n", {"inputs": [[1, 2, 3.5]]}),
        ([ColSpec("datetime", "x")], "x\n2026-01-02\n", {"inputs": {"x": ["2026-01-02"]}}),
        ([ColSpec("binary", "x")], "x\nAAE=\n", {"inputs": {"x": ["AAE="]}}),
    ],
)
def test_csv_is_what_the_same_table_is_in_json(
    signed: Signed, inputs: Any, text: str, as_if: dict[str, Any]
) -> None:
    both = signed(inputs)
    expected = both.serinus(body_of(as_if))
    assert expected != REFUSED
    assert both.serinus(text.encode(), "text/csv") == expected


@pytest.mark.parametrize(
    "text", ["", "double\nabc\n", "long\n1.5\n", "other\n1\n", "integer\nNA\n"]
)
def test_csv_that_mlflow_refuses_is_refused(signed: Signed, text: str) -> None:
    name = text.split("\n", 1)[0]
    both = signed([ColSpec(name if name in TYPES else "double", name or "x")])
    if name == "other":
        both = signed([ColSpec("double", "x")])
    assert both.mlflow(text.encode(), "text/csv") == REFUSED
    assert both.serinus(text.encode(), "text/csv") == REFUSED


def test_an_infinite_number_in_csv_is_refused(signed: Signed) -> None:
    both = signed([ColSpec("double", "x")])
    for text in (b"x\ninf\n", b"x\n1e400\n"):
        assert both.mlflow(text, "text/csv") != REFUSED
        assert both.serinus(text, "text/csv") == REFUSED


@pytest.fixture(scope="session")
def hinted(hinted_model: Path, load: Callable[[Path], Any]) -> Both:
    return Both(load(hinted_model))


@pytest.mark.parametrize(
    ("document", "answered"),
    [
        ({"inputs": [{"a": 1.5, "b": 2.0}]}, True),
        ({"inputs": [{"a": 1}]}, False),
        ({"inputs": [{"a": "x"}]}, False),
        ({"inputs": 5}, False),
        ({"inputs": ["a"]}, False),
    ],
)
def test_models_with_type_hints_answer_and_refuse_alike(
    hinted: Both, document: dict[str, Any], *, answered: bool
) -> None:
    expected = hinted.mlflow(body_of(document))
    assert (expected != REFUSED) == answered
    assert hinted.serinus(body_of(document)) == expected


def test_models_with_type_hints_take_the_other_forms_too(hinted: Both) -> None:
    for document in ({"instances": [{"a": 1.5}]}, {"dataframe_records": [{"a": 1.5}]}):
        assert hinted.mlflow(body_of(document)) == REFUSED
        assert hinted.serinus(body_of(document)) == [1.5]


async def test_mlflows_server_itself_gives_the_same_responses(
    serve: Any, table_model: Path, load: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")  # which init sets for good
    row = {
        "age": 41, "children": 2, "income": 51000.25, "weight": 71.5, "city": "Oslo",
        "member": True, "joined": "2026-03-04T05:06:07",
    }  # fmt: skip
    model = load(table_model)
    transport = httpx2.ASGITransport(app=scoring_server.init(model))
    async with (
        serve(table_model, lambda _: PyFuncRuntime(model)) as server,
        httpx2.AsyncClient(transport=transport, base_url="http://mlflow") as peer,
    ):
        for document in (*table_forms([row, {**row, "age": 42}]), *tensor_forms([row]), {}, [], 1):
            theirs = await peer.post("/invocations", json=document)
            ours = await server.client.post("/invocations", json=document)
            assert (ours.status_code == 200) == (theirs.status_code == 200), document
            if theirs.status_code == 200:
                assert ours.json() == theirs.json()
            else:
                assert set(ours.json()) <= set(theirs.json()), "the form of MLflow's errors"
        for content_type in ("text/plain", "application/json; charset=latin-1"):
            headers = {"content-type": content_type}
            theirs = await peer.post("/invocations", content=b"{}", headers=headers)
            ours = await server.client.post("/invocations", content=b"{}", headers=headers)
            assert ours.status_code == theirs.status_code == 415
