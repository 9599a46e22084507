"""Files that would run code, or lead somewhere else, if a loader believed them."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Call:
    """Pickles as a call of ``function`` with ``arguments``."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self._call


def touch(canary: Path) -> str:
    """Python code that leaves the file ``canary`` behind."""
    return f"open({str(canary)!r}, 'w').close()"


def by_exec(canary: Path, protocol: int = 4) -> bytes:
    return pickle.dumps(Call(exec, touch(canary)), protocol)


def by_system(canary: Path) -> bytes:
    return pickle.dumps(Call(os.system, f"touch '{canary}'"))


def by_nested_pickle(canary: Path) -> bytes:
    return pickle.dumps(Call(pickle.loads, by_exec(canary)))


def by_old_opcodes(canary: Path) -> bytes:
    """INST of protocol 0, and Python 2's name of the module."""
    return b"(V" + touch(canary).encode() + b"\ni__builtin__\nexec\n."


def by_object_opcode(canary: Path) -> bytes:
    """OBJ: the class lies among its arguments."""
    script = f"touch '{canary}'".encode()
    return b"(cos\nsystem\nV" + script + b"\no."


def by_dotted_name(canary: Path) -> bytes:
    """Reaches the builtins of a trusted module through a function's globals."""
    name = b"clone.__globals__.__getitem__"
    # clone.__globals__['__builtins__'] is a dict: its getter is asked in the next step, too late
    # for a reader that only looks at modules.
    return (
        b"\x80\x04\x8c\x0csklearn.base\x8c" + bytes([len(name)]) + name + b"\x93"
        b"\x8c\x0c__builtins__\x85R" + b"0"
        b"\x8c\x08builtins\x8c\x04exec\x93\x8c" + bytes([len(touch(canary))])
        + touch(canary).encode() + b"\x85R."
    )  # fmt: skip


def by_numpy(canary: Path) -> bytes:
    """Through a helper of NumPy's own that runs text."""
    from numpy.testing._private.utils import runstring

    return pickle.dumps(Call(runstring, touch(canary), {}))


def by_import_of_numpy(canary: Path) -> bytes:
    """Through what NumPy restores universal functions with: it imports and gets anything."""
    code = touch(canary)
    return b"cnumpy._core\n_ufunc_reconstruct\n(Vbuiltins\nVexec\ntR(V" + code.encode() + b"\ntR."


def by_value(canary: Path) -> bytes:
    """A function of the author's, as cloudpickle stores them."""
    import cloudpickle

    code = touch(canary)
    namespace: dict[str, Any] = {}
    exec(f"def run(): exec({code!r})", namespace)  # noqa: S102 - makes the hostile function
    return bytes(cloudpickle.dumps(Call(namespace["run"])))


def by_build(canary: Path) -> bytes:
    """BUILD with a state: the call is an attribute of an estimator."""
    from sklearn.linear_model import LinearRegression

    model = LinearRegression()
    model.coef_ = Call(exec, touch(canary))
    return pickle.dumps(model)


def by_extension_of_sklearn(canary: Path) -> bytes:
    """Names that modules of scikit-learn only imported from elsewhere."""
    return b"csklearn.pipeline\nParallel\n)R0" + by_exec(canary, 0)


PICKLES: dict[str, Callable[[Path], bytes]] = {
    "exec": by_exec,
    "exec, text protocol": lambda canary: by_exec(canary, 0),
    "exec, protocol 2": lambda canary: by_exec(canary, 2),
    "exec, newest protocol": lambda canary: by_exec(canary, 5),
    "system": by_system,
    "pickle in a pickle": by_nested_pickle,
    "inst opcode with an old name": by_old_opcodes,
    "obj opcode": by_object_opcode,
    "dotted name": by_dotted_name,
    "helper of NumPy": by_numpy,
    "importer of NumPy": by_import_of_numpy,
    "function by value": by_value,
    "state of an estimator": by_build,
    "name that scikit-learn imported": by_extension_of_sklearn,
}


def zipped(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip file of ``entries``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()


def two_faced(shown: dict[str, bytes], hidden: dict[str, bytes]) -> bytes:
    """A zip file whose directory lists ``shown``, with ``hidden`` in front of it."""
    return zipped(hidden)[: zipped(hidden).index(b"PK\x01\x02")] + zipped(shown)


def renamed_in_front(content: bytes, name: bytes, other: bytes) -> bytes:
    """The first entry called ``other`` in its own header and ``name`` in the directory."""
    assert len(name) == len(other)
    return content.replace(name, other, 1)


def keras(layer: dict[str, Any], **entries: bytes) -> bytes:
    """A ``.keras`` file of a sequential model with one ``layer``."""
    config = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "sequential", "layers": [layer]},
        "registered_name": None,
        "build_config": {"input_shape": [None, 2]},
    }
    return zipped(
        {
            "metadata.json": json.dumps({"keras_version": "3.8.0"}).encode(),
            "config.json": json.dumps(config).encode(),
            "model.weights.h5": b"\x89HDF\r\n\x1a\n",
            **entries,
        }
    )


DENSE = {
    "module": "keras.layers",
    "class_name": "Dense",
    "config": {
        "units": 1,
        "kernel_initializer": {
            "module": "keras.initializers",
            "class_name": "GlorotUniform",
            "config": {"seed": None},
            "registered_name": None,
        },
        "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}},
    },
    "registered_name": None,
}


def field(number: int, content: bytes) -> bytes:
    """A field of a Protocol Buffers message that has a length."""
    length, size = b"", len(content)
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return struct.pack("B", number << 3 & 0x7F | 2 | (0x80 if number > 15 else 0)) + (
        struct.pack("B", number >> 4) if number > 15 else b""
    ) + length + bytes([size]) + content  # fmt: skip


def onnx(*nodes: bytes, location: str | None = None) -> bytes:
    """An ONNX model of ``nodes`` and one initializer, which lies at ``location`` if given."""
    tensor = field(8, b"weights")
    if location is not None:
        entry = field(1, b"location") + field(2, location.encode())
        tensor += field(13, entry)
    graph = b"".join(field(1, node) for node in nodes) + field(5, tensor)
    return b"\x08\x08" + field(7, graph)


def onnx_node(operator: str, subgraph: bytes | None = None) -> bytes:
    """A node; ``subgraph``: the graph of one of its attributes."""
    node = field(1, b"x") + field(2, b"y") + field(4, operator.encode())
    return node if subgraph is None else node + field(5, field(1, b"body") + field(6, subgraph))
