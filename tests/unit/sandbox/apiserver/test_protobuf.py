from __future__ import annotations

import pytest

from serinus.sandbox.apiserver.errors import ApiError
from serinus.sandbox.apiserver.protobuf import MAGIC, decode_object


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def piece(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def envelope(version: str, kind: str, raw: bytes) -> bytes:
    meta = piece(1, version.encode()) + piece(2, kind.encode())
    return MAGIC + piece(1, meta) + piece(2, raw)


def test_an_object_is_read_with_maps_numbers_bytes_and_embedded_messages() -> None:
    metadata = piece(1, b"one") + piece(3, b"ns") + piece(7, 0)
    metadata += piece(11, piece(1, b"app") + piece(2, b"web"))
    port = piece(2, 8080)
    get = piece(1, b"/ready") + piece(2, piece(1, 0) + port)
    probe = piece(1, piece(2, get)) + piece(2, 3)
    container = piece(1, b"c") + piece(2, b"image") + piece(11, probe)
    container += piece(7, piece(1, b"A") + piece(2, b"1")) + piece(3, b"run") + piece(3, b"fast")
    spec = piece(2, container) + piece(4, 0)
    assert decode_object(envelope("v1", "Pod", piece(1, metadata) + piece(2, spec))) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "one", "namespace": "ns", "labels": {"app": "web"}},
        "spec": {
            "containers": [
                {
                    "name": "c",
                    "image": "image",
                    "command": ["run", "fast"],
                    "env": [{"name": "A", "value": "1"}],
                    "readinessProbe": {
                        "initialDelaySeconds": 3,
                        "httpGet": {"path": "/ready", "port": 8080},
                    },
                }
            ],
            "terminationGracePeriodSeconds": 0,
        },
    }


def test_bytes_become_base64_and_times_text() -> None:
    created = piece(8, piece(1, 1577836800))
    data = piece(2, piece(1, b"k") + piece(2, b"\x00\xff"))
    found = decode_object(envelope("v1", "Secret", piece(1, created) + data))
    assert found["data"] == {"k": "AP8="}
    assert found["metadata"] == {"creationTimestamp": "2020-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        envelope("v1", "Nothing", b""),
        envelope("v1", "Pod", b"\x0a\xff\x01x"),
        MAGIC + b"\x0a",
    ],
)
def test_what_cannot_be_read_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        decode_object(body)
    assert refused.value.code == 400
