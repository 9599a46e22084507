"""A gRPC server as its clients see it: statuses, limits, deadlines, health, and what is counted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from serinus_server import contract
from serinus_server.protocols.grpc import open_inference_pb2 as messages
from serinus_server.protocols.grpc.server import LIVENESS, GrpcServer
from serinus_server.protocols.grpc.service import SERVICE
from serinus_server.service.lifecycle import Event, State

ROW = np.array([[1.0, 2.0]])
CALLS = "serinus_requests_total"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def question(rows: Any = ROW, **change: Any) -> messages.ModelInferRequest:
    message = messages.ModelInferRequest(model_name="churn", **change)
    message.inputs.add(name="x", datatype="FP64", shape=rows.shape)
    message.raw_input_contents.append(rows.tobytes())
    return message


@dataclass(frozen=True, slots=True)
class Client:
    """A server in this process, and a channel to it."""

    server: Any  # the HTTP side, as the fixture ``serve`` makes it
    grpc: GrpcServer
    channel: grpc.aio.Channel

    def call(self, method: str, request: Any, **options: Any) -> Any:
        """A call of one of the protocol's methods; awaitable."""
        described = SERVICE.methods_by_name[method]
        answer = getattr(messages, described.output_type.name)
        return self.channel.unary_unary(
            f"/{SERVICE.full_name}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )(request, **options)

    def infer(self, request: Any = None, **options: Any) -> Any:
        return self.call("ModelInfer", question() if request is None else request, **options)

    async def fails(self, call: Awaitable[Any]) -> grpc.aio.AioRpcError:
        """How ``call`` fails."""
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        return raised.value

    async def health(self, service: str = "") -> int:
        stub = health_pb2_grpc.HealthStub(self.channel)
        found = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        return int(found.status)

    async def counted(self, **labels: str) -> float:
        found: float = await self.server.metric(CALLS, protocol="grpc", **labels)
        return found

    async def until_counted(self, code: str) -> None:
        async with asyncio.timeout(10):
            while not await self.counted(code=code):  # noqa: ASYNC110 - its value is not ours to signal
                await asyncio.sleep(0.01)


Run = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def run(serve: Any, scripted: Any, empty_model: Path) -> Run:
    """Run a server with a model that is a function: ``async with run(predict) as client``."""

    @asynccontextmanager
    async def run(
        predict: Callable[[Any], Any] = lambda rows: rows[:, 0], **environ: str
    ) -> AsyncIterator[Client]:
        async with serve(empty_model, lambda _: scripted(predict), **environ) as server:
            beside = GrpcServer(server.application.service, "127.0.0.1", 0)
            await beside.start()
            options = [("grpc.use_local_subchannel_pool", 1)]
            address = f"127.0.0.1:{beside.port}"
            try:
                async with grpc.aio.insecure_channel(address, options=options) as channel:
                    yield Client(server, beside, channel)
            finally:
                await beside.stop(0)

    return run


async def test_an_answer_says_who_answered_and_is_counted(run: Run) -> None:
    async with run() as client:
        call = client.infer(question(id="7"))
        found = await call
        assert (found.id, found.outputs[0].name) == ("7", "output-0")
        assert list(found.raw_output_contents) == [ROW[:, 0].tobytes()]
        trailers = dict(await call.trailing_metadata())
        assert trailers[contract.HEADER_REVISION] == "abc"
        assert trailers[contract.HEADER_VERSION] == "3"
        assert await client.counted() == await client.counted(code="OK", traffic="live") == 1
        count = "serinus_request_duration_seconds_count"
        assert await client.server.metric(count, protocol="grpc") == 1


async def test_every_code_is_there_before_the_first_call(run: Run) -> None:
    async with run() as client:
        text = (await client.server.client.get(contract.PATH_METRICS)).text
        for code in contract.GRPC_CODES:
            assert f'{CALLS}{{code="{code}",model="churn",protocol="grpc"' in text


async def test_server_and_model_are_described(run: Run) -> None:
    async with run() as client:
        assert (await client.call("ServerLive", messages.ServerLiveRequest())).live
        assert (await client.call("ServerReady", messages.ServerReadyRequest())).ready
        told = await client.call("ServerMetadata", messages.ServerMetadataRequest())
        assert (told.name, list(told.extensions)) == ("serinus", ["binary_tensor_data"])
        for version in ({}, {"version": "3"}):
            asked = {"name": "churn", **version}
            assert (await client.call("ModelReady", messages.ModelReadyRequest(**asked))).ready
            told = await client.call("ModelMetadata", messages.ModelMetadataRequest(**asked))
            assert (told.name, list(told.versions)) == ("churn", ["3"])
        for asked in ({"name": "other"}, {"name": "churn", "version": "4"}, {}):
            for method, request in (
                ("ModelReady", messages.ModelReadyRequest(**asked)),
                ("ModelMetadata", messages.ModelMetadataRequest(**asked)),
            ):
                error = await client.fails(client.call(method, request))
                assert error.code() is grpc.StatusCode.NOT_FOUND
                assert "served here" in str(error.details())


async def test_a_failing_model_is_internal_and_tells_only_an_id(run: Run) -> None:
    def predict(_: Any) -> Any:
        raise ValueError("secret")

    async with run(predict) as client:
        error = await client.fails(client.infer())
        assert error.code() is grpc.StatusCode.INTERNAL
        assert "secret" not in str(error.details())
        assert "log says why" in str(error.details())
        assert dict(error.trailing_metadata())[contract.HEADER_REVISION] == "abc"
        assert await client.counted(code="INTERNAL") == 1


async def test_an_answer_without_a_form_in_the_protocol_is_internal(run: Run) -> None:
    async with run(lambda _: np.array(["\ud800"], dtype=object)) as client:
        error = await client.fails(client.infer())
        assert error.code() is grpc.StatusCode.INTERNAL
        assert "log says why" in str(error.details())


async def test_what_does_not_fit_is_an_invalid_argument(run: Run) -> None:
    async with run() as client:
        message = question()
        message.inputs[0].shape[0] = 7
        error = await client.fails(client.infer(message))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "FP64 of shape [7, 2] means 112" in str(error.details())
        # A name of the client's must not become a trailer that no client accepts.
        message.inputs[0].name = "x" * 100_000
        error = await client.fails(client.infer(message))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        garbage = client.channel.unary_unary(f"/{SERVICE.full_name}/ModelInfer")(b"\xff")
        error = await client.fails(garbage)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert await client.counted(code="INVALID_ARGUMENT") == 3


@pytest.mark.parametrize("rows", [1, 5000], ids=["small", "large"])
async def test_large_messages_are_answered_as_small_ones_are(run: Run, rows: int) -> None:
    asked = np.arange(2.0 * rows).reshape(rows, 2)
    async with run() as client:
        found = await client.infer(question(asked))
        assert found.raw_output_contents[0] == asked[:, 0].tobytes()
        bad = question(asked)
        bad.inputs[0].shape[1] = 3
        assert (await client.fails(client.infer(bad))).code() is grpc.StatusCode.INVALID_ARGUMENT
        in_flight = await client.server.metric("serinus_in_flight")
        assert in_flight == 0


async def test_messages_above_the_limit_are_refused(run: Run) -> None:
    async with run(SERINUS_MAX_REQUEST_BYTES="2000") as client:
        assert await client.infer(question(np.ones((100, 2))))
        error = await client.fails(client.infer(question(np.ones((200, 2)))))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await client.infer()
        # A client can send what it likes: that must not count against the model's revision.
        await client.until_counted("INVALID_ARGUMENT")
        assert await client.counted() == 3
        assert await client.server.metric("serinus_in_flight") == 0


async def test_a_compressed_message_is_refused_and_not_inflated(run: Run) -> None:
    seen: list[Any] = []
    async with run(lambda rows: seen.append(rows) or rows[:, 0]) as client:
        bomb = question(np.zeros((60_000, 2)))  # 960,000 bytes, of which gzip makes 1,000
        error = await client.fails(client.infer(bomb, compression=grpc.Compression.Gzip))
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
        assert seen == []
        await client.until_counted("CANCELLED")
        assert await client.counted() == 1
        assert await client.server.metric("serinus_in_flight") == 0


class Gate:
    """A model that answers when it is let."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.let = threading.Event()

    def __call__(self, rows: Any) -> Any:
        self.entered.release()
        assert self.let.wait(20)
        return rows[:, 0]

    async def until_entered(self) -> None:
        await asyncio.to_thread(self.entered.acquire, timeout=20)


async def test_more_calls_than_the_limit_are_told_to_come_back(run: Run) -> None:
    gate = Gate()
    async with run(gate, SERINUS_MAX_CONCURRENCY="1") as client:
        first = asyncio.ensure_future(client.infer())
        await gate.until_entered()
        error = await client.fails(client.infer())
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        trailers = dict(error.trailing_metadata())
        assert trailers["grpc-retry-pushback-ms"] == "1000"
        assert trailers[contract.HEADER_REVISION] == "abc"
        assert await client.health() == SERVING  # always answered
        gate.let.set()
        assert await first
        assert await client.counted(code="RESOURCE_EXHAUSTED") == 1


async def test_a_message_that_does_not_come_holds_a_slot_only_until_the_timeout(run: Run) -> None:
    async with run(SERINUS_MAX_CONCURRENCY="1", SERINUS_REQUEST_TIMEOUT="0.5") as client:
        never = asyncio.Event()

        async def silent() -> AsyncIterator[bytes]:
            await never.wait()
            yield b""

        infer = client.channel.stream_unary(f"/{SERVICE.full_name}/ModelInfer")
        slow = asyncio.ensure_future(infer(silent()))
        async with asyncio.timeout(10):
            while not await client.server.metric("serinus_in_flight"):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        # Refused by its head: its message is never read, however many come.
        error = await client.fails(client.infer())
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        error = await client.fails(slow)
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "did not arrive within 0.5 s" in str(error.details())
        assert await client.infer()
        assert await client.server.metric("serinus_in_flight") == 0


async def test_a_call_without_a_message_is_an_invalid_argument(run: Run) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        return
        yield b""

    async with run() as client:
        infer = client.channel.stream_unary(f"/{SERVICE.full_name}/ModelInfer")
        error = await client.fails(infer(nothing()))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "no message" in str(error.details())


@pytest.mark.parametrize("whose", ["the client's", "the server's"])
async def test_a_deadline_ends_the_call(run: Run, whose: str) -> None:
    gate = Gate()
    timeout = {"SERINUS_REQUEST_TIMEOUT": "0.2"} if whose == "the server's" else {}
    try:
        async with run(gate, **timeout) as client:
            options = {} if timeout else {"timeout": 0.2}
            error = await client.fails(client.infer(**options))
            assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            await client.until_counted("DEADLINE_EXCEEDED")
            assert await client.counted() == 1
    finally:
        gate.let.set()


async def test_a_call_that_the_client_gives_up_is_counted_as_such(run: Run) -> None:
    gate = Gate()
    try:
        async with run(gate) as client:
            call = client.infer()
            await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(gate.until_entered())), 20)
            call.cancel()
            await client.until_counted("CANCELLED")
            assert await client.counted() == 1
    finally:
        gate.let.set()


async def test_health_follows_the_lifecycle(run: Run) -> None:
    async with run() as client:
        application = client.server.application
        names = ("", SERVICE.full_name)
        assert [await client.health(name) for name in names] == [SERVING, SERVING]
        watch = health_pb2_grpc.HealthStub(client.channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        application.lifecycle.apply(Event.DRAIN)
        assert (await watch.read()).status == NOT_SERVING
        assert [await client.health(name) for name in names] == [NOT_SERVING, NOT_SERVING]
        assert await client.health(LIVENESS) == SERVING
        assert await client.infer()  # it goes on serving
        assert not (await client.call("ServerReady", messages.ServerReadyRequest())).ready
        error = await client.fails(client.health("unknown"))
        assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_before_the_model_is_ready_calls_are_unavailable(
    serve: Any, scripted: Any, empty_model: Path
) -> None:
    loading = threading.Event()

    def load(_: Path) -> Any:
        assert loading.wait(20)
        return scripted(lambda rows: rows[:, 0])

    async with serve(empty_model, load, until=State.LOADING) as server:
        beside = GrpcServer(server.application.service, "127.0.0.1", 0)
        await beside.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{beside.port}") as channel:
            client = Client(server, beside, channel)
            assert await client.health() == NOT_SERVING
            assert await client.health(LIVENESS) == SERVING
            described = messages.ModelMetadataRequest(name="churn")
            for call in (client.infer(), client.call("ModelMetadata", described)):
                error = await client.fails(call)
                assert error.code() is grpc.StatusCode.UNAVAILABLE
                assert "loading" in str(error.details())
            loading.set()
            await server.until(State.READY)
            assert await client.infer()
        await beside.stop(0)


async def test_reflection_tells_what_can_be_called(run: Run) -> None:
    async with run() as client:
        stub = reflection_pb2_grpc.ServerReflectionStub(client.channel)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        stream = stub.ServerReflectionInfo(iter([asked]))
        found = await stream.read()
        assert {service.name for service in found.list_services_response.service} == {
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
            SERVICE.full_name,
        }


async def test_calls_at_once_are_asked_together_and_answered_one_by_one(run: Run) -> None:
    async with run() as client:
        found = await asyncio.gather(
            *(client.infer(question(np.array([[float(n), 0.0]]))) for n in range(40))
        )
        assert [np.frombuffer(one.raw_output_contents[0])[0] for one in found] == list(range(40))


async def test_a_port_that_is_taken_is_an_error(run: Run) -> None:
    async with run() as client:
        second = GrpcServer(client.server.application.service, "127.0.0.1", client.grpc.port)
        with pytest.raises(OSError, match=f"127.0.0.1:{client.grpc.port}"):
            await second.start()
