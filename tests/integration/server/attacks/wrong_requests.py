"""Requests that are wrong in themselves, each with the answer that it must get."""

from __future__ import annotations

import asyncio
import gzip
import json
from functools import cache

import grpc

from serinus_server.protocols.grpc import open_inference_pb2 as messages

from .wire import INVOCATIONS, PREDICT, V2, Said, Target, ask, chunked, connect, head, say

PATHS = (INVOCATIONS, PREDICT, V2)
_METHOD = "/inference.GRPCInferenceService/ModelInfer"
_LARGE = 57 * 2**20  # bytes
_DEEP = 100_000
_MIB = 2**20


def expect(said: Said, status: int, text: str) -> None:
    """What was said is ``status``, with ``text`` in the body's message."""
    assert said.status == status, said
    assert text in said.text, said


async def large_bodies(target: Target) -> None:
    """57 MB of JSON: announced, and in chunks without an end in sight."""
    piece = b"[1.5,2]," * (_MIB // 8)
    pieces = [piece] * (_LARGE // _MIB)
    wanted = f"larger than the limit of {target.max_bytes} bytes"
    for path in PATHS:
        announced = head(path, length=_LARGE)
        expect(await say(target, announced, *pieces), 413, wanted)
        begun = head(path, "transfer-encoding: chunked")
        expect(await say(target, begun, *chunked(pieces)), 413, wanted)


async def deep_nesting(target: Target) -> None:
    """Lists and objects in each other, 100,000 deep, with and without their ends."""
    bodies = (
        b"[" * _DEEP, b"[" * _DEEP + b"]" * _DEEP, b'{"a":' * _DEEP + b"1" + b"}" * _DEEP,
        b'[{"a":' * (_DEEP // 2),
    )  # fmt: skip
    for path in PATHS:
        for body in bodies:
            expect(await ask(target, path, body), 400, "depth limit exceeded")
        # Deep for us, though not for the parser.
        expect(await ask(target, path, b"[" * 500 + b"]" * 500), 400, "deeper than 32 levels")


_SHAPES: tuple[tuple[str, int, str], ...] = (
    ("[1000000000, 1000000000]", 422, "means "),
    ("[4611686018427387904, 4]", 422, "means "),  # 0, in 64 bits
    ("[9223372036854775808, 2]", 422, "means "),
    ("[18446744073709551616, 1]", 400, "non-negative integers"),
    (f"[{'9' * 400}]", 400, "no valid JSON"),
    (f"[{','.join('1' * 100)}]", 422, "32 are the most"),
    ("[0, 1000000000000]", 422, "has no values"),
    ("[-1, -2]", 400, "non-negative integers"),
    ("[1e300]", 400, "non-negative integers"),
    ('"1"', 400, "non-negative integers"),
)


async def huge_shapes(target: Target) -> None:
    """Shapes whose product is huge, beyond 64 bits or no number, in all three forms of V2."""
    for shape, status, text in _SHAPES:
        tensor = f'{{"inputs": [{{"name": "x", "datatype": "FP64", "shape": {shape}, '
        plain = f'{tensor}"data": [0.0, 1.0]}}]}}'.encode()
        expect(await ask(target, V2, plain), status, text)
        binary = f'{tensor}"parameters": {{"binary_data_size": 16}}}}]}}'.encode()
        length = f"inference-header-content-length: {len(binary)}"
        expect(await ask(target, V2, binary + bytes(16), length), status, text)
    await asyncio.to_thread(_grpc_shapes, target)


def _grpc_shapes(target: Target) -> None:
    with _channel(target) as channel:
        for shape in ([10**9, 10**9], [2**62, 4], [2**63 - 1] * 8, [-1, -2], [0, 2**62], [1] * 100):
            for raw in (True, False):
                message = messages.ModelInferRequest(model_name="churn")
                tensor = message.inputs.add(name="x", datatype="FP64", shape=shape)
                if raw:
                    message.raw_input_contents.append(bytes(16))
                else:
                    tensor.contents.fp64_contents.extend([0.0, 1.0])
                code, details = _call(channel, message.SerializeToString())
                assert (code, "'x'" in details) == (grpc.StatusCode.INVALID_ARGUMENT, True), details


_NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 400)
_FORMS = {
    INVOCATIONS: '{{"inputs": [[0.0, {}]]}}',
    PREDICT: "[[0.0, {}]]",
    V2: '{{"inputs": [{{"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [0.0, {}]}}]}}',
}


async def no_json(target: Target) -> None:
    """Bytes that are no UTF-8, numbers that JSON lacks, keys named twice, and half of a document."""
    bodies = [(b"\xff\xfe\x00", "no valid JSON"), (b'{"inputs": "\xc3\x28"}', "UTF-8")]
    bodies += [(b'"\\ud800"', "no valid JSON"), (b"", "no valid JSON"), (b"{", "no valid JSON")]
    bodies += [(b'{"inputs": 1, "inputs": 1}', "twice"), (b'[{"a": 1, "\\u0061": 2}]', "twice")]
    many = b", ".join(b'"k%d": [{}]' % (n // 2) for n in range(20_000))
    bodies += [(b"{" + many + b"}", "twice")]
    for path in PATHS:
        for number in _NUMBERS:
            wrong = _FORMS[path].format(number).encode()
            expect(await ask(target, path, wrong), 400, "no valid JSON")
        for body, text in bodies:
            expect(await ask(target, path, body), 400, text)


async def wrong_content_types(target: Target) -> None:
    """Bodies of other types. Where only JSON is spoken it is taken for JSON, whatever it is called."""
    for media in ("application/xml", "multipart/form-data; boundary=x", "application/x-pickle"):
        for path in PATHS:
            status = 415 if path == INVOCATIONS else 400
            text = "is not supported" if path == INVOCATIONS else "no valid JSON"
            said = await ask(target, path, b"<a>\x80\x04.</a>", media=media)
            expect(said, status, text)
    expect(await ask(target, INVOCATIONS, b"[]", media="application/json; charset=utf-16"),
           415, "send UTF-8")  # fmt: skip
    expect(await ask(target, INVOCATIONS, b"\xff\x00,\n1", media="text/csv"), 400, "no valid CSV")


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(256 * _MIB), compresslevel=1)[:_MIB]


async def compressed_bombs(target: Target) -> None:
    """A megabyte that would be 256 of them."""
    bomb = await asyncio.to_thread(_bomb)
    for path in PATHS:
        for name in ("gzip", "deflate", "br", "gzip, identity"):
            said = await ask(target, path, bomb, f"content-encoding: {name}")
            expect(said, 415, "compressed request bodies are not supported")
    await asyncio.to_thread(_grpc_bombs, target)


def _grpc_bombs(target: Target) -> None:
    for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        with _channel(target, compression) as channel:
            message = messages.ModelInferRequest(model_name="churn")
            message.raw_input_contents.append(bytes(64 * _MIB))
            code, details = _call(channel, message.SerializeToString())
            assert code == grpc.StatusCode.UNIMPLEMENTED, (code, details)


async def large_messages(target: Target) -> None:
    """57 MB over gRPC, and messages that are none."""
    await asyncio.to_thread(_grpc_large, target)


def _grpc_large(target: Target) -> None:
    with _channel(target) as channel:
        code, _ = _call(channel, bytes(_LARGE))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        for garbage in (b"\xff" * 1000, b"\x0a" * 1001, b"\x2a" * 100_000):
            code, details = _call(channel, garbage)
            assert code == grpc.StatusCode.INVALID_ARGUMENT, (code, details)


def _channel(
    target: Target, compression: grpc.Compression = grpc.Compression.NoCompression
) -> grpc.Channel:
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    return grpc.insecure_channel(
        f"127.0.0.1:{target.grpc_port}", options=options, compression=compression
    )


def _call(channel: grpc.Channel, message: bytes) -> tuple[grpc.StatusCode, str]:
    try:
        channel.unary_unary(_METHOD)(message, timeout=30)
    except grpc.RpcError as error:
        return error.code(), error.details() or ""
    raise AssertionError("it was answered")


_LENGTHS = ("-1", "+5", "0x10", "1e3", "5, 6", "", "99999999999999999999", "18446744073709551621")


async def wrong_lengths(target: Target) -> None:
    """Lengths that are negative, no numbers, or overflow 64 bits to 5."""
    for path in PATHS:
        for length in _LENGTHS:
            said = await say(target, head(path, f"content-length: {length}"), b"[[1]]")
            expect(said, 400, "Invalid HTTP request")
        announced = head(path, "content-length: 9223372036854775807")
        expect(await say(target, announced), 413, "larger than the limit")


async def endless_heads(target: Target) -> None:
    """One header, many headers and an address without end."""
    wanted = (400, "The request's head is too large.")
    many = [
        b"".join(b"x-%d: y\r\n" % n for n in range(k, k + 1000)) for k in range(0, 40_000, 1000)
    ]
    for path in PATHS:
        line = f"POST {path} HTTP/1.1\r\n".encode()
        expect(await say(target, line + b"x: ", *[b"a" * 65536] * 16), *wanted)
        expect(await say(target, line, *many), *wanted)
        expect(await say(target, f"POST {path}?".encode(), *[b"a" * 65536] * 16), *wanted)


async def pipelined_garbage(target: Target) -> None:
    """Right requests, and then anything else on the same connection."""
    body = json.dumps({"inputs": [[0.0, 3.0]]}).encode()
    request = head(INVOCATIONS, length=len(body)) + body
    for garbage in (b"\x00" * 5000, b"\x16\x03\x01\x02\x00\x01\x00" * 100, b"GET\r\n\r\n" * 100,
                    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\xff" * 70_000):  # fmt: skip
        async with connect(target) as connection:
            await connection.send(request * 50 + garbage)
            for _ in range(50):
                said = await connection.answer()
                expect(said, 200, "6.0")
            expect(await connection.answer(), 400, "Invalid HTTP request")
            assert await connection.ended()


async def costly_bodies(target: Target) -> None:
    """Bodies within the limit that cost the most: a megabyte of rows, of lists, of keys and of text.

    Eight clients at once send them. What is right in form is answered, or refused for its shape, or
    times out; and what is not, is refused.
    """
    most = target.max_bytes - 1000
    rows = b'{"inputs": [' + b"[1.5,2]," * (most // 8) + b"[1.5,2]]}"
    records = b"[" + b'{"a":1,"b":2},' * (most // 14) + b'{"a":1}]'
    lists = b"[" + b"[]," * (most // 3) + b"[]]"
    keys = b"[{" + b",".join(b'"%06d":0' % n for n in range(most // 11)) + b"}]"
    text = b'["' + b"\\u003a" * (most // 6) + b'"]'

    async def client(path: str) -> None:
        for body in (rows, records, lists, keys, text):
            said = await ask(target, path, body)
            assert said.status in (200, 400, 413, 422, 504), said

    async with asyncio.TaskGroup() as clients:
        for number in range(8):
            clients.create_task(client(PATHS[number % 2]))
