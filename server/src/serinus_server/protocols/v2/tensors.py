"""Tensors as raw bytes: the binary extension of REST, and the raw contents of gRPC.

Numbers are little-endian and row-major, BOOL has one byte for each value, and every element of a
BYTES tensor follows its length in four bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from serinus_server.errors import InvalidInput
from serinus_server.protocols.v2.datatypes import BYTES, DATATYPES, DTYPES

_LENGTH = struct.Struct("<I")


def from_raw(
    raw: bytes,
    offset: int,
    size: int,
    datatype: str,
    shape: Sequence[int],
    name: str,
    *,
    text: bool,
) -> npt.NDArray[Any]:
    """The tensor in ``size`` bytes of ``raw`` from ``offset`` on, as an array of ``shape``.

    ``text``: BYTES are UTF-8 and become strings. Numbers are copied out of the request, at about
    30 us for each MiB: a view would be read-only and unaligned, and a model that works on its
    input in place would fail on it where it answers the same values sent as JSON.

    ``shape`` is checked already, ``size`` is within ``raw``.

    Raises:
        InvalidInput: the size is not the one that shape and datatype mean.
    """
    count = 1
    for length in shape:
        count *= length
    if datatype == BYTES:
        return _objects(_split(raw, offset, size, count, name), text, name).reshape(shape)
    dtype = DTYPES[datatype]
    if size != count * dtype.itemsize:
        raise InvalidInput(
            f"has {size} bytes, but {datatype} of shape {list(shape)} means "
            f"{count * dtype.itemsize}",
            field=name,
        )
    found: npt.NDArray[Any]
    if dtype.kind == "b":  # any byte but 0 is true, and numpy wants exactly 1
        found = np.frombuffer(raw, np.uint8, count, offset) != 0
    else:
        found = np.frombuffer(raw, dtype, count, offset).copy()
    return found.reshape(shape)


def from_elements(
    elements: Sequence[bytes], shape: Sequence[int], name: str, *, text: bool
) -> npt.NDArray[Any]:
    """A BYTES tensor of ``elements``, which are as many as ``shape`` means.

    Raises:
        InvalidInput: an element is no UTF-8, and ``text`` wants it to be.
    """
    return _objects(elements, text, name).reshape(shape)


def to_raw(array: npt.NDArray[Any]) -> bytes:
    """``array`` as raw bytes; arrays of objects must hold strings or bytes."""
    if array.dtype.kind != "O":
        return array.tobytes()
    parts: list[bytes] = []
    for element in to_elements(array):
        parts += (_LENGTH.pack(len(element)), element)
    return b"".join(parts)


def to_elements(array: npt.NDArray[Any]) -> Iterable[bytes]:
    """The elements of a BYTES tensor, row-major."""
    for value in array.ravel():
        yield value.encode() if isinstance(value, str) else value


def writable(values: Any) -> tuple[str, npt.NDArray[Any]]:
    """A model's answer as a tensor: its datatype, and an array of that or of strings and bytes."""
    array = np.asarray(values)
    if array.ndim == 0:
        array = array.reshape(1)
    datatype = DATATYPES.get(array.dtype)
    if datatype is not None:
        return datatype, array
    native = array.dtype.newbyteorder("=")
    if native in DATATYPES:
        return DATATYPES[native], array.astype(native)
    if array.dtype.kind == "M":
        array = np.datetime_as_string(array)
    strings = np.empty(array.size, dtype=object)
    strings[:] = [
        value if isinstance(value, (str, bytes)) else str(value) for value in array.ravel().tolist()
    ]
    return BYTES, strings.reshape(array.shape)


def _split(raw: bytes, offset: int, size: int, count: int, name: str) -> list[bytes]:
    """``count`` elements with their lengths before them."""
    end = offset + size
    if count * _LENGTH.size > size:
        raise InvalidInput(
            f"has {size} bytes, which cannot hold the lengths of {count} elements", field=name
        )
    elements = []
    for number in range(count):
        start = offset + _LENGTH.size
        if start > end:
            raise InvalidInput(f"ends within the length of element {number}", field=name)
        (length,) = _LENGTH.unpack_from(raw, offset)
        offset = start + length
        if offset > end:
            raise InvalidInput(
                f"element {number} has {length} bytes by its length, but {end - start} are left",
                field=name,
            )
        elements.append(raw[start:offset])
    if offset != end:
        raise InvalidInput(f"has {end - offset} bytes after its {count} elements", field=name)
    return elements


def _objects(elements: Sequence[bytes], text: bool, name: str) -> npt.NDArray[Any]:
    objects = np.empty(len(elements), dtype=object)
    if not text:
        objects[:] = elements
        return objects
    try:
        objects[:] = [element.decode() for element in elements]
    except UnicodeDecodeError:
        row = next(row for row, element in enumerate(elements) if not _is_utf8(element))
        raise InvalidInput("is no UTF-8", field=name, row=row) from None
    return objects


def _is_utf8(element: bytes) -> bool:
    try:
        element.decode()
    except UnicodeDecodeError:
        return False
    return True
