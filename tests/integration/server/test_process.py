"""The server as the kubelet sees it: a process with signals, exit codes and a termination log."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from serinus_server import contract
from serinus_server.artifacts.folder import digest

QUICK = {"inputs": [[0.0, 3.0]]}


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - its value is not ours to signal
            await asyncio.sleep(0.01)


async def test_no_request_fails_while_a_busy_server_is_told_to_stop(
    start: Any, model: Path
) -> None:
    server = start(
        SERINUS_DRAIN_SECONDS="1.5",
        SERINUS_MODEL_DIGEST=digest(model),
    )
    await asyncio.to_thread(server.until_ready)
    answers: list[tuple[int, str]] = []
    enough = asyncio.Event()

    async def keep_asking(client: httpx2.AsyncClient) -> None:
        while not enough.is_set():
            response = await client.post("/invocations", json=QUICK)
            answers.append((response.status_code, response.headers.get("connection", "")))

    async with httpx2.AsyncClient(base_url=server.url) as client:
        workers = [asyncio.create_task(keep_asking(client)) for _ in range(4)]
        await until(lambda: len(answers) > 50)
        # In flight when the drain time ends; it is finished all the same.
        last = asyncio.create_task(client.post("/invocations", json={"inputs": [[2.0, 4.0]]}))
        await asyncio.sleep(0)
        server.terminate()
        await until(lambda: any(connection == "close" for _, connection in answers))
        assert (await client.get(contract.PATH_READY)).status_code == 503
        assert (await client.get(contract.PATH_LIVE)).status_code == 200
        seen = len(answers)
        await until(lambda: len(answers) > seen + 50)
        enough.set()
        await asyncio.gather(*workers)
        response = await last
    assert response.status_code == 200
    assert response.json()["predictions"] == pytest.approx([8.0])
    assert {status for status, _ in answers} == {200}
    assert answers[-1][1] == "close"
    assert await asyncio.to_thread(server.wait) == 0
    assert server.reasons() == []


async def test_a_prediction_that_never_ends_does_not_hold_up_the_exit(start: Any) -> None:
    server = start(SERINUS_DRAIN_SECONDS="0", SERINUS_REQUEST_TIMEOUT="0.3")
    await asyncio.to_thread(server.until_ready)
    async with httpx2.AsyncClient(base_url=server.url) as client:
        response = await client.post("/invocations", json={"inputs": [[5.0, 1.0]]})
    assert response.status_code == 504
    begin = time.monotonic()
    server.terminate()
    assert await asyncio.to_thread(server.wait) == 0
    assert time.monotonic() - begin < 3


def test_the_server_listens_at_once_and_stops_cleanly_while_loading(start: Any) -> None:
    server = start()
    assert server.status(contract.PATH_LIVE) == 200
    assert server.status(contract.PATH_READY) == 503
    server.terminate()
    assert server.wait() == 0


def refused(server: Any, tmp_path: Path) -> str:
    """The one reason that a failed server gave, in its log and in its termination log."""
    assert server.wait() == 1
    (reason,) = server.reasons()
    assert (tmp_path / "termination-log").read_text() == f"{reason}\n"
    return str(reason)


def test_other_bytes_than_the_digest_are_refused(start: Any, model: Path, tmp_path: Path) -> None:
    server = start(SERINUS_MODEL_DIGEST=f"sha256:{'0' * 64}")
    assert digest(model) in refused(server, tmp_path)


def test_a_model_that_is_not_admitted_is_refused(start: Any, tmp_path: Path) -> None:
    folder = tmp_path / "evil"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {python_function: {loader_module: evil, code: c}}\n")
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    server = start(SERINUS_MODEL_URI=folder.as_uri())
    assert "evil" in refused(server, tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_model_that_does_not_load_is_refused_in_one_line(
    start: Any, model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    for path in model.iterdir():
        (folder / path.name).write_bytes(b"x" if path.suffix == ".pkl" else path.read_bytes())
    reason = refused(start(SERINUS_MODEL_URI=folder.as_uri()), tmp_path)
    assert "cannot be loaded" in reason
    assert "/" not in reason


def test_a_model_that_fails_its_own_example_is_refused(
    start: Any, model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "failing"
    folder.mkdir()
    for path in model.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "serving_input_example.json").write_text('{"inputs": [[-1.0, 1.0]]}')
    reason = refused(start(SERINUS_MODEL_URI=folder.as_uri()), tmp_path)
    assert "warm-up request 1 of 1" in reason
    assert "negative input" in reason


def test_wrong_settings_are_one_line_and_exit_code_2(start: Any) -> None:
    server = start(SERINUS_PORT="http", SERINUS_MODEL_URI="")
    assert server.wait() == 2
    (line,) = server.log
    assert "SERINUS_PORT" in line
    assert "SERINUS_MODEL_URI is not set" in line


def test_a_port_that_is_taken_is_exit_code_1(start: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = start(SERINUS_PORT=str(taken.getsockname()[1]))
        assert server.wait() == 1
    assert server.reasons() == ["Address already in use"]


def test_help_names_every_variable_and_version_is_told(start: Any) -> None:
    shown = start("--help")
    version = start("--version")
    assert shown.wait() == version.wait() == 0
    text = shown.process.stdout.read()
    for name, value in vars(contract).items():
        if name.startswith("ENV_"):
            assert value in text
    assert version.process.stdout.read().startswith("serinus-server ")
