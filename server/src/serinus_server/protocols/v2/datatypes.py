"""The protocol's datatypes and shapes, in numpy's terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from serinus_server.errors import InvalidInput, MalformedRequest

BYTES = "BYTES"  # elements of any length: strings, mostly

DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"UINT{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
}
DATATYPES = {dtype: name for name, dtype in DTYPES.items()}

MAX_DIMENSIONS = 32  # numpy has 64; no model has more than a handful


def check_datatype(datatype: object, name: str) -> str:
    """``datatype`` of the input ``name``.

    Raises:
        MalformedRequest: the protocol has no such datatype.
    """
    if not isinstance(datatype, str) or (datatype != BYTES and datatype not in DTYPES):
        raise MalformedRequest(
            f"input {name!r}: datatype must be BYTES or one of {', '.join(DTYPES)}"
        )
    return datatype


def elements_of(shape: object, name: str) -> int:
    """How many values a tensor of ``shape`` has; at least 1.

    Raises:
        MalformedRequest: it is no list of non-negative integers.
        InvalidInput: it has no values, or too many dimensions.
    """
    expected = 1
    if type(shape) is not list:
        raise _no_shape(name)
    if len(shape) > MAX_DIMENSIONS:
        raise InvalidInput(
            f"has {len(shape)} dimensions; {MAX_DIMENSIONS} are the most", field=name
        )
    for length in shape:
        if type(length) is not int or length < 0:
            raise _no_shape(name)
        expected *= length
    if expected == 0:
        # Were it let through, a shape of [1000000000, 0] would be a billion rows of nothing.
        raise InvalidInput(f"has no values, by its shape {list(shape)}", field=name)
    return expected


def _no_shape(name: str) -> MalformedRequest:
    return MalformedRequest(f"input {name!r}: shape must be an array of non-negative integers")
