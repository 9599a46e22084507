"""JSON at the door: what is refused, and answers that are the same however they are written."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from serinus_server.errors import MalformedRequest, RequestTooLarge
from serinus_server.protocols.json import MAX_DEPTH, read_json, write_json, write_predictions

TEXT = st.text("ab:{}[],\\\"'\n \u003aé😀", max_size=4)
DOCUMENT = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=60,
)


@settings(max_examples=300, deadline=None)
@given(document=DOCUMENT, ascii_only=st.booleans())
def test_json_is_read_as_it_is(document: Any, *, ascii_only: bool) -> None:
    assert read_json(json.dumps(document, ensure_ascii=ascii_only).encode()) == document


@st.composite
def nested(draw: st.DrawFn) -> tuple[str, int]:
    """A document and its depth, with strings that look like more of it beside the nesting."""
    depth = draw(st.integers(0, MAX_DEPTH + 3))
    text = "1"
    for _ in range(depth):
        match draw(st.sampled_from(["list", "object", "both", "text"])):
            case "list":
                text = f"[{text}]"
            case "object":
                text = f'{{"a": {text}}}'
            case "both":
                text = f'[0, {text}, "[]]{{[", []]'
            case _:
                text = f'{{"a:": {text}, "b": "x:[y", "c\\u003a": ":"}}'
    return text, depth


@settings(max_examples=300, deadline=None)
@given(case=nested(), others=st.integers(0, 40))
def test_only_what_is_nested_too_deeply_is_refused(case: tuple[str, int], others: int) -> None:
    text, depth = case
    body = f"[{text}{', {}' * others}]".encode()
    if depth + 1 > MAX_DEPTH:
        with pytest.raises(MalformedRequest, match="nested deeper than 32"):
            read_json(body)
    else:
        assert read_json(body) == json.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "a": 1}',
        b'[{"a": 1}, {"b": {"c": 1, "d": "x:y", "c": 2}}]',
        b'{"a": ":", "b": 1, "b": 2}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"x": "\\u003a", "a": 1, "a": 2}',
        b'{"x": "\\u003A", "a": 1, "a": 2}',
        b'{"": 1, "": 2}',
        b'{"dataframe_records": [%s{"a": 1, "b": 1, "a": 1}]}' % (b'{"a": 1, "b": 1}, ' * 200),
    ],
)
def test_a_key_that_is_there_twice_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedRequest, match=r"names the key '.*' twice"):
        read_json(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1,]",
        b"[01]",
        b"[1] 2",
        b"[NaN]",
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e400]",
        b"[" + b"9" * 400 + b"]",
        b'["\\ud800"]',
        b'["\\udc00\\ud800"]',
        b'["\xff"]',
        b'["\xed\xa0\x80"]',
        b"\xef\xbb\xbf[1]",
        "[1]".encode("utf-16"),
        b'["\x00"]',
        b"[" * 100_000,
        b"[" * 5000 + b"]" * 5000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read_json(body)


def test_integers_that_no_64_bits_hold_are_the_nearest_double() -> None:
    assert read_json(b"[18446744073709551615]") == [2**64 - 1]
    assert read_json(b"[18446744073709551616]") == [float(2**64)]
    assert isinstance(read_json(b"[-9223372036854775809]")[0], float)


def test_more_values_than_the_limit_are_refused_before_they_are_parsed() -> None:
    assert len(read_json(b"[" + b"1," * 98 + b"1]", max_elements=100)) == 99
    for body in (b"[" + b"1," * 100 + b"1]", b"[" + b"[]," * 60 + b"1]", b"[" * 101):
        with pytest.raises(RequestTooLarge, match="limit of 100 values"):
            read_json(body, max_elements=100)


NUMBERS = arrays.arrays(
    st.sampled_from(["f8", "f4", "f2", ">f8", "i8", "i4", "u8", "u1", ">i4", "?"]).map(np.dtype),
    arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9),
)


@settings(max_examples=300, deadline=None)
@given(array=NUMBERS, turned=st.booleans())
def test_arrays_are_written_as_their_lists(array: np.ndarray[Any, Any], *, turned: bool) -> None:
    array = array.T if turned else array
    assert write_predictions(array) == orjson.dumps(array.tolist())


MOMENT = pd.Timestamp("2026-01-02T03:04:05")


@pytest.mark.parametrize(
    "answer",
    [
        pd.DataFrame({"a": [1, 2], "b": [0.5, None], "c": ["x", None], "d": [True, False]}),
        pd.DataFrame({"a": np.float32([0.1, 2]), "t": [MOMENT, pd.NaT]}),
        pd.DataFrame({"a": [np.int64(1), b"x"], "b": [[1], {"c": np.float32(0.5)}]}),
        pd.DataFrame({0: [1, 2], 1: [3, 4]}),
        pd.DataFrame({"a": pd.Categorical(["x", "y"]), "b": pd.array([1, None], "Int64")}),
        pd.DataFrame({"a": pd.to_datetime(["2026-01-02"]).tz_localize("UTC")}),
        pd.DataFrame(index=[0, 1]),
        pd.DataFrame({"a": []}),
        pd.Series([1, 2], name="p"),
        pd.Series([0.5, None]),
    ],
)
def test_tables_are_written_as_the_records_that_pandas_makes_of_them(answer: Any) -> None:
    frame = answer.to_frame() if isinstance(answer, pd.Series) else answer
    assert write_predictions(answer) == write_json(frame.to_dict(orient="records"))


def test_columns_of_the_same_name_are_written_as_pandas_does() -> None:
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.warns(UserWarning, match="not unique"):
        assert write_predictions(frame) == b'[{"a":2}]'


@pytest.mark.parametrize(
    ("answer", "written"),
    [
        ([1.5, float("nan")], b"[1.5,null]"),
        (np.full(40, np.nan), b"[" + b"null," * 39 + b"null]"),
        (np.array(["a", None], object), b'["a",null]'),
        (np.array(["a"]), b'["a"]'),
        ({"p": np.float32([0.5]), "q": pd.Series([1], name="r")}, b'{"p":[0.5],"q":[{"r":1}]}'),
        ([np.float32(0.1)], b"[0.10000000149011612]"),
        ([np.datetime64("2026-01-02")], b'["2026-01-02"]'),
        ([MOMENT, pd.NaT], b'["2026-01-02T03:04:05",null]'),
        (pd.DataFrame({"a": pd.array([None], "Int64")}), b'[{"a":null}]'),
        ("text", b'"text"'),
        (None, b"null"),
    ],
)
def test_every_kind_of_answer_has_a_json_form(answer: Any, written: bytes) -> None:
    assert write_predictions(answer) == written


def test_what_has_no_json_form_is_an_error() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_predictions([object()])
