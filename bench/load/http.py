"""HTTP/1.1 over a keep-alive connection. Heads and bodies are prepared, answers never decoded."""

from __future__ import annotations

import asyncio
from typing import cast

import httptools

from bench.load.job import Job
from bench.load.tally import IDLE, Tally

_HEAD = b"HTTP/1.1 200 "


class Questions:
    """The requests of a job, and what is known of their answers.

    ``lengths`` are those of whole responses that came in one piece and were parsed and right. A
    response of the same length, status and body as such a one is right as well, without parsing.
    """

    def __init__(self, job: Job) -> None:
        self.requests = [_request(job, exchange.body) for exchange in job.exchanges]
        self.answers = [exchange.answer for exchange in job.exchanges]
        self.lengths = [0] * len(self.answers)


class Connection(asyncio.Protocol):
    """One connection: one question at a time, byte-exact comparison of the answer."""

    def __init__(self, questions: Questions, tally: Tally) -> None:
        self._questions = questions
        self._tally = tally
        self._turn = IDLE
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()
        self._received = self._pieces = 0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # TCP, always

    def send(self, turn: int) -> None:
        self._turn = turn
        self._received = self._pieces = 0
        self._transport.write(self._questions.requests[turn])

    def data_received(self, data: bytes) -> None:
        turn = self._turn
        if turn == IDLE:
            self._fail("an answer that nobody asked for")
            return
        if (
            len(data) == self._questions.lengths[turn]
            and not self._received
            and data.startswith(_HEAD)
            and data.endswith(self._questions.answers[turn])
        ):
            self._turn = IDLE
            self._tally.answered(self)
            return
        self._received += len(data)
        self._pieces += 1
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"no HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._tally.lost(self, f"connection lost: {exc}")

    def on_body(self, part: bytes) -> None:
        self._body += part

    def on_message_complete(self) -> None:
        turn = self._turn
        body = bytes(self._body)
        self._body.clear()
        self._turn = IDLE
        problem = ""
        if self._parser.get_status_code() != 200:
            problem = f"{self._parser.get_status_code()}: {body[:200].decode(errors='replace')}"
        elif body != self._questions.answers[turn]:
            problem = f"wrong answer: {body[:200].decode(errors='replace')}"
        elif self._pieces == 1:
            self._questions.lengths[turn] = self._received
        self._tally.answered(self, problem)

    def _fail(self, problem: str) -> None:
        self._tally.lost(self, problem)
        self._transport.abort()


def _request(job: Job, body: bytes) -> bytes:
    head = (
        f"POST {job.path} HTTP/1.1\r\nhost: 127.0.0.1:{job.port}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
