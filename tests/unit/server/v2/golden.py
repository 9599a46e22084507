"""Tensors of every datatype with the bytes that the protocol writes them in, made without its code."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from serinus_server.runtimes.base import Signature
from serinus_server.service.model import Identity, ServedModel


@dataclass(frozen=True, slots=True)
class Golden:
    """A tensor: ``values`` as JSON has them, flat, and ``raw`` little-endian bytes."""

    datatype: str
    shape: tuple[int, ...]
    values: list[Any]
    raw: bytes

    @property
    def array(self) -> npt.NDArray[Any]:
        """What a model must get."""
        dtype: Any = object if self.datatype == "BYTES" else NUMPY[self.datatype]
        flat = np.empty(len(self.values), dtype)
        flat[:] = self.values
        return flat.reshape(self.shape)


NUMPY = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "u2", "UINT32": "u4", "UINT64": "u8", "INT8": "i1",
    "INT16": "i2", "INT32": "i4", "INT64": "i8", "FP16": "f2", "FP32": "f4", "FP64": "f8",
}  # fmt: skip
_STRUCT = {
    "BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "INT8": "b",
    "INT16": "h", "INT32": "i", "INT64": "q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip


def _numbers(datatype: str, shape: tuple[int, ...], values: list[Any]) -> Golden:
    return Golden(
        datatype, shape, values, struct.pack(f"<{len(values)}{_STRUCT[datatype]}", *values)
    )


def _bytes(shape: tuple[int, ...], values: list[str]) -> Golden:
    raw = b"".join(struct.pack("<I", len(v.encode())) + v.encode() for v in values)
    return Golden("BYTES", shape, values, raw)


def _limits(bits: int, *, signed: bool) -> list[int]:
    return [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1]


GOLDEN = [
    _numbers("BOOL", (2, 2), [True, False, False, True]),
    *(_numbers(f"UINT{bits}", (2,), _limits(bits, signed=False)) for bits in (8, 16, 32, 64)),
    *(_numbers(f"INT{bits}", (2, 1), _limits(bits, signed=True)) for bits in (8, 16, 32, 64)),
    _numbers("FP16", (2, 1, 2), [0.5, -65504.0, 2.0**-24, 0.0999755859375]),
    _numbers("FP32", (2,), [0.10000000149011612, -3.4028234663852886e38]),
    _numbers("FP64", (2, 2), [0.1, 1.7976931348623157e308, 5e-324, -0.0]),
    _numbers("FP64", (1, 40), [number / 7 for number in range(40)]),
    _bytes((2, 2), ["", "Tromsø", "a\x00b", "\U0001f426" * 70]),
]
IDS = [f"{golden.datatype}{list(golden.shape)}" for golden in GOLDEN]


class Echo:
    """A model that answers its input, and keeps it."""

    flavor = "echo"
    row_wise = False
    quick_rows = 0
    predict_parts = None

    def __init__(self, signature: Signature | None = None, answer: Any = None) -> None:
        self.signature = signature or Signature()
        self.got: Any = None
        self._answer = answer

    def predict(self, model_input: Any, params: Mapping[str, Any] | None) -> Any:
        self.got = model_input
        self.params = params
        return model_input if self._answer is None else self._answer


def served(runtime: Echo) -> ServedModel:
    return ServedModel(runtime, Identity("churn", "3", "abc"), lambda _: None)


def same(got: Any, want: npt.NDArray[Any]) -> None:
    """Equal to the last bit, and safe to be worked on in place."""
    assert isinstance(got, np.ndarray)
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    assert got.tolist() == want.tolist()
    assert got.dtype.kind == "O" or got.tobytes() == want.tobytes()
    assert got.flags.writeable
    assert got.flags.aligned
