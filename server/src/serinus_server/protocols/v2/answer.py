"""A REST answer: JSON, and behind it the tensors that were asked for in binary."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from serinus_server.protocols.codec import Answer
from serinus_server.protocols.json import write_json
from serinus_server.protocols.v2.datatypes import BYTES, DATATYPES
from serinus_server.protocols.v2.model import Form
from serinus_server.protocols.v2.request import Wishes
from serinus_server.protocols.v2.tensors import to_raw

_FEW = 16  # values, for which a list is quicker than orjson's own way into numpy
_FLOAT64 = np.dtype(np.float64)


class AnswerWriter:
    """Writes the answers of one model; what all of them have in common is made once."""

    def __init__(self, form: Form) -> None:
        self._form = form
        identity = form.model.identity
        who = {"model_name": identity.model}
        if identity.version:
            who["model_version"] = identity.version
        self._head = orjson.dumps(who)[:-1]
        # For the one output of an array, up to its shape.
        self._single = {
            dtype: b'%s,"outputs":[%s' % (self._head, _tensor_head(form.output, datatype))
            for dtype, datatype in DATATYPES.items()
        }

    def write(self, wishes: Wishes, values: Any) -> Answer:
        """The answer with ``values``, the model's own answer.

        Raises:
            InvalidInput: an output is wanted that the answer does not have.
        """
        if type(values) is np.ndarray and wishes.outputs is None and not wishes.binary:
            head = self._single.get(values.dtype)
            shape = values.shape
            if head is not None and shape:
                return Answer(
                    b'%s%s,"data":%s}]%s}'
                    % (
                        head,
                        b"[%d]" % shape if len(shape) == 1 else orjson.dumps(shape),
                        _numbers(values),
                        b"" if wishes.id is None else b',"id":' + orjson.dumps(wishes.id),
                    )
                )
        return self._write_any(wishes, values)

    def _write_any(self, wishes: Wishes, values: Any) -> Answer:
        outputs = wishes.outputs
        names = None if outputs is None else [output.name for output in outputs]
        binary = {output.name: output.binary for output in outputs or ()}
        written: list[bytes] = []
        attached: list[bytes] = []
        for name, datatype, array in self._form.tensors(values, names):
            wish = binary.get(name)
            head = _tensor_head(name, datatype) + orjson.dumps(array.shape)
            if wishes.binary if wish is None else wish:
                raw = to_raw(array)
                attached.append(raw)
                written.append(b'%s,"parameters":{"binary_data_size":%d}}' % (head, len(raw)))
            else:
                data = _json_values(array) if datatype == BYTES else _numbers(array)
                written.append(b'%s,"data":%s}' % (head, data))
        document = b'%s,"outputs":[%s]%s}' % (
            self._head,
            b",".join(written),
            b"" if wishes.id is None else b',"id":' + orjson.dumps(wishes.id),
        )
        if not attached:
            return Answer(document)
        return Answer(
            b"".join((document, *attached)),
            (
                (b"content-type", b"application/octet-stream"),
                (b"inference-header-content-length", b"%d" % len(document)),
            ),
        )


def _tensor_head(name: str, datatype: str) -> bytes:
    return b'{"name":%s,"datatype":"%s","shape":' % (orjson.dumps(name), datatype.encode())


def _numbers(array: npt.NDArray[Any]) -> bytes:
    """Row-major values as ``tolist`` gives them: every number with the digits of a double."""
    if array.size <= _FEW:
        return orjson.dumps(array.ravel().tolist())
    if array.dtype.kind == "f" and array.dtype.itemsize < _FLOAT64.itemsize:
        array = array.astype(_FLOAT64)
    return orjson.dumps(np.ascontiguousarray(array.ravel()), option=orjson.OPT_SERIALIZE_NUMPY)


def _json_values(array: npt.NDArray[Any]) -> bytes:
    return write_json(array.ravel().tolist())
