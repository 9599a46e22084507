"""Look into ONNX files for what leads out of them: other files, and code of execution providers.

ONNX is Protocol Buffers. Only the fields on the way to a tensor's or an operator's name are read,
without the ``onnx`` package, which a server that runs models has no other use for. Field numbers
are those of ``onnx.proto``.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from serinus_server.artifacts.names import shown
from serinus_server.contract import ENV_ALLOW_CUSTOM_CODE
from serinus_server.errors import NotAdmitted

_MAX_NESTING = 32
_MAX_MESSAGES = 5_000_000
# Message -> field -> message that the field holds. "text" is a string that is looked at.
_FIELDS: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Graph": {1: "Node", 5: "Tensor", 15: "Sparse"},
    "Function": {7: "Node", 11: "Attribute"},
    "Node": {4: "operator", 5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "Sparse", 23: "Sparse"},
    "Sparse": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "External"},
    "External": {1: "key", 2: "value"},
}
# Holds a compiled program, or the path of one, that a hardware vendor's library loads.
_CODE_OPERATORS = frozenset({"EPContext", "PyOp"})


def check_onnx(path: Path) -> None:
    """Refuse the ONNX file ``path`` if it names code, or tensors outside of its own folder.

    Raises:
        NotAdmitted: it does, or it is no ONNX file.
    """
    if not path.stat().st_size:
        raise NotAdmitted(f"{shown(path.name)} is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            _Walk(content, path).visit("Model", 0, len(content), 0)
        except (IndexError, ValueError, UnicodeDecodeError):
            raise NotAdmitted(f"{shown(path.name)} is no ONNX file, or a broken one") from None


class _Walk:
    def __init__(self, content: mmap.mmap, path: Path) -> None:
        self._content = content
        self._path = path
        self._left = _MAX_MESSAGES

    def visit(self, message: str, start: int, end: int, depth: int) -> None:
        """Read the message in the bytes from ``start`` to ``end``."""
        self._left -= 1
        if depth > _MAX_NESTING or self._left < 0:
            raise NotAdmitted(f"{shown(self._path.name)} has too many parts or levels")
        texts = {"key": "", "value": ""}
        for field, first, last in self._fields(start, end):
            kind = _FIELDS[message].get(field)
            if kind == "operator":
                self._check_operator(self._text(first, last))
            elif kind in texts:
                texts[kind] = self._text(first, last)
            elif kind is not None:
                self.visit(kind, first, last, depth + 1)
        if message == "External" and texts["key"] == "location":
            self._check_location(texts["value"])

    def _fields(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Number, start and end of every field that has a length."""
        at = start
        while at < end:
            tag, at = self._number(at, end)
            field, wire = tag >> 3, tag & 7
            if wire == 0:
                _, at = self._number(at, end)
            elif wire == 1:
                at += 8
            elif wire == 5:
                at += 4
            elif wire == 2:
                length, at = self._number(at, end)
                yield field, at, at + length
                at += length
            else:
                raise ValueError("groups are not in ONNX")
            if at > end or field == 0:
                raise ValueError("a field ends outside of its message")

    def _number(self, at: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            if at >= end:
                raise ValueError("a number ends outside of its message")
            byte = self._content[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, at
        raise ValueError("too long a number")

    def _text(self, start: int, end: int) -> str:
        return self._content[start:end].decode("utf-8")

    def _check_operator(self, name: str) -> None:
        if name in _CODE_OPERATORS:
            raise NotAdmitted(
                f"{shown(self._path.name)} has the operator {shown(name)}, which is code of its "
                f"own; {ENV_ALLOW_CUSTOM_CODE}=true allows it"
            )

    def _check_location(self, name: str) -> None:
        path = PurePosixPath(name.replace("\\", "/"))
        if not name or path.is_absolute() or ".." in path.parts or "\0" in name:
            raise NotAdmitted(
                f"{shown(self._path.name)} keeps tensors in {shown(name)}, which is outside of "
                "the model's folder"
            )
