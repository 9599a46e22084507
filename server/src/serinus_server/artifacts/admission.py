"""Decide whether a model may be loaded. Loading runs its code, so this looks without loading.

This is an allow-list: what it does not know, it refuses. It keeps a model from running Python code
of its author's choice. It is no proof that a model is harmless: the libraries that read it are
large and written in C++, so digests, a trusted registry and a confined pod still matter.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from serinus_server.artifacts.flavors import CHECKS, Model, text
from serinus_server.artifacts.folder import walk
from serinus_server.artifacts.limits import Limits
from serinus_server.artifacts.mlmodel import FILE_NAME, MLmodel, read_mlmodel
from serinus_server.artifacts.names import shown
from serinus_server.contract import ENV_ALLOW_CUSTOM_CODE
from serinus_server.errors import NotAdmitted

LOADERS = frozenset(CHECKS)
# MLflow's own, but they run code of the model's author, or pickles that are not checked here.
CUSTOM_LOADERS = frozenset(
    {"mlflow.pyfunc.model"}
    | {f"mlflow.pyfunc.loaders.{n}" for n in ("chat_agent", "chat_model", "code_model", "responses_agent")}
    | {f"mlflow.{name}" for name in ("pmdarima", "spacy", "statsmodels")}
)  # fmt: skip
PREDICT_FUNCTIONS = frozenset(
    {"predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba", "score"}
)
_CODE_KEYS = frozenset({"code", "code_path", "code_paths", "model_code_path", "custom_objects"})
_CODE_SUFFIXES = (".py", ".pyc", ".pyd", ".so", ".dll", ".dylib", ".cloudpickle")
_DEVICES = frozenset({None, "cpu", "cuda", "mps"})
# MLflow takes these as a sign to leave out its own checks.
_SWITCHES = ("DATABRICKS_RUNTIME_VERSION", "IS_IN_DB_MODEL_SERVING_ENV")


@dataclass(frozen=True, slots=True)
class Admitted:
    """What is known of a model before it is loaded."""

    loader: str
    serving_example: Path | None  # a body for MLflow's /invocations, if one was logged


def admit(
    folder: Path, *, allow_custom_code: bool = False, limits: Limits | None = None
) -> Admitted:
    """Look at the model in ``folder`` and say what it is. Nothing of it is run.

    ``folder`` must be private: what is loaded is what is there after this returned.

    Raises:
        NotAdmitted: it is no MLflow model, or one that this server does not allow.
    """
    limits = limits or Limits()
    files = {file.name for file in walk(folder, limits)}
    mlmodel = read_mlmodel(folder)
    loader = _check_loader(mlmodel.function, allow_custom_code)
    if not allow_custom_code:
        _check_environment(os.environ)
        _check_code(mlmodel.flavors, files)
        _check_config(mlmodel.function, loader)
        CHECKS[loader](Model(folder, mlmodel, limits))
    return Admitted(loader, _serving_example(folder, mlmodel, files))


def _check_loader(function: Mapping[str, Any], allow_custom_code: bool) -> str:
    loader = function.get("loader_module")
    if not isinstance(loader, str):
        raise NotAdmitted("MLmodel names no loader_module")
    if loader not in LOADERS and not allow_custom_code:
        hint = f"; {ENV_ALLOW_CUSTOM_CODE}=true allows it" if loader in CUSTOM_LOADERS else ""
        raise NotAdmitted(f"the model's loader {shown(loader)} is not on the list of loaders{hint}")
    if loader not in LOADERS | CUSTOM_LOADERS and function.get("code") is None:
        raise NotAdmitted(
            f"the model's loader {shown(loader)} is unknown and the model lacks its code"
        )
    predict = text(function, "predict_fn", "predict")
    if predict not in PREDICT_FUNCTIONS:
        raise NotAdmitted(
            f"the model's predict_fn {shown(predict)} is not on the list of functions"
        )
    if text(function, "predict_stream_fn", "predict_stream") != "predict_stream":
        raise NotAdmitted("the model's predict_stream_fn is not on the list of functions")
    return loader


def _check_code(flavors: Mapping[str, Mapping[str, Any]], files: set[str]) -> None:
    for flavor, settings in flavors.items():
        for key in sorted(key for key in settings if key in _CODE_KEYS):
            if settings[key] is not None:
                raise NotAdmitted(
                    f"the model brings code of its own ({shown(flavor)}: {key}); "
                    f"{ENV_ALLOW_CUSTOM_CODE}=true allows it"
                )
    for name in sorted(files):
        path = PurePosixPath(name)
        if path.name.lower().endswith(_CODE_SUFFIXES):
            raise NotAdmitted(
                f"the model brings code of its own ({shown(name)}); "
                f"{ENV_ALLOW_CUSTOM_CODE}=true allows it"
            )
        # MLflow reads the one beside the file that it loads, whichever that is.
        if path.name.lower() == FILE_NAME.lower() and name != FILE_NAME:
            raise NotAdmitted(f"the model holds a second MLmodel file, {shown(name)}")


def _check_config(function: Mapping[str, Any], loader: str) -> None:
    config = function.get("model_config")
    if config is None or config == {}:
        return
    device_only = isinstance(config, dict) and config.keys() == {"device"}
    if loader != "mlflow.pytorch" or not device_only or config["device"] not in _DEVICES:
        raise NotAdmitted(
            "MLmodel has a model_config, which only models with code of their own use"
        )


def _check_environment(environ: Mapping[str, str]) -> None:
    for name in _SWITCHES:
        if name in environ:
            raise NotAdmitted(f"{name} is set: MLflow would skip its own checks; unset it")


def _serving_example(folder: Path, mlmodel: MLmodel, files: set[str]) -> Path | None:
    info = mlmodel.document.get("saved_input_example_info")
    name = info.get("serving_input_path") if isinstance(info, dict) else None
    return folder / name if isinstance(name, str) and name in files else None
