"""Open Inference V2 over REST: every datatype in JSON and in binary, and what is wrong in either."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pandas as pd
import pytest

from serinus_server.errors import InvalidInput, MalformedRequest, RequestError
from serinus_server.protocols.codec import Answer, Request, answer
from serinus_server.protocols.v2 import V2Codec
from serinus_server.runtimes.base import Column, Signature

from .golden import GOLDEN, IDS, Echo, Golden, same, served

HEADER = "inference-header-content-length"


def ask(
    runtime: Echo, document: dict[str, Any], tail: bytes = b"", header: str | None = None
) -> Answer:
    """Ask with JSON, and with bytes behind it if there are any."""
    body = json.dumps(document).encode()
    headers = {}
    if tail or header is not None:
        headers[HEADER] = str(len(body)) if header is None else header
    return answer(V2Codec(), served(runtime), Request(body + tail, headers=headers))


def parts(found: Answer) -> tuple[Any, bytes]:
    """The JSON of an answer, and what follows it."""
    headers = dict(found.headers)
    if HEADER.encode() not in headers:
        assert headers == {b"content-type": b"application/json"}
        return json.loads(found.body), b""
    assert headers[b"content-type"] == b"application/octet-stream"
    length = int(headers[HEADER.encode()])
    return json.loads(found.body[:length]), found.body[length:]


def tensor(golden: Golden, **change: Any) -> dict[str, Any]:
    return {"name": "x", "shape": list(golden.shape), "datatype": golden.datatype, **change}


def binary(golden: Golden, **change: Any) -> dict[str, Any]:
    return tensor(golden, parameters={"binary_data_size": len(golden.raw)}, **change)


@pytest.mark.parametrize("golden", GOLDEN, ids=IDS)
def test_every_datatype_in_json_reaches_the_model_and_comes_back(golden: Golden) -> None:
    runtime = Echo()
    nested = golden.array.tolist()
    for data in (golden.values, nested):
        document, tail = parts(ask(runtime, {"inputs": [tensor(golden, data=data)]}))
        same(runtime.got, golden.array)
        assert document["outputs"] == [tensor(golden, name="output-0", data=golden.values)]
        assert tail == b""


@pytest.mark.parametrize("golden", GOLDEN, ids=IDS)
def test_every_datatype_in_binary_is_the_same_question_and_answer(golden: Golden) -> None:
    runtime = Echo()
    asked = {"inputs": [binary(golden)], "parameters": {"binary_data_output": True}}
    document, tail = parts(ask(runtime, asked, golden.raw))
    same(runtime.got, golden.array)
    assert document["outputs"] == [binary(golden, name="output-0")]
    assert tail == golden.raw
    assert runtime.params in (None, {})  # what is about the form is no parameter of the model


def test_binary_inputs_follow_each_other_and_may_stand_beside_json() -> None:
    first, second = GOLDEN[3], GOLDEN[-1]
    runtime = Echo(answer={"a": [1], "b": np.array([2.5])})
    ask(
        runtime,
        {
            "inputs": [
                binary(first, name="a", shape=[2]),
                {"name": "j", "shape": [2], "datatype": "INT8", "data": [1, 2]},
                {
                    "name": "b",
                    "shape": [2],
                    "datatype": "BYTES",
                    "parameters": {"binary_data_size": 15},
                },
            ]
        },
        first.raw + struct.pack("<I3sI4s", 3, b"one", 4, b"four"),
    )
    assert second.datatype == "BYTES"
    assert isinstance(runtime.got, pd.DataFrame)
    assert runtime.got.to_dict("list") == {"a": first.values, "j": [1, 2], "b": ["one", "four"]}


def test_each_output_may_be_binary_or_json() -> None:
    runtime = Echo(answer={"a": [1, 2], "b": np.array([2.5, 3]), "c": ["x", "yz"]})
    inputs = [tensor(GOLDEN[1], data=[1, 2])]
    outputs = [{"name": "c"}, {"name": "b", "parameters": {"binary_data": True}}]
    document, tail = parts(ask(runtime, {"id": "7", "inputs": inputs, "outputs": outputs}))
    assert document == {
        "model_name": "churn",
        "model_version": "3",
        "id": "7",
        "outputs": [
            {"name": "c", "datatype": "BYTES", "shape": [2], "data": ["x", "yz"]},
            {
                "name": "b",
                "datatype": "FP64",
                "shape": [2],
                "parameters": {"binary_data_size": 16},
            },
        ],
    }
    assert tail == struct.pack("<2d", 2.5, 3)
    outputs = [{"name": "a", "parameters": {"binary_data": False}}, {"name": "c"}]
    asked = {"inputs": inputs, "outputs": outputs, "parameters": {"binary_data_output": True}}
    document, tail = parts(ask(runtime, asked))
    assert [output.get("data") for output in document["outputs"]] == [[1, 2], None]
    assert tail == struct.pack("<I1sI2s", 1, b"x", 2, b"yz")


def test_bytes_become_strings_except_where_the_signature_wants_binary() -> None:
    columns = (Column("text", "string"), Column("blob", "binary"))
    inputs = [
        {"name": n, "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 6}}
        for n in ("text", "blob")
    ]
    for raw, fits in ((b"\xc3\xa6", True), (b"\xff\xfe", False)):
        runtime = Echo(Signature(columns), answer=[1])
        tail = struct.pack("<I2sI2s", 2, raw, 2, b"\xff\xfe")
        if fits:
            ask(runtime, {"inputs": inputs}, tail)
            assert runtime.got.frame().to_dict("list") == {"text": ["æ"], "blob": [b"\xff\xfe"]}
        else:
            with pytest.raises(InvalidInput, match="'text', row 0: is no UTF-8"):
                ask(runtime, {"inputs": inputs}, tail)


def test_any_byte_but_zero_is_true() -> None:
    runtime = Echo()
    one = {"name": "x", "shape": [3], "datatype": "BOOL", "parameters": {"binary_data_size": 3}}
    ask(runtime, {"inputs": [one]}, b"\x00\x01\xff")
    same(runtime.got, np.array([False, True, True]))


FP32 = {"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
TEXT = {"name": "x", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 8}}
HUGE = 2**63


@pytest.mark.parametrize(
    ("change", "tail", "header", "error", "says"),
    [
        ({}, b"1234567", None, MalformedRequest, "is 8, but 7 bytes are left"),
        ({}, b"123456789", None, MalformedRequest, "1 bytes behind the JSON belong to no input"),
        ({}, b"", None, MalformedRequest, "no header Inference-Header-Content-Length"),
        ({}, b"12345678", "9999", MalformedRequest, "is 9999, but the body has"),
        ({}, b"12345678", "-1", MalformedRequest, "must be a number"),
        ({}, b"12345678", "²", MalformedRequest, "must be a number"),
        ({}, b"12345678", "", MalformedRequest, "must be a number"),
        ({}, b"12345678", "9" * 5000, MalformedRequest, "must be a number"),
        ({}, b"12345678", "3", MalformedRequest, "no valid JSON"),
        ({}, b"12345678", "0", MalformedRequest, "no valid JSON"),
        ({"data": [1, 2]}, b"12345678", None, MalformedRequest, "both data and binary"),
        ({"shape": [3]}, b"12345678", None, InvalidInput, "8 bytes, but FP32 of shape [3] means 12"),
        ({"shape": [-2]}, b"12345678", None, MalformedRequest, "non-negative"),
        ({"shape": [True, 2]}, b"12345678", None, MalformedRequest, "non-negative"),
        ({"shape": "2"}, b"12345678", None, MalformedRequest, "non-negative"),
        ({"shape": [HUGE, HUGE, 4]}, b"12345678", None, InvalidInput, "means 1361129467683753"),
        ({"shape": [0, HUGE]}, b"12345678", None, InvalidInput, "has no values"),
        ({"shape": [1] * 33}, b"12345678", None, InvalidInput, "33 dimensions"),
        ({"datatype": "BF16"}, b"12345678", None, MalformedRequest, "datatype"),
        ({"datatype": ["FP32"]}, b"12345678", None, MalformedRequest, "datatype"),
        *(
            ({"parameters": {"binary_data_size": size}}, b"12345678", None, MalformedRequest, says)
            for size, says in [
                (-8, "non-negative"), ("8", "non-negative"), (8.0, "non-negative"),
                (True, "non-negative"), (None, "non-negative"), (HUGE, "8 bytes are left"),
            ]
        ),
        (TEXT, b"\1\0\0\0a\3\0\0", None, InvalidInput, "ends within the length of element 1"),
        (TEXT, b"\5\0\0\0abcd", None, InvalidInput, "element 0 has 5 bytes by its length, but 4"),
        (TEXT, b"\0\0\0\0\xff\xff\xff\xff", None, InvalidInput, "has 4294967295 bytes"),
        ({**TEXT, "shape": [1]}, b"\3\0\0\0abcd", None, InvalidInput, "1 bytes after its 1"),
        ({**TEXT, "shape": [HUGE]}, b"\3\0\0\0abcd", None, InvalidInput, "cannot hold"),
        (TEXT, b"\0\0\0\0\0\0\0\0", None, None, ""),
        ({}, b"12345678", None, None, ""),
    ],
)  # fmt: skip
def test_what_is_wrong_in_binary_is_said(
    change: dict[str, Any],
    tail: bytes,
    header: str | None,
    error: type[RequestError] | None,
    says: str,
) -> None:
    document = {"inputs": [{**FP32, **change}]}
    if error is None:
        assert ask(Echo(), document, tail, header).body
        return
    with pytest.raises(error) as raised:
        ask(Echo(), document, tail, header)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("document", "error", "says"),
    [
        ({"id": 7}, MalformedRequest, "id must be a string"),
        ({"parameters": []}, MalformedRequest, "parameters must be an object"),
        ({"parameters": {"binary_data_output": 1}}, MalformedRequest, "true or false"),
        ({"parameters": {"other": 1}}, InvalidInput, "no parameter of this model"),
        ({"outputs": {}}, MalformedRequest, "outputs must be"),
        ({"outputs": [{}]}, MalformedRequest, "outputs[0]"),
        ({"outputs": [{"name": "output-0"}] * 2}, MalformedRequest, "twice"),
        ({"outputs": [{"name": "p"}]}, InvalidInput, "no output of this model"),
        (
            {"outputs": [{"name": "output-0", "parameters": {"binary_data": "yes"}}]},
            MalformedRequest,
            "true or false",
        ),
    ],
)
def test_what_is_wrong_around_the_tensors_is_said(
    document: dict[str, Any], error: type[RequestError], says: str
) -> None:
    with pytest.raises(error) as raised:
        ask(Echo(), {"inputs": [tensor(GOLDEN[1], data=[1, 2])], **document})
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"data": [1, 300]}, InvalidInput, "row 1: does not fit into UINT8"),
        ({"data": [1, -1]}, InvalidInput, "row 1: does not fit into UINT8"),
        ({"data": [1, 2**64]}, InvalidInput, "does not fit into UINT8"),
        ({"data": [1, 0.5]}, InvalidInput, "row 1: has a fraction"),
        ({"data": [1, True]}, InvalidInput, "row 1: is a boolean"),
        ({"data": [1, None]}, InvalidInput, "row 1: is null"),
        ({"data": [1, "2"]}, InvalidInput, "row 1: is a string"),
        ({"data": [[1, 2], [3]]}, InvalidInput, "3 values, but shape [2] means 2"),
        ({"data": [[1], 2]}, InvalidInput, "ragged"),
        ({"data": []}, InvalidInput, "0 values"),
        ({"data": {}}, MalformedRequest, "data must be an array"),
        ({"data": [], "shape": [10**9, 0]}, InvalidInput, "has no values"),
        ({"datatype": "FP64", "data": [1, True]}, InvalidInput, "row 1: is a boolean"),
        ({"datatype": "FP64", "data": [1, "2"]}, InvalidInput, "row 1: is a string"),
        ({"datatype": "FP32", "data": [1, 1e39]}, InvalidInput, "row 1: does not fit into FP32"),
        ({"datatype": "FP16", "data": [1, 65520]}, InvalidInput, "row 1: does not fit into FP16"),
        ({"datatype": "BOOL", "data": [True, 1]}, InvalidInput, "row 1: is an integer"),
        ({"datatype": "BYTES", "data": ["a", 1]}, InvalidInput, "row 1: is no string"),
        ({"datatype": "FP64", "data": [1, None]}, None, ""),
        ({"datatype": "FP64", "data": [2**63, 3]}, None, ""),
        ({"datatype": "BYTES", "data": ["a", None]}, None, ""),
        ({"data": [1.0, 2]}, None, ""),
    ],
)
def test_what_is_wrong_in_json_is_said(
    change: dict[str, Any], error: type[RequestError] | None, says: str
) -> None:
    document = {"inputs": [{**tensor(GOLDEN[1], data=[1, 2]), **change}]}
    if error is None:
        assert ask(Echo(), document).body
        return
    with pytest.raises(error) as raised:
        ask(Echo(), document)
    assert says in str(raised.value)


def test_the_quick_way_and_the_long_way_write_the_same_answer() -> None:
    inputs = [tensor(GOLDEN[1], data=[1, 2])]
    rng = np.random.default_rng(5)
    for dtype in ("?", "u1", "i2", "i8", "f2", "f4", "f8", ">f8", "O"):
        for shape in ((1,), (3,), (40,), (5, 8), (2, 3, 4)):
            values = rng.normal(size=shape).astype(dtype)
            if values.dtype.kind == "f":
                values.flat[0] = np.nan
            for answered in (values, np.asfortranarray(values), values[::-1]):
                quick = parts(ask(Echo(answer=answered), {"inputs": inputs, "id": "a"}))[0]
                outputs = [{"name": "output-0"}]
                asked = {"inputs": inputs, "id": "a", "outputs": outputs}
                assert quick == parts(ask(Echo(answer=answered), asked))[0]
                data = quick["outputs"][0]["data"]
                want = answered.ravel().tolist()
                if values.dtype.kind == "O":
                    want = list(map(str, want))
                assert data == [None if v != v else v for v in want]


async def test_the_header_of_the_extension_reaches_the_codec_and_the_client(
    serve: Any, scripted: Any, empty_model: Any
) -> None:
    asked = {"inputs": [FP32], "parameters": {"binary_data_output": True}}
    body = json.dumps(asked).encode()
    tail = struct.pack("<2f", 0.5, 1.5)
    async with serve(empty_model, lambda _: scripted(lambda values: values * 2)) as server:
        response = await server.client.post(
            "/v2/models/churn/infer", content=body + tail, headers={HEADER: str(len(body))}
        )
        assert response.status_code == 200
        length = int(response.headers[HEADER])
        assert response.content[length:] == struct.pack("<2f", 1.0, 3.0)
        assert response.headers["content-type"] == "application/octet-stream"
        extensions = (await server.client.get("/v2")).json()["extensions"]
    assert extensions == ["binary_tensor_data"]
