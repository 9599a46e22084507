"""The access log of a real server: what is in it, what is not, and that nobody waits for it."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from typing import Any

import grpc
import httpx2
import pytest

from serinus_server import contract
from serinus_server.protocols.grpc import open_inference_pb2 as messages

QUICK = {"inputs": [[0.0, 3.0]]}
TRACE = "0af7651916cd43dd8448eb211c80319c"
_GET_PIPE_SIZE = 1032  # F_GETPIPE_SZ of Linux


def lines(server: Any, event: str = "request") -> list[dict[str, Any]]:
    return [entry for entry in map(json.loads, server.log) if entry["event"] == event]


def ended(server: Any) -> list[dict[str, Any]]:
    """The access log of a server that is told to stop now."""
    server.terminate()
    assert server.wait() == 0
    return lines(server)


def test_a_request_has_a_line_with_its_outcome_and_ids_and_never_its_body(start: Any) -> None:
    server = start(SERINUS_ACCESS_LOG_SAMPLE="1", SERINUS_DRAIN_SECONDS="0")
    server.until_ready()
    with httpx2.Client(base_url=server.url) as client:
        answered = client.post(
            "/invocations",
            json={"inputs": [[0.0, 31337.5], [0.0, 2.0]]},
            headers={"x-request-id": "7f-a", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"},
        )
        refused = client.post("/predict", content=b"{31337.5", headers={"x-request-id": "7f-b"})
        client.get(contract.PATH_LIVE)
    first, second = ended(server)
    assert first["seconds"] > 0
    assert first["timestamp"].endswith("Z")
    assert {key: first[key] for key in first if key not in ("seconds", "timestamp")} == {
        "event": "request", "logger": "access", "level": "info", "protocol": "mlflow",
        "status": 200, "rows": 2, "batch_rows": 2, "batch_requests": 1,
        "request_id": "7f-a", "trace_id": TRACE,
    }  # fmt: skip
    assert (second["status"], second["error"]) == (400, "MalformedRequest")
    assert [answered.headers["x-request-id"], refused.headers["x-request-id"]] == ["7f-a", "7f-b"]
    assert "31337" not in "".join(server.log)


def test_ids_that_are_not_fit_to_be_repeated_are_not(start: Any) -> None:
    server = start(SERINUS_ACCESS_LOG_SAMPLE="1", SERINUS_DRAIN_SECONDS="0")
    server.until_ready()
    odd = ("x" * 129, "a b", "caf\u00e9", "")
    for value in odd:
        headers = [(b"x-request-id", value.encode())]
        answer = httpx2.post(f"{server.url}/invocations", json=QUICK, headers=headers)
        assert answer.status_code == 200
        assert "x-request-id" not in answer.headers
    found = ended(server)
    assert len(found) == len(odd)
    assert not any("request_id" in line for line in found)


def test_grpc_calls_have_lines_and_ids_too(start: Any) -> None:
    server = start(SERINUS_ACCESS_LOG_SAMPLE="1", SERINUS_DRAIN_SECONDS="0", SERINUS_GRPC_PORT="0")
    server.until_ready()
    (listening,) = lines(server, "listening for gRPC")
    tensor = messages.ModelInferRequest.InferInputTensor(
        name="x", datatype="FP64", shape=[1, 2], contents={"fp64_contents": [0.0, 3.0]}
    )
    metadata = (("x-request-id", "7f-c"), ("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"))
    with grpc.insecure_channel(f"127.0.0.1:{listening['port']}") as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        request = messages.ModelInferRequest(model_name="churn", inputs=[tensor])
        _, call = infer.with_call(request.SerializeToString(), metadata=metadata, timeout=20)
        with pytest.raises(grpc.RpcError) as refused:
            infer(b"\xff", timeout=20)
    assert dict(call.trailing_metadata())["x-request-id"] == "7f-c"
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    first, second = ended(server)
    assert (first["protocol"], first["status"], first["rows"]) == ("grpc", "OK", 1)
    assert (first["request_id"], first["trace_id"]) == ("7f-c", TRACE)
    assert first["batch_requests"] == 1
    assert (second["status"], second["error"]) == ("INVALID_ARGUMENT", "MalformedRequest")


def test_failures_have_lines_at_any_sample_but_not_more_than_ten_per_second(start: Any) -> None:
    server = start(SERINUS_DRAIN_SECONDS="0")
    server.until_ready()
    begin = time.monotonic()
    with httpx2.Client(base_url=server.url) as client:
        for _ in range(5):
            assert client.post("/invocations", json=QUICK).status_code == 200
        for _ in range(60):
            assert client.post("/invocations", json={"inputs": [[-1, 0]]}).status_code == 500
        seconds = time.monotonic() - begin
    found = ended(server)
    assert {line["status"] for line in found} == {500}
    assert {line["level"] for line in found} == {"warning"}
    assert {line["error"] for line in found} == {"PredictionFailed"}
    assert 10 <= len(found) <= 10 * (int(seconds) + 2)
    assert len(found) + sum(line.get("suppressed", 0) for line in found) <= 60


def test_a_log_that_nobody_reads_holds_up_no_request_and_no_exit(model: Any) -> None:
    """The pipe is full after some 64 KiB; then lines are dropped, and the server serves on."""
    reader, writer = os.pipe()
    environ = {
        contract.ENV_HOST: "127.0.0.1",
        contract.ENV_PORT: str(_free_port()),
        contract.ENV_MODEL_NAME: "churn",
        contract.ENV_MODEL_URI: model.as_uri(),
        contract.ENV_WARMUP_REQUESTS: "1",
        contract.ENV_LOG_FORMAT: "json",
        contract.ENV_ALLOW_CUSTOM_CODE: "true",
        contract.ENV_ACCESS_LOG_SAMPLE: "1",
        contract.ENV_DRAIN_SECONDS: "0",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "serinus_server"], env={**os.environ, **environ}, stderr=writer
    )
    try:
        os.close(writer)
        # The longer an id, the fewer requests it takes.
        headers = {"x-request-id": "i" * 128}
        size = fcntl.fcntl(reader, _GET_PIPE_SIZE)
        base = f"http://127.0.0.1:{environ[contract.ENV_PORT]}"
        with httpx2.Client(base_url=base, timeout=5) as client:
            _until_ready(client, process)
            for _ in range(size // 200 + 100):
                assert client.post("/invocations", json=QUICK, headers=headers).status_code == 200
        process.terminate()
        assert process.wait(10) == 0
        with os.fdopen(reader, closefd=False) as pipe:
            found = pipe.read().splitlines()
        json.loads(found[0])
        assert sum('"request"' in line for line in found) < size // 200 + 100
    finally:
        process.kill()
        process.wait()
        os.close(reader)


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _until_ready(client: httpx2.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None
        assert time.monotonic() < deadline
        try:
            if client.get(contract.PATH_READY).status_code == 200:
                return
        except httpx2.ConnectError:
            pass
        time.sleep(0.02)
