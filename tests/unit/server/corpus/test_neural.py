"""The same for PyTorch, TensorFlow and Keras, where they are installed (`make test-flavors`)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .asking import V2_PATH, expected_tensors, same_bits, tensors_answered, tensors_asked
from .entry import WIDTH, Entry, features, reference

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
_QUESTIONS = np.ascontiguousarray(features(7, seed=9), np.float32)


def _torch() -> Any:
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    layers = torch.nn.Linear(WIDTH, 9), torch.nn.ReLU(), torch.nn.Linear(9, 2)
    return torch.nn.Sequential(*layers).eval()


def _keras() -> Any:
    pytest.importorskip("tensorflow")
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(1)
    layers = keras.layers.Input((WIDTH,)), keras.layers.Dense(9, "relu"), keras.layers.Dense(2)
    return keras.Sequential(layers)


CORPUS = {
    "pytorch": Entry("pytorch", _torch, _QUESTIONS, {"serialization_format": "pickle"}),
    "tensorflow": Entry("tensorflow", _keras, _QUESTIONS),
    "keras": Entry("keras", _keras, _QUESTIONS),
}


@pytest.mark.filterwarnings("ignore")  # what libraries warn of while they train and load
@pytest.mark.parametrize("name", CORPUS)
async def test_answers_are_those_of_pyfunc(name: str, tmp_path: Path, serve: Any) -> None:
    folder = CORPUS[name].save(tmp_path / "model")
    answer = reference(folder).predict(_QUESTIONS)
    async with serve(folder, SERINUS_ALLOW_CUSTOM_CODE="true") as server:
        asked = {"inputs": tensors_asked(_QUESTIONS), "parameters": {"binary_data_output": True}}
        response = await server.client.post(V2_PATH, content=json.dumps(asked))
        assert response.status_code == 200, response.text
        answered = list(tensors_answered(response).values())
        assert len(answered) == 1
        assert same_bits(answered[0], expected_tensors(answer)[0])
