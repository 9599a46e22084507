"""gRPC of a real server process, beside its HTTP."""

from __future__ import annotations

import json
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import httpx2
import pytest

from serinus_server import contract
from serinus_server.protocols.grpc import open_inference_pb2 as messages

from .conftest import ServerProcess, Start

METHOD = "/inference.GRPCInferenceService/ModelInfer"
# What clients are told in docs/server.md: take turns, and leave who says that it is not serving.
SERVICE_CONFIG = json.dumps(
    {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}
)


def port_of(server: ServerProcess) -> int:
    """The port for gRPC, from the log."""
    server.until_ready()
    told = [entry for entry in map(json.loads, server.log) if entry["event"].endswith("for gRPC")]
    return int(told[0]["port"])


def question(seconds: float, value: float) -> bytes:
    """Asks the model of these tests to wait, and then to double ``value``."""
    message = messages.ModelInferRequest(model_name="churn")
    tensor = message.inputs.add(name="x", datatype="FP64", shape=[1, 2])
    tensor.contents.fp64_contents.extend([seconds, value])
    return message.SerializeToString()


def value_of(answer: bytes) -> float:
    message = messages.ModelInferResponse.FromString(answer)
    return float(message.outputs[0].contents.fp64_contents[0])


@pytest.fixture
def connect() -> Iterator[Callable[..., Any]]:
    """A callable for predictions: ``connect(port, ...)``, in turns where there are several."""
    channels: list[grpc.Channel] = []

    def connect(*ports: int) -> Any:
        target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
        options = [("grpc.service_config", SERVICE_CONFIG), ("grpc.use_local_subchannel_pool", 1)]
        channels.append(grpc.insecure_channel(target, options=options))
        return channels[-1].unary_unary(METHOD)

    yield connect
    for channel in channels:
        channel.close()


def test_grpc_and_http_give_the_same_answer(start: Start, connect: Any) -> None:
    server = start(SERINUS_GRPC_PORT="0")
    infer = connect(port_of(server))
    tensor: dict[str, Any] = {"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [0.0, 0.1]}
    answer = httpx2.post(f"{server.url}/v2/models/churn/infer", json={"inputs": [tensor]}).json()
    assert value_of(infer(question(0, 0.1), timeout=20)) == answer["outputs"][0]["data"][0]
    # And as REST clients send it by default: binary, behind the JSON.
    tensor = {**tensor, "parameters": {"binary_data_size": 16}}
    del tensor["data"]
    body = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    header = "inference-header-content-length"
    binary = httpx2.post(
        f"{server.url}/v2/models/churn/infer",
        content=body + struct.pack("<2d", 0.0, 0.1),
        headers={header: str(len(body))},
    )
    raw = binary.content[int(binary.headers[header]) :]
    assert struct.unpack("<d", raw)[0] == answer["outputs"][0]["data"][0]
    metrics = httpx2.get(server.url + contract.PATH_METRICS).text
    assert 'code="OK",model="churn",protocol="grpc"' in metrics


def test_without_a_port_there_is_no_grpc(start: Start) -> None:
    server = start()
    server.until_ready()
    assert "gRPC" not in "".join(server.log)
    assert "grpc" not in httpx2.get(server.url + contract.PATH_METRICS).text


def test_a_port_that_is_taken_ends_the_process_with_the_reason(start: Start) -> None:
    port = port_of(start(SERINUS_GRPC_PORT="0"))
    second = start(SERINUS_GRPC_PORT=str(port))
    assert second.wait() == 1
    assert second.reasons() == [f"cannot listen for gRPC on 127.0.0.1:{port}"]


def test_what_is_in_flight_when_it_is_told_to_stop_is_answered(start: Start, connect: Any) -> None:
    server = start(SERINUS_GRPC_PORT="0", SERINUS_DRAIN_SECONDS="0")
    infer = connect(port_of(server))
    slow = infer.future(question(1.0, 3.0), timeout=30)
    while f"{contract.METRIC_IN_FLIGHT}{{" not in (
        text := httpx2.get(server.url + contract.PATH_METRICS).text
    ) or not any(
        line.startswith(contract.METRIC_IN_FLIGHT) and line.endswith(" 1.0")
        for line in text.splitlines()
    ):
        assert not slow.done()
    server.terminate()
    assert value_of(slow.result()) == pytest.approx(6.0)
    assert server.wait() == 0


def test_no_call_fails_when_one_of_two_servers_goes_away(start: Start, connect: Any) -> None:
    leaving, staying = (start(SERINUS_GRPC_PORT="0", SERINUS_DRAIN_SECONDS="1") for _ in range(2))
    infer = connect(port_of(leaving), port_of(staying))
    over = threading.Event()
    failures: list[grpc.RpcError] = []

    def keep_asking() -> int:
        count = 0
        while not over.is_set():
            try:
                assert value_of(infer(question(0, 2.0), timeout=20)) == pytest.approx(4.0)
                count += 1
            except grpc.RpcError as error:
                failures.append(error)
        return count

    with ThreadPoolExecutor(6) as pool:
        askers = [pool.submit(keep_asking) for _ in range(6)]
        deadline = time.monotonic() + 20
        while 'code="OK"' not in httpx2.get(leaving.url + contract.PATH_METRICS).text:
            assert time.monotonic() < deadline
        leaving.terminate()
        assert leaving.wait() == 0
        assert value_of(infer(question(0, 3.0), timeout=20)) == pytest.approx(6.0)
        over.set()
        answered = sum(asker.result() for asker in askers)
    assert failures == []
    assert answered > 20
