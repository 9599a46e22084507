"""Text cells become the values that the signature wants, or say why not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from serinus_server.batch.readers.cells import convert, guess_type


def converted(kind: str, *cells: str | None) -> tuple[list[Any], dict[int, str]]:
    bad: dict[int, str] = {}
    values = convert(pa.chunked_array([pa.array(cells, pa.string())]), kind, "x", bad)
    return (values.tolist() if isinstance(values, np.ndarray) else values), bad


@pytest.mark.parametrize("text", ["0.1", "-0", "1e308", "5e-324", "2.2250738585072011e-308"])
def test_doubles_are_read_to_the_last_bit(text: str) -> None:
    ((value,), bad) = converted("double", text)
    assert (value.hex(), bad) == (float(text).hex(), {})


def test_no_double_is_a_missing_number() -> None:
    (values, bad) = converted("double", "1", None)
    assert values[0] == 1
    assert math.isnan(values[1])
    assert bad == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), (" 7 ", 7), ("+7", 7), ("-7.0", -7), ("7.", 7), ("9007199254740993", 2**53 + 1)],
)
def test_whole_numbers_may_be_written_in_several_ways(text: str, value: int) -> None:
    assert converted("long", text, "1") == ([value, 1], {})


@pytest.mark.parametrize("text", ["7.5", "0x10", "seven", "9223372036854775808", "1e3", "--1"])
def test_what_is_no_whole_number_says_so(text: str) -> None:
    values, bad = converted("long", "1", text, "3")
    assert (values[0], values[2]) == (1, 3)
    assert bad == {1: f"input 'x': {text!r} is no long, which the signature wants"}


def test_an_empty_whole_number_is_refused() -> None:
    assert converted("integer", None)[1] == {
        0: "input 'x': is empty, but the signature wants integer"
    }


def test_strings_stay_what_they_are() -> None:
    assert converted("string", "007", "", None, "NA", " 1") == (["007", "", None, "NA", " 1"], {})


def test_booleans_and_their_absence() -> None:
    assert converted("boolean", "true", "False", "1") == ([True, False, True], {})
    assert converted("boolean", "true", None) == ([True, None], {})
    assert converted("boolean", "yes")[1] == {
        0: "input 'x': 'yes' is no boolean, which the signature wants"
    }


def test_nested_cells_are_json() -> None:
    values, bad = converted("any", "[1, 2]", None, "{")
    assert values == [[1, 2], None, None]
    assert bad == {2: "input 'x': '{' is no JSON"}


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2.5", None], "double"),
        (["true", "False"], "boolean"),
        (["1", "one"], "string"),
        (["2026-01-01"], "string"),
    ],
)
def test_types_that_nobody_says_are_guessed(cells: list[str | None], kind: str) -> None:
    assert guess_type(pa.chunked_array([pa.array(cells, pa.string())])) == kind


def test_a_reason_repeats_no_long_text() -> None:
    assert len(converted("double", "x" * 1000)[1][0]) < 150
