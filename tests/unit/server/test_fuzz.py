"""Whatever a client sends, it is the client's error: never a 500, and never an odd answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array

from serinus_server.errors import RequestError
from serinus_server.protocols.codec import Request, answer
from serinus_server.protocols.mlflow import MlflowCodec
from serinus_server.protocols.predict import PredictCodec
from serinus_server.protocols.status import STATUS
from serinus_server.protocols.v2 import V2Codec
from serinus_server.runtimes.base import Column, Signature, Table, Tensor
from serinus_server.runtimes.mlflow_pyfunc import PyFuncRuntime
from serinus_server.service.model import Identity, ServedModel
from serinus_server.service.payload import row_count
from serinus_server.service.plan import plan_for

KINDS = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime")
GOOD: dict[str, Any] = {
    "boolean": True,
    "integer": 1,
    "long": 2,
    "float": 0.5,
    "double": 1.5,
    "string": "a",
    "binary": "AA==",
    "datetime": "2026-01-01",
    "tags": ["x"],
}
V2 = {"boolean": "BOOL", "integer": "INT32", "long": "INT64", "float": "FP32", "double": "FP64"}


@pytest.fixture(scope="session")
def counting_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Takes every type of column and answers the number of each row; cannot fail by itself."""

    folder = tmp_path_factory.mktemp("models") / "counting"
    columns = [ColSpec(kind, kind) for kind in KINDS]
    columns.append(ColSpec(Array(DataType.string), "tags", required=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")

        class Counter(mlflow.pyfunc.PythonModel):
            # Without annotations, which MLflow would take for a signature.
            def predict(self, context, model_input):  # type: ignore[no-untyped-def]
                return list(range(len(model_input)))

        Counter.__module__ = "__main__"  # pickled by value

        mlflow.pyfunc.save_model(
            folder,
            python_model=Counter(),
            signature=ModelSignature(Schema(columns)),
            pip_requirements=["pandas"],
        )
    return folder


SCALAR = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(["", "2026-01-01T00:00:00+02:00", "9999-12-31", "AA==", "1", "NaN", "FP64"]),
)
JSON = st.recursive(
    SCALAR,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*GOOD, "name", "data", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)

VALID: list[tuple[str, Any]] = [
    ("/predict", GOOD),
    ("/predict", [GOOD, GOOD]),
    ("/predict", [list(GOOD.values())]),
    ("/invocations", {"dataframe_records": [GOOD, GOOD]}),
    (
        "/invocations",
        {"dataframe_split": {"columns": list(GOOD), "index": [0], "data": [list(GOOD.values())]}},
    ),
    ("/invocations", {"instances": [GOOD]}),
    ("/invocations", {"inputs": {name: [value] for name, value in GOOD.items()}, "params": {}}),
    (
        "/v2/models/churn/infer",
        {
            "id": "1",
            "parameters": {},
            "outputs": [{"name": "output-0", "parameters": {"binary_data": False}}],
            "inputs": [
                {
                    "name": name,
                    "shape": [1],
                    "datatype": V2.get(name, "BYTES"),
                    "parameters": {},
                    "data": [value],
                }
                for name, value in GOOD.items()
                if name != "tags"  # V2 has no datatype for arrays in cells
            ],
        },
    ),
]


def paths_of(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every node of a JSON document."""
    found = [path]
    children: Any = ()
    if isinstance(node, dict):
        children = node.items()
    elif isinstance(node, list):
        children = enumerate(node)
    for key, child in children:
        found += paths_of(child, (*path, key))
    return found


def replaced(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of ``node`` with ``value`` in the place of ``path``."""
    if not path:
        return value
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[path[0]] = replaced(node[path[0]], path[1:], value)
    return copy


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, Any]:
    """A valid request with up to three places replaced by any JSON."""
    path, document = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from(paths_of(document)))
        document = replaced(document, place, draw(JSON))
    return path, document


@pytest.fixture(scope="session")
def ask(counting_model: Path, load: Callable[[Path], Any]) -> Callable[[str, bytes], int]:
    """Ask the codecs directly; the status, as the endpoint would send it."""
    runtime = PyFuncRuntime(load(counting_model))
    model = ServedModel(runtime, Identity("churn", "3", "abc"), lambda _: None)
    codecs = {"/predict": PredictCodec(), "/invocations": MlflowCodec()}

    def status_of(path: str, body: bytes, content_type: str = "") -> int:
        codec = codecs.get(path, V2Codec())
        try:
            json.loads(answer(codec, model, Request(body, content_type)).body)
        except RequestError as error:
            json.loads(codec.error(error))
            return STATUS[type(error)]
        return 200

    return status_of


@pytest.mark.parametrize(("path", "document"), VALID)
def test_the_seeds_are_valid(ask: Callable[[str, bytes], int], path: str, document: Any) -> None:
    assert ask(path, json.dumps(document).encode()) == 200


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=mutated())
def test_no_json_makes_the_server_fail(
    ask: Callable[[str, bytes], int], case: tuple[str, Any]
) -> None:
    path, document = case
    assert ask(path, json.dumps(document).encode()) in {200, 400, 422}


SIGNATURES = [
    Signature(),
    Signature(checked_by_model=True),
    Signature((Column("a", "double"), Column("data", "string", required=False))),
    Signature((Column("a", "any", nested=True), Column("x", "boolean", required=False))),
    Signature((Column(None, "long"), Column(None, "datetime"))),
    Signature((Column(None, "string"),)),
    *(
        Signature((Tensor(name, np.dtype(dtype), shape),))
        for dtype in ("f8", "f4", "i8", "u1", "?", "U", "O", "S")
        for name, shape in [(None, (-1,)), (None, (-1, 2)), ("a", (-1, -1)), ("a", (2, 1, 1))]
    ),
]
NESTED = st.recursive(
    SCALAR,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "x", "data"]), inner, max_size=2)
    ),
    max_leaves=8,
)
INPUT = st.fixed_dictionaries(
    {},
    optional={
        "dataframe_records": NESTED,
        "dataframe_split": NESTED
        | st.fixed_dictionaries(
            {"data": st.lists(st.lists(NESTED, max_size=2), max_size=3)},
            optional={"columns": st.lists(SCALAR, max_size=2), "index": st.lists(SCALAR)},
        ),
        "instances": NESTED,
        "inputs": NESTED,
        "params": NESTED,
    },
)


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(signature=st.sampled_from(SIGNATURES), document=INPUT | NESTED)
def test_no_json_is_beyond_any_signature(signature: Signature, document: Any) -> None:
    model: Any = SimpleNamespace(signature=signature, identity=Identity("churn", "3", "abc"))
    request = Request(json.dumps(document).encode())
    for codec in (MlflowCodec(), PredictCodec()):
        with contextlib.suppress(RequestError):
            bound = plan_for(signature).bind(codec.decode(model, request).payload)
            assert row_count(bound) >= 0
            if isinstance(bound, Table):
                bound.frame()
                assert bound.key is None or Table.concat([bound, bound]).rows == 2 * bound.rows


@settings(max_examples=150, deadline=None)
@given(body=st.text(alphabet='ab,"\n1.5-é\x00;', max_size=60), header=st.booleans())
@example(body='"', header=True)
def test_no_csv_makes_the_server_fail(
    ask: Callable[[str, bytes, str], int], body: str, *, header: bool
) -> None:
    text = f"{','.join(GOOD)}\n{body}" if header else body
    assert ask("/invocations", text.encode(), "text/csv") in {200, 400, 422}


@settings(max_examples=150, deadline=None)
@given(body=st.binary(max_size=60), content_type=st.sampled_from(["", "text/csv"]))
def test_no_bytes_make_the_server_fail(
    ask: Callable[[str, bytes, str], int], body: bytes, content_type: str
) -> None:
    for path in ("/predict", "/invocations", "/v2"):
        assert ask(path, body, content_type) in {200, 400, 422}


async def test_the_endpoint_agrees_with_the_codecs(serve: Any, counting_model: Path) -> None:
    async with serve(counting_model, SERINUS_ALLOW_CUSTOM_CODE="true") as server:
        responses = await asyncio.gather(
            *(server.client.post(path, json=document) for path, document in VALID)
        )
    assert [response.status_code for response in responses] == [200] * len(VALID)
