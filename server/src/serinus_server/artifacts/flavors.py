"""What each of MLflow's flavours can be made to run or read, and the check against it.

Every check finds the file as MLflow's own loader of that flavour does. A file that is not there is
left to the loader, which says so: there is nothing to run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serinus_server.artifacts.formats.keras import check_keras
from serinus_server.artifacts.formats.onnx import check_onnx
from serinus_server.artifacts.formats.pickled import check_pickle
from serinus_server.artifacts.formats.skops import check_skops
from serinus_server.artifacts.formats.torch import check_torch
from serinus_server.artifacts.limits import Budget, Limits
from serinus_server.artifacts.mlmodel import MLmodel
from serinus_server.artifacts.names import shown
from serinus_server.contract import ENV_ALLOW_CUSTOM_CODE
from serinus_server.errors import NotAdmitted

_XGBOOST_CLASSES = frozenset(
    {"xgboost.core.Booster"}
    | {
        f"xgboost.sklearn.XGB{name}"
        for name in ("Classifier", "Model", "RFClassifier", "RFRegressor", "Ranker", "Regressor")
    }
)
_LIGHTGBM_BOOSTER = "lightgbm.basic.Booster"
_LIGHTGBM_CLASSES = frozenset(
    {_LIGHTGBM_BOOSTER}
    | {f"lightgbm.sklearn.LGBM{name}" for name in ("Classifier", "Model", "Ranker", "Regressor")}
)
_PICKLE_MODULES = frozenset({"pickle", "mlflow.pytorch.pickle_module"})
_KERAS_MODULES = frozenset({"keras", "tensorflow.keras"})
_SESSION_OPTIONS = frozenset(
    {
        "inter_op_num_threads", "intra_op_num_threads", "execution_mode",
        "graph_optimization_level",
    }
)  # fmt: skip
_MAX_NOTE_BYTES = 200


@dataclass(frozen=True, slots=True)
class Model:
    """A model to be checked: its files in ``folder``, what it says of itself, and its limits."""

    folder: Path
    mlmodel: MLmodel
    limits: Limits

    @property
    def data(self) -> Path:
        """The file or folder that MLflow hands to the flavour's loader."""
        return self.file(self.mlmodel.function, "data", "")

    def flavor(self, name: str) -> Mapping[str, Any]:
        """What ``MLmodel`` says of the flavour ``name``; empty where it says nothing."""
        return self.mlmodel.flavors.get(name, {})

    def file(self, flavor: Mapping[str, Any], key: str, default: str) -> Path:
        """The path below the model's folder that ``flavor`` has under ``key``."""
        return self.folder / text(flavor, key, default)

    def budget(self) -> Budget:
        """What one archive within the model may unpack to."""
        return Budget(self.limits)


def text(flavor: Mapping[str, Any], key: str, default: str) -> str:
    """The text that ``flavor`` has under ``key``.

    Raises:
        NotAdmitted: it is something else than text.
    """
    value = flavor.get(key, default)
    if not isinstance(value, str):
        raise NotAdmitted(f"MLmodel's {key!r} is no text")
    return value


def _sklearn(model: Model) -> None:
    path, flavor = model.data, model.flavor("sklearn")
    if path.is_file():
        # Only beside the file does MLflow look for the format; elsewhere it takes it as a pickle.
        flavor = flavor if path.parent == model.folder else {}
    else:
        path = path / text(model.mlmodel.function, "model_path", "model.pkl")
    _estimator(path, text(flavor, "serialization_format", "pickle"), model)


def _estimator(path: Path, form: str, model: Model) -> None:
    if form not in ("pickle", "cloudpickle", "skops"):
        raise NotAdmitted(f"MLmodel's serialization_format {shown(form)} is unknown")
    if not path.is_file():
        return
    if form == "skops":
        check_skops(path, model.budget())
    else:
        check_pickle(path)


def _xgboost(model: Model) -> None:
    _one_of(model.flavor("xgboost"), "model_class", _XGBOOST_CLASSES, "xgboost.core.Booster")
    _one_of(model.flavor("xgboost"), "model_format", frozenset({"xgb", "json", "ubj"}), "xgb")


def _lightgbm(model: Model) -> None:
    flavor = model.flavor("lightgbm")
    _one_of(flavor, "model_class", _LIGHTGBM_CLASSES, _LIGHTGBM_BOOSTER)
    if text(flavor, "model_class", _LIGHTGBM_BOOSTER) != _LIGHTGBM_BOOSTER:
        form = text(flavor, "serialization_format", "cloudpickle")
        _estimator(model.file(flavor, "data", ""), form, model)


def _catboost(model: Model) -> None:
    _one_of(model.flavor("catboost"), "save_format", frozenset({"cbm", "json", "onnx"}), "cbm")


def _prophet(model: Model) -> None:
    """JSON, from which Prophet sets numbers and tables."""


def _onnx(model: Model) -> None:
    flavor = model.flavor("onnx")
    providers = flavor.get("providers") or []
    if isinstance(providers, str):
        providers = [providers]
    # Options of a provider name libraries to be loaded and folders to be written.
    if not isinstance(providers, list) or not all(isinstance(each, str) for each in providers):
        raise NotAdmitted("MLmodel's ONNX providers have options; only their names are allowed")
    options = flavor.get("onnx_session_options") or {}
    if not isinstance(options, dict) or not all(isinstance(each, str) for each in options):
        raise NotAdmitted("MLmodel's onnx_session_options are no mapping of names")
    for key in sorted(options.keys() - _SESSION_OPTIONS):
        if options[key]:
            raise NotAdmitted(f"MLmodel's onnx_session_options have {shown(key)}, not allowed here")
    if model.data.is_file():
        check_onnx(model.data)


def _pytorch(model: Model) -> None:
    path = model.data
    if path.is_dir():
        note = _note(path / "pickle_module_info.txt")
        if note is not None and note not in _PICKLE_MODULES:
            raise NotAdmitted(
                f"the model has itself read by the module {shown(note)}, which is not on the list"
            )
        plain = path / "model.pth"
        path = plain if plain.exists() else path / "model.pt2"
    if path.exists():
        check_torch(path, model.budget())


def _tensorflow(model: Model) -> None:
    flavor = model.flavor("keras" if "keras" in model.mlmodel.flavors else "tensorflow")
    form = _note(model.data / "save_format.txt")
    module = _note(model.data / "keras_module.txt")
    path = model.data / "model.keras"
    if flavor.get("model_type") != "keras" or form in (None, "h5") or not path.exists():
        raise _program("a TensorFlow graph or an HDF5 file", "model.save('model.keras')")
    if module is not None and module not in _KERAS_MODULES:
        raise NotAdmitted(
            f"the model has itself read by the module {shown(module)}, which is not on the list"
        )
    check_keras(path, model.budget())


def _keras(model: Model) -> None:
    flavor = model.flavor("keras")
    if flavor.get("save_exported_model"):
        raise _program("an exported TensorFlow graph", "save_exported_model=False")
    path = model.data / text(flavor, "data", "model")
    if path.is_dir():
        path = path / "model"
    path = path.with_name(f"{path.name}.keras")
    if path.exists():
        check_keras(path, model.budget())


def _program(what: str, instead: str) -> NotAdmitted:
    return NotAdmitted(
        f"the model is {what}, which is a program and cannot be checked; save it by {instead}, or "
        f"allow it by {ENV_ALLOW_CUSTOM_CODE}=true"
    )


def _note(path: Path) -> str | None:
    """The content of a file by which MLflow remembers one word; None: there is no such file."""
    try:
        with path.open("rb") as file:
            return file.read(_MAX_NOTE_BYTES).decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None


def _one_of(flavor: Mapping[str, Any], key: str, allowed: frozenset[str], default: str) -> None:
    value = text(flavor, key, default)
    if value not in allowed:
        raise NotAdmitted(f"MLmodel's {key} {shown(value)} is not on the list of what is loaded")


# By loader_module. MLflow's other loaders run code that the model brings, or read pickles of
# packages for which there is no list of trusted names.
CHECKS: dict[str, Callable[[Model], None]] = {
    "mlflow.catboost": _catboost,
    "mlflow.keras": _keras,
    "mlflow.lightgbm": _lightgbm,
    "mlflow.onnx": _onnx,
    "mlflow.prophet": _prophet,
    "mlflow.pytorch": _pytorch,
    "mlflow.sklearn": _sklearn,
    "mlflow.tensorflow": _tensorflow,
    "mlflow.xgboost": _xgboost,
}
