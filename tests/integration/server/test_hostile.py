"""A real server process that is given a hostile model ends, says why, and has run none of it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any


class _Hostile:
    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"open({str(self._canary)!r}, 'w').close()",)


def _model(folder: Path, canary: Path) -> Path:
    folder.mkdir()
    (folder / "model.pkl").write_bytes(pickle.dumps(_Hostile(canary)))
    (folder / "MLmodel").write_text(
        "flavors:\n"
        "  python_function: {loader_module: mlflow.sklearn, model_path: model.pkl}\n"
        "  sklearn: {serialization_format: pickle}\n"
    )
    return folder


def test_a_pickle_that_calls_for_code_is_refused_and_the_reason_is_told(
    start: Any, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    model = _model(tmp_path / "hostile", canary)
    server = start(SERINUS_MODEL_URI=model.as_uri(), SERINUS_ALLOW_CUSTOM_CODE="false")
    assert server.wait() == 1
    (reason,) = server.reasons()
    assert "calls for 'builtins.exec'" in reason
    assert (tmp_path / "termination-log").read_text() == f"{reason}\n"
    assert not canary.exists()


def test_the_same_pickle_runs_where_custom_code_is_allowed(start: Any, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    model = _model(tmp_path / "hostile", canary)
    server = start(SERINUS_MODEL_URI=model.as_uri(), SERINUS_ALLOW_CUSTOM_CODE="true")
    server.until_ready()
    assert canary.exists()
