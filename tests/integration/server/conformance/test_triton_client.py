"""Triton's own client works with the server, by JSON, by binary tensors and by gRPC."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_PYTHON = Path(__file__).parents[4] / ".venv-clients" / "bin" / "python"

SENT = {
    "whole": ["int64", [3], ["1", "-9007199254740993", "9223372036854775807"]],
    "double": ["float64", [3], ["0.1", "-1e+308", "5e-324"]],
    "single": ["float32", [3], ["0.10000000149011612", "3.3999999521443642e+38", "-0.0"]],
    "word": ["object", [3], ["Tromsø", "", "日本"]],
}
_DATATYPES = {"whole": "INT64", "double": "FP64", "single": "FP32", "word": "BYTES"}


@pytest.fixture(scope="module")
def report(
    echo: Path, start_for_module: Callable[..., tuple[int, int]]
) -> dict[str, dict[str, Any]]:
    """What the client got of a server, by way."""
    if not _PYTHON.exists():
        pytest.skip("no .venv-clients, which tools/clients makes")
    ports = map(str, start_for_module(echo))
    script = str(Path(__file__).with_name("triton_session.py"))
    done = subprocess.run(
        [_PYTHON, "-W", "ignore", script, *ports], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)  # type: ignore[no-any-return]


each_way = pytest.mark.parametrize("way", ["json", "binary", "grpc"])


@each_way
def test_the_client_finds_the_server_and_the_model(way: str, report: Any) -> None:
    got = report[way]
    assert got["live"]
    assert got["ready"]
    assert got["model ready"]
    assert got["server"]["name"] == "serinus"
    assert got["server"]["extensions"] == ["binary_tensor_data"]
    assert got["model"]["name"] == "churn"
    for side in ("inputs", "outputs"):
        tensors = got["model"][side]
        assert {tensor["name"]: tensor["datatype"] for tensor in tensors} == _DATATYPES
        assert all([int(length) for length in tensor["shape"]] == [-1] for tensor in tensors)


@each_way
def test_every_type_comes_back_as_it_was_sent(way: str, report: Any) -> None:
    assert report[way]["id"] == "one"
    assert report[way]["answer"] == SENT


@each_way
def test_only_the_wanted_outputs_come(way: str, report: Any) -> None:
    wanted = {"single": SENT["single"], "word": SENT["word"]}
    assert report[way]["some"] == {"whole": None, "double": None, **wanted}


@each_way
@pytest.mark.parametrize(
    ("mistake", "status", "code", "words"),
    [
        ("no such model", "404", "NOT_FOUND", "the model served here is 'churn'"),
        ("input missing", "422", "INVALID_ARGUMENT", "'whole': is missing"),
        ("no such output", "422", "INVALID_ARGUMENT", "which has whole, double, single, word"),
    ],
)
def test_mistakes_are_the_clients_own_exceptions(
    way: str, mistake: str, status: str, code: str, words: str, report: Any
) -> None:
    got, message = report[way][mistake]
    assert got == (f"StatusCode.{code}" if way == "grpc" else status)
    assert words in message
