"""Look into ``.keras`` files: their ``config.json`` names the classes that Keras will make."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from serinus_server.artifacts.formats.pickled import refuse
from serinus_server.artifacts.formats.zipped import open_zip
from serinus_server.artifacts.limits import Budget
from serinus_server.artifacts.names import shown
from serinus_server.errors import NotAdmitted

_MAX_CONFIG_BYTES = 16 * 1024 * 1024
_MAX_NESTING = 64
# Keras' public modules of plain classes. Its ``utils`` and ``ops`` hold functions that fetch and
# unpack files.
_MODULES = frozenset(
    {
        "keras", "keras.activations", "keras.constraints", "keras.initializers", "keras.layers",
        "keras.losses", "keras.metrics", "keras.models", "keras.optimizers",
        "keras.optimizers.schedules", "keras.regularizers", "keras.src.models.functional",
        "keras.src.models.sequential",
    }
)  # fmt: skip
# Layers that run code or another program, or read files that the configuration names.
_CODE = frozenset(
    {
        "Lambda", "FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper", "__lambda__",
        "function", "StringLookup", "IntegerLookup", "TextVectorization", "IndexLookup",
    }
)  # fmt: skip
# Values that JSON has no form for.
_VALUES = frozenset(
    {
        "__bytes__", "__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__",
    }
)  # fmt: skip
_ENTRIES = ("config.json", "metadata.json", "model.weights.h5")


def check_keras(path: Path, budget: Budget) -> None:
    """Refuse the ``.keras`` file ``path`` if it asks for anything but Keras' own plain classes.

    Raises:
        NotAdmitted: it does, or is no such file.
    """
    with open_zip(path, budget) as archive:
        for entry in archive.infolist():
            if entry.filename not in _ENTRIES:
                refuse(path.name, entry.filename)
        try:
            with archive.open("config.json") as file:
                text = file.read(_MAX_CONFIG_BYTES + 1)
            if len(text) > _MAX_CONFIG_BYTES:
                raise NotAdmitted(f"{shown(path.name)} has too large a config.json")
            config = json.loads(text.decode("utf-8"), object_pairs_hook=_without_repetition)
        except (KeyError, ValueError, RecursionError):
            raise NotAdmitted(f"{shown(path.name)} has no config.json that can be read") from None
    _check(config, path.name)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _check(config: Any, file: str) -> None:
    pending = [(config, 0)]
    while pending:
        value, depth = pending.pop()
        if depth > _MAX_NESTING:
            raise NotAdmitted(f"{shown(file)} has a config.json of too many levels")
        if isinstance(value, dict):
            _check_object(value, file)
            pending.extend((item, depth + 1) for item in value.values())
        elif isinstance(value, list):
            pending.extend((item, depth + 1) for item in value)


def _check_object(value: dict[str, Any], file: str) -> None:
    if value.get("enable_unsafe_deserialization") or "fn" in value:
        refuse(file, "unsafe deserialization")
    if "class_name" not in value and "module" not in value:
        return
    module, name = value.get("module"), value.get("class_name")
    registered = value.get("registered_name")
    if (
        not isinstance(name, str)
        or name in _CODE
        or (name.startswith("__") and name not in _VALUES)
    ):
        refuse(file, str(name))
    if "module" not in value:  # a value, or a class that Keras knows by its name alone
        return
    if not isinstance(module, str) or module not in _MODULES:
        refuse(file, f"{module}.{name}")
    if registered not in (None, name):
        refuse(file, str(registered))
