"""Reads objects that typed Go clients send as protobuf (``kubectl create namespace`` does).

Answers are always JSON, which these clients accept too. The wire format is decoded along the
schema; ``x-proto`` there holds the field's number, or two for a field of an embedded message.
"""

from __future__ import annotations

import base64
import functools
import struct
import time
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from serinus.sandbox.apiserver import schema as schemas
from serinus.sandbox.apiserver.errors import bad_request
from serinus.sandbox.apiserver.schema import Schema

MAGIC = b"k8s\x00"
# Zero is a value in these fields; elsewhere Go writes it for "not set".
_ZERO_COUNTS = frozenset({
    "replicas", "minReplicas", "gracePeriodSeconds", "terminationGracePeriodSeconds",
    "backoffLimit", "parallelism", "completions", "revisionHistoryLimit", "optional",
    "automountServiceAccountToken", "controller", "blockOwnerDeletion", "orphanDependents",
})  # fmt: skip

_WireField = tuple[int, "int | bytes"]


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _fields(data: bytes) -> Iterator[_WireField]:
    """Yield (number, value) of a message's fields.

    Raises:
        IndexError: the message is cut short.
    """
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        value: int | bytes
        match tag & 7:
            case 0:
                value, position = _varint(data, position)
            case 1:
                value, position = data[position : position + 8], position + 8
            case 2:
                size, position = _varint(data, position)
                value, position = data[position : position + size], position + size
            case 5:
                value, position = data[position : position + 4], position + 4
            case kind:
                raise bad_request(f"protobuf wire type {kind} is not used by Kubernetes")
        if position > len(data):
            raise IndexError("the message is cut short")
        yield tag >> 3, value


def _message(data: bytes) -> dict[int, Any]:
    return dict(_fields(data))


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _timestamp(data: bytes, *, micro: bool) -> str | None:
    parts = _message(data)
    seconds, nanos = _signed(parts.get(1, 0)), parts.get(2, 0)
    if seconds < 0 or not parts:  # Go's zero time
        return None
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{text}.{nanos // 1000:06}Z" if micro else f"{text}Z"


def _int_or_string(data: bytes) -> int | str:
    parts = _message(data)
    return str(parts.get(3, b""), "utf-8") if parts.get(1) else _signed(parts.get(2, 0))


def _special(kind: str, data: bytes) -> tuple[Any] | None:
    """Return the value of a type with a form of its own, wrapped; None for plain messages."""
    match kind:
        case "Time" | "MicroTime":
            return (_timestamp(data, micro=kind == "MicroTime"),)
        case "Quantity":
            return (str(_message(data).get(1, b""), "utf-8"),)
        case "IntOrString":
            return (_int_or_string(data),)
        case "FieldsV1" | "JSON" | "RawExtension":
            raw = _message(data).get(1, b"")
            return (orjson.loads(raw) if raw else None,)
        case _:
            return None


_by_number_cache: dict[int, tuple[Schema, dict[tuple[int, ...], tuple[str, Schema]]]] = {}


def _by_number(schema: Schema) -> dict[tuple[int, ...], tuple[str, Schema]]:
    cached = _by_number_cache.get(id(schema))
    if cached is None:
        fields = {
            tuple(declared["x-proto"]): (name, declared)
            for name, declared in schema.get("properties", {}).items()
            if "x-proto" in declared
        }
        cached = _by_number_cache[id(schema)] = (schema, fields)  # keeps the id taken
    return cached[1]


def _scalar(value: int | bytes, schema: Schema) -> Any:
    kind = schema.get("type")
    if isinstance(value, int):
        return bool(value) if kind == "boolean" else _signed(value)
    if kind == "number":
        return struct.unpack("<d", value)[0]
    if schema.get("format") == "byte":
        return base64.b64encode(value).decode()
    return value.decode()


def _value(value: int | bytes, declared: Schema) -> Any:
    reference = declared.get("$ref")
    if isinstance(value, bytes) and isinstance(reference, str):
        special = _special(reference.rpartition(".")[2], value)
        if special is not None:
            return special[0]
    schema = schemas.resolve(declared)
    if isinstance(value, bytes) and schema.get("type") == "object":
        return decode(value, schemas.definitions()[reference.rsplit("/", 1)[1]]
                      if isinstance(reference, str) else schema)  # fmt: skip
    return _scalar(value, schema)


def _is_unset(name: str, value: Any) -> bool:
    if value is None or value == "":
        return True
    return value in (0, False) and not isinstance(value, str) and name not in _ZERO_COUNTS


def _put(result: dict[str, Any], name: str, declared: Schema, value: int | bytes) -> None:
    schema = schemas.resolve(declared)
    additional = schema.get("additionalProperties")
    if schema.get("type") == "array":
        result.setdefault(name, []).append(_value(value, schema["items"]))
    elif isinstance(additional, Mapping) and isinstance(value, bytes):
        entry = _message(value)
        key = entry.get(1, b"").decode()
        result.setdefault(name, {})[key] = _value(entry.get(2, b""), additional)
    else:
        plain = _value(value, declared)
        if not _is_unset(name, plain):
            result[name] = plain


def decode(data: bytes, schema: Schema, prefix: tuple[int, ...] = ()) -> dict[str, Any]:
    """Return a message as JSON data."""
    fields = _by_number(schema)
    result: dict[str, Any] = {}
    for number, value in _fields(data):
        path = (*prefix, number)
        if path in fields:
            _put(result, *fields[path], value)
        elif isinstance(value, bytes) and any(known[: len(path)] == path for known in fields):
            result.update(decode(value, schema, path))
    return result


@functools.cache
def _kinds() -> dict[tuple[str, str], str]:
    found = {}
    for name, schema in schemas.definitions().items():
        for gvk in schema.get("x-kubernetes-group-version-kind") or ():
            version = f"{gvk['group']}/{gvk['version']}" if gvk["group"] else gvk["version"]
            found[version, gvk["kind"]] = name
    return found


def decode_object(body: bytes) -> dict[str, Any]:
    """Return the object in a request's body (envelope ``runtime.Unknown``).

    Raises:
        ApiError: 400 for anything else, or for a kind without a schema here.
    """
    if not body.startswith(MAGIC):
        raise bad_request("the body of the request is not Kubernetes protobuf")
    try:
        envelope = _message(body[len(MAGIC) :])
        meta = _message(envelope.get(1, b""))
        version, kind = (str(meta.get(number, b""), "utf-8") for number in (1, 2))
        name = _kinds().get((version, kind))
        if name is None:
            raise bad_request(f"no protobuf schema of {kind} in {version}")
        decoded = decode(envelope.get(2, b""), schemas.definitions()[name])
    except (IndexError, UnicodeDecodeError, struct.error) as error:
        raise bad_request(f"the protobuf message cannot be decoded: {error}") from None
    return {"apiVersion": version, "kind": kind, **decoded}
