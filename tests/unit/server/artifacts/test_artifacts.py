"""Model folders: what is fetched, how it is measured, and what is refused before it runs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from serinus_server.artifacts.admission import admit
from serinus_server.artifacts.fetch import fetch
from serinus_server.artifacts.folder import digest
from serinus_server.contract import ENV_ALLOW_CUSTOM_CODE, digest_of
from serinus_server.errors import DownloadFailed, NotAdmitted

FUNCTION: dict[str, object] = {"loader_module": "mlflow.sklearn", "predict_fn": "predict"}


def write_model(folder: Path, document: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "MLmodel").write_text(
        document if isinstance(document, str) else yaml.safe_dump(document)
    )
    return folder


def test_the_digest_is_what_sha256sum_prints_for_the_sorted_list(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m", {"flavors": {}})
    (model / "data").mkdir()
    (model / "data" / "é.bin").write_bytes(b"\x00\x01")
    command = "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    output = subprocess.run(["sh", "-c", command], cwd=model, capture_output=True, check=True)
    assert digest(model) == f"sha256:{output.stdout.split()[0].decode()}"


def test_every_byte_and_every_name_counts_for_the_digest() -> None:
    base = [("MLmodel", "a" * 64), ("model.pkl", "b" * 64)]
    digests = {
        digest_of(base),
        digest_of([("MLmodel", "a" * 64), ("model.pkl", "c" * 64)]),
        digest_of([("MLmodel", "a" * 64), ("model.pk1", "b" * 64)]),
        digest_of(base[:1]),
    }
    assert len(digests) == 4
    assert digest_of(base) == digest_of(reversed(base))


def test_a_folder_is_copied_with_the_same_digest_into_a_private_folder(tmp_path: Path) -> None:
    source = write_model(tmp_path / "with space", {"flavors": {}})
    workspace = tmp_path / "work"
    workspace.mkdir()
    copy = fetch(source.as_uri(), workspace)
    assert copy.is_relative_to(workspace)
    assert digest(copy) == digest(source)
    assert copy.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="nowhere"):
        fetch((tmp_path / "nowhere").as_uri(), tmp_path)


@pytest.mark.parametrize("uri", ["models:/churn/3", "runs:/abc/model"])
def test_a_registry_uri_needs_a_tracking_server(tmp_path: Path, uri: str) -> None:
    with pytest.raises(DownloadFailed, match="MLFLOW_TRACKING_URI"):
        fetch(uri, tmp_path)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.symlink_to("/etc/passwd"),
        lambda path: path.symlink_to("."),
        os.mkfifo,
    ],
    ids=["link to a file", "link to a folder", "pipe"],
)
def test_anything_but_regular_files_is_refused(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    source = write_model(tmp_path / "m", {"flavors": {"python_function": FUNCTION}})
    make(source / "extra")
    workspace = tmp_path / "work"
    workspace.mkdir()
    with pytest.raises(NotAdmitted, match="extra"):
        fetch(source.as_uri(), workspace)
    with pytest.raises(NotAdmitted, match="extra"):
        admit(source)


def test_a_scikit_learn_model_is_admitted_with_its_example(table_model: Path) -> None:
    admitted = admit(table_model)
    assert admitted.loader == "mlflow.sklearn"
    assert admitted.serving_example == table_model / "serving_input_example.json"


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("flavors: [", "YAML"),
        ("!!python/object/apply:os.system ['true']", "YAML"),
        ("just text", "mapping"),
        ({}, "python_function"),
        ({"flavors": {"sklearn": {}}}, "python_function"),
        ({"flavors": {"python_function": "mlflow.sklearn"}}, "python_function"),
        ({"flavors": {"python_function": {}}}, "loader_module"),
        ({"flavors": {"python_function": {"loader_module": "os"}}}, "'os'"),
        ({"flavors": {"python_function": {"loader_module": "evil_loader"}}}, "evil_loader"),
        ({"flavors": {"python_function": {"loader_module": "mlflow.sklearn.x"}}}, "list"),
        ({"flavors": {"python_function": {"loader_module": "MLFLOW.sklearn"}}}, "list"),
        ({"flavors": {"python_function": {"loader_module": ["mlflow.sklearn"]}}}, "loader_module"),
        ({"flavors": {"python_function": {**FUNCTION, "predict_fn": "__reduce__"}}}, "predict_fn"),
        ({"flavors": {"python_function": {**FUNCTION, "code": "code"}}}, "code"),
        ({"flavors": {"python_function": {**FUNCTION, "code": ""}}}, "code"),
        ({"flavors": {"python_function": FUNCTION, "sklearn": {"code": "code"}}}, "code"),
        ({"flavors": {"python_function": {**FUNCTION, "model_code_path": "m.py"}}}, "code"),
        ({"flavors": {"python_function": {**FUNCTION, "data": "/etc"}}}, "outside"),
        ({"flavors": {"python_function": {**FUNCTION, "data": "../other"}}}, "outside"),
        ({"flavors": {"python_function": {**FUNCTION, "data": "a\\..\\..\\b"}}}, "outside"),
        (
            {"flavors": {"python_function": FUNCTION, "sklearn": {"pickled_model": "x/../../y"}}},
            "outside",
        ),
        (
            {"flavors": {"python_function": {**FUNCTION, "artifacts": {"a": {"p": "/x"}}}}},
            "outside",
        ),
    ],
)
def test_a_model_that_is_not_known_to_be_plain_is_refused(
    tmp_path: Path, document: object, why: str
) -> None:
    with pytest.raises(NotAdmitted, match=why):
        admit(write_model(tmp_path / "m", document))


def test_a_folder_without_mlmodel_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(NotAdmitted, match="no MLmodel"):
        admit(tmp_path)


def test_a_pickled_python_model_needs_the_switch_and_the_refusal_names_it(tmp_path: Path) -> None:
    function = {"loader_module": "mlflow.pyfunc.model", "python_model": "python_model.pkl"}
    model = write_model(tmp_path / "m", {"flavors": {"python_function": function}})
    with pytest.raises(NotAdmitted, match=ENV_ALLOW_CUSTOM_CODE):
        admit(model)
    assert admit(model, allow_custom_code=True).loader == "mlflow.pyfunc.model"


def test_the_switch_allows_code_but_no_way_out_of_the_folder(tmp_path: Path) -> None:
    function = {**FUNCTION, "code": "../code"}
    model = write_model(tmp_path / "m", {"flavors": {"python_function": function}})
    with pytest.raises(NotAdmitted, match="outside"):
        admit(model, allow_custom_code=True)
