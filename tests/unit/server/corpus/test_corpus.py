"""The server answers as ``mlflow.pyfunc`` does, bit for bit, over a corpus of models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from . import libraries, scikit
from .asking import (
    V2_PATH,
    expected_json,
    expected_tensors,
    invocation,
    same_bits,
    tensors_answered,
    tensors_asked,
)
from .entry import reference

CORPUS = {**scikit.ENTRIES, **libraries.ENTRIES}


def test_the_corpus_is_broad() -> None:
    assert len(CORPUS) >= 50
    assert {entry.flavor for entry in CORPUS.values()} == {
        "sklearn", "xgboost", "lightgbm", "onnx", "statsmodels", "pyfunc",
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # what libraries warn of while they train and load
@pytest.mark.parametrize("name", CORPUS)
async def test_answers_are_those_of_pyfunc(name: str, tmp_path: Path, serve: Any) -> None:
    entry = CORPUS[name]
    folder = entry.save(tmp_path / "model")
    answer = reference(folder).predict(entry.given)
    async with serve(folder, SERINUS_ALLOW_CUSTOM_CODE="true") as server:
        body = json.dumps(invocation(entry.given))
        response = await server.client.post("/invocations", content=body)
        assert response.status_code == 200, response.text
        # As text, which tells 1 from 1.0 and 0.0 from -0.0.
        assert json.dumps(response.json()) == json.dumps(expected_json(answer))
        if isinstance(entry.given, list):
            return  # objects and words of type hints: no tensors
        asked = {"inputs": tensors_asked(entry.given), "parameters": {"binary_data_output": True}}
        response = await server.client.post(V2_PATH, content=json.dumps(asked))
        assert response.status_code == 200, response.text
        answered = list(tensors_answered(response).values())
        expected = expected_tensors(answer)
        assert len(answered) == len(expected)
        for ours, theirs in zip(answered, expected, strict=True):
            assert same_bits(ours, theirs), (ours, theirs)
