"""Decide whether a model may be loaded. Loading runs its code, so this looks without loading.

This is an allow-list: what it does not know, it refuses. It is no proof that a model is harmless,
because pickled parts run code as well; digests and a trusted registry are what answers for those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from serinus_server.artifacts.folder import model_files
from serinus_server.contract import ENV_ALLOW_CUSTOM_CODE
from serinus_server.errors import NotAdmitted

_MAX_MLMODEL_BYTES = 1024 * 1024

# MLflow's own loaders, which bring no code of the model's author beside pickled objects.
LOADERS = frozenset(
    f"mlflow.{flavor}"
    for flavor in (
        "catboost", "keras", "lightgbm", "onnx", "pmdarima", "prophet", "pytorch", "sklearn",
        "spacy", "statsmodels", "tensorflow", "xgboost",
    )
)  # fmt: skip
CUSTOM_LOADERS = frozenset({"mlflow.pyfunc.model", "mlflow.pyfunc.loaders.code_model"})
PREDICT_FUNCTIONS = frozenset(
    {"predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba", "score"}
)
_CODE_KEYS = frozenset({"code", "code_path", "code_paths", "model_code_path", "custom_objects"})


@dataclass(frozen=True, slots=True)
class Admitted:
    """What is known of a model before it is loaded."""

    loader: str
    serving_example: Path | None  # a body for MLflow's /invocations, if one was logged


def admit(folder: Path, *, allow_custom_code: bool = False) -> Admitted:
    """Look at the model in ``folder`` and say what it is.

    Raises:
        NotAdmitted: it is no MLflow model, or one that this server does not allow.
    """
    files = {path.relative_to(folder).as_posix() for path in model_files(folder)}
    document = _read(folder / "MLmodel")
    flavors = document.get("flavors")
    function = flavors.get("python_function") if isinstance(flavors, dict) else None
    if not isinstance(function, dict) or not isinstance(flavors, dict):
        raise NotAdmitted("MLmodel has no python_function flavor, so that nothing can be asked")
    _check_paths(flavors)
    loader = _check_loader(function, allow_custom_code)
    if not allow_custom_code:
        _check_code(flavors)
    return Admitted(loader, _serving_example(folder, document, files))


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_MLMODEL_BYTES:
            raise NotAdmitted(f"MLmodel is larger than {_MAX_MLMODEL_BYTES} bytes")
        document = yaml.safe_load(path.read_bytes())
    except FileNotFoundError:
        raise NotAdmitted("there is no MLmodel file: this is no MLflow model") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        raise NotAdmitted("MLmodel is no valid YAML") from None
    if not isinstance(document, dict):
        raise NotAdmitted("MLmodel is no mapping")
    return document


def _check_loader(function: Mapping[str, Any], allow_custom_code: bool) -> str:
    loader = function.get("loader_module")
    if not isinstance(loader, str):
        raise NotAdmitted("MLmodel names no loader_module")
    if loader not in LOADERS and not allow_custom_code:
        hint = f"; {ENV_ALLOW_CUSTOM_CODE}=true allows it" if loader in CUSTOM_LOADERS else ""
        raise NotAdmitted(f"the model's loader {loader!r} is not on the list of loaders{hint}")
    if loader not in LOADERS | CUSTOM_LOADERS and function.get("code") is None:
        raise NotAdmitted(f"the model's loader {loader!r} is unknown and the model lacks its code")
    predict = function.get("predict_fn", "predict")
    if predict not in PREDICT_FUNCTIONS:
        raise NotAdmitted(f"the model's predict_fn {predict!r} is not on the list of functions")
    return loader


def _check_code(flavors: Mapping[str, Any]) -> None:
    for flavor, settings in flavors.items():
        if not isinstance(settings, dict):
            continue
        for key in sorted(_CODE_KEYS & settings.keys()):
            if settings[key] is not None:
                raise NotAdmitted(
                    f"the model brings code of its own ({flavor}: {key}); "
                    f"{ENV_ALLOW_CUSTOM_CODE}=true allows it"
                )


def _check_paths(flavors: Mapping[str, Any]) -> None:
    """Nothing that MLflow may read as a path leads out of the folder."""
    for text in _strings(flavors):
        path = PurePosixPath(text.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts:
            raise NotAdmitted(f"MLmodel names {text!r}, which is outside of the model's folder")


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _serving_example(folder: Path, document: Mapping[str, Any], files: set[str]) -> Path | None:
    info = document.get("saved_input_example_info")
    name = info.get("serving_input_path") if isinstance(info, dict) else None
    return folder / name if isinstance(name, str) and name in files else None
