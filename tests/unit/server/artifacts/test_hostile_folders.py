"""Hostile models are refused before anything of them runs, and the reason can be understood."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from serinus_server.artifacts.admission import admit
from serinus_server.artifacts.fetch import fetch
from serinus_server.artifacts.limits import Limits
from serinus_server.contract import ENV_ALLOW_CUSTOM_CODE, ENV_MAX_MODEL_BYTES
from serinus_server.errors import NotAdmitted

from .hostile_folders import CASES, HARMLESS, SKLEARN, Case, write

BITING = [case for case in CASES if case.bites]


def around(folder: Path) -> set[str]:
    """The names of everything beside ``folder`` and of the folder itself."""
    return {path.name for path in folder.parent.iterdir()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_hostile_model_is_refused_with_a_reason_and_never_runs(
    case: Case, tmp_path: Path
) -> None:
    folder, canary = tmp_path / "model", tmp_path / "canary"
    case.build(folder, canary)
    before = around(folder)
    with pytest.raises(NotAdmitted) as refused:
        admit(folder)
    assert case.why in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
    assert around(folder) == before
    assert not canary.exists()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fetching_and_admitting_a_hostile_model_writes_nowhere_else(
    case: Case, tmp_path: Path
) -> None:
    source, canary, workspace = tmp_path / "model", tmp_path / "canary", tmp_path / "work"
    case.build(source, canary)
    workspace.mkdir(mode=0o700)
    before = around(source)
    with pytest.raises(NotAdmitted):
        admit(fetch(source.as_uri(), workspace))
    assert around(source) == before
    assert {path.name for path in workspace.iterdir()} <= {"model"}


def test_the_corpus_is_real_mlflow_alone_runs_what_it_is_given(tmp_path: Path) -> None:
    assert len(CASES) >= 25
    assert len(BITING) >= 15
    names = {}
    for number, case in enumerate(BITING):
        folder = tmp_path / str(number)
        case.build(folder, tmp_path / f"{number}.canary")
        names[str(folder)] = case.name
    code = (
        "import json, sys, mlflow.pyfunc\n"
        "for folder in json.load(sys.stdin):\n"
        "    try: mlflow.pyfunc.load_model(folder, suppress_warnings=True)\n"
        "    except BaseException: pass\n"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(list(names)),
        capture_output=True,
        text=True,
        check=True,
    )
    unharmed = [
        case.name
        for number, case in enumerate(BITING)
        if not (tmp_path / f"{number}.canary").exists()
    ]
    assert unharmed == []


def test_a_model_of_too_many_bytes_is_refused_by_its_files_and_names_the_setting(
    tmp_path: Path,
) -> None:
    write(tmp_path / "m", SKLEARN, modelDOTpkl=HARMLESS)
    (tmp_path / "m" / "weights").touch()
    with (tmp_path / "m" / "weights").open("r+b") as sparse:
        sparse.truncate(1_000_000_000)
    with pytest.raises(NotAdmitted, match=ENV_MAX_MODEL_BYTES):
        admit(tmp_path / "m", limits=Limits(max_bytes=999_999_999))
    assert admit(tmp_path / "m", limits=Limits(max_bytes=1_100_000_000)).loader == "mlflow.sklearn"


def test_a_model_of_too_many_files_or_folders_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "m", SKLEARN, modelDOTpkl=HARMLESS)
    for number in range(20):
        (tmp_path / "m" / f"empty{number}").mkdir()
    with pytest.raises(NotAdmitted, match="folders"):
        admit(tmp_path / "m", limits=Limits(max_files=15))
    with pytest.raises(NotAdmitted, match="more than 1 files"):
        admit(tmp_path / "m", limits=Limits(max_files=1))


@pytest.mark.parametrize("name", ["DATABRICKS_RUNTIME_VERSION", "IS_IN_DB_MODEL_SERVING_ENV"])
def test_variables_that_switch_off_checks_of_mlflow_are_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "m", SKLEARN, modelDOTpkl=HARMLESS)
    monkeypatch.setenv(name, "15.4")
    with pytest.raises(NotAdmitted, match=name):
        admit(tmp_path / "m")


def test_the_switch_for_custom_code_lets_such_models_through(tmp_path: Path) -> None:
    for case in CASES:
        if ENV_ALLOW_CUSTOM_CODE in case.why or case.name.startswith("pickle: "):
            folder = tmp_path / "".join(filter(str.isalnum, case.name))
            case.build(folder, tmp_path / "canary")
            admit(folder, allow_custom_code=True)
    assert not (tmp_path / "canary").exists()
