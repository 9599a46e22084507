"""Schemathesis asks the server what its OpenAPI document allows, and what it does not.

Of its checks, `positive_data_acceptance` is left out: a schema can say neither that a tensor has as
many values as its shape, nor that a string is a date that exists.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
]


@pytest.mark.parametrize("seed", [1])
def test_whatever_is_asked_the_answer_is_as_documented(
    seed: int, echo: Path, start_for_module: Callable[[Path], tuple[int, int]], tmp_path: Path
) -> None:
    port, _ = start_for_module(echo)
    command = [sys.executable, "-m", "schemathesis.cli", "run"]
    options = [
        "--checks", ",".join(_CHECKS), "--phases", "examples,coverage,fuzzing",
        "--max-examples", "20", "--seed", str(seed), "--continue-on-failure", "--no-color",
        "--suppress-health-check", "all",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}/openapi.json"
    done = subprocess.run(
        [*command, url, *options], cwd=tmp_path, capture_output=True, text=True, timeout=150,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Tested: 12" in done.stdout
