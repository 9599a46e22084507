"""Read ``MLmodel``, the file by which MLflow decides what to import and to open.

MLflow reads it with PyYAML as UTF-8. This reads the same text with the same parser, so that both
see one document, and refuses what is well-formed but has no place in a model.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from serinus_server.artifacts.names import shown
from serinus_server.errors import NotAdmitted

FILE_NAME = "MLmodel"
FUNCTION_FLAVOR = "python_function"
_MAX_BYTES = 1024 * 1024
_MAX_NODES = 50_000  # after aliases are followed, each time anew
_MAX_NESTING = 32
_MERGE_TAG = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True)
class MLmodel:
    """What the file says: ``flavors`` by name, and the whole ``document``."""

    document: dict[str, Any]
    flavors: dict[str, dict[str, Any]]

    @property
    def function(self) -> dict[str, Any]:
        """The flavor that MLflow's Python function is loaded by."""
        return self.flavors[FUNCTION_FLAVOR]

    def paths(self) -> Iterator[str]:
        """Every text that MLflow may read as a path below the model's folder."""
        yield from _strings(self.flavors)
        yield from _strings(self.document.get("saved_input_example_info"))


def read_mlmodel(folder: Path) -> MLmodel:
    """The ``MLmodel`` of the model in ``folder``.

    Raises:
        NotAdmitted: there is none, or it is not what MLflow writes.
    """
    document = _document(_text(folder / FILE_NAME))
    flavors = document.get("flavors")
    if not isinstance(flavors, dict) or not isinstance(flavors.get(FUNCTION_FLAVOR), dict):
        raise NotAdmitted(
            f"MLmodel has no {FUNCTION_FLAVOR} flavor: MLflow has no function to predict with"
        )
    for name, flavor in flavors.items():
        if not isinstance(flavor, dict):
            raise NotAdmitted(f"MLmodel's flavor {shown(str(name))} is no mapping")
    mlmodel = MLmodel(document, flavors)
    for text in mlmodel.paths():
        path = PurePosixPath(text.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or "\0" in text:
            raise NotAdmitted(
                f"MLmodel names {shown(text)}, which is outside of the model's folder"
            )
    return mlmodel


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise NotAdmitted("there is no MLmodel file: this is no MLflow model") from None
    except IsADirectoryError:
        raise NotAdmitted("MLmodel is a folder: this is no MLflow model") from None
    if len(content) > _MAX_BYTES:
        raise NotAdmitted(f"MLmodel is larger than {_MAX_BYTES} bytes")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise NotAdmitted("MLmodel is no UTF-8 text") from None
    if text.startswith("\ufeff"):
        raise NotAdmitted("MLmodel begins with a byte order mark: write it as plain UTF-8")
    return text


def _document(text: str) -> dict[str, Any]:
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except NotAdmitted:
        raise
    except (Exception, RecursionError):  # noqa: BLE001 - PyYAML raises all kinds on odd scalars
        raise NotAdmitted("MLmodel is no valid YAML, or uses types of its own") from None
    _check_size(document)
    if not isinstance(document, dict):
        raise NotAdmitted("MLmodel is no mapping")
    return document


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, without what makes one text mean two things or grow."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if any(key.tag == _MERGE_TAG for key, _ in node.value):
            raise NotAdmitted("MLmodel has YAML merge keys (<<), which MLflow does not write")

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        mapping = super().construct_mapping(node, deep)
        if len(mapping) != len(node.value):
            raise NotAdmitted("MLmodel has a key twice in one mapping")
        return mapping


def _check_size(document: object) -> None:
    """Bound the document as it would be written without aliases; those may stand in themselves."""
    pending, nodes = [(document, 0)], 0
    while pending:
        value, depth = pending.pop()
        nodes += 1
        if nodes > _MAX_NODES or depth > _MAX_NESTING:
            raise NotAdmitted(
                f"MLmodel has more than {_MAX_NODES} values, or more than {_MAX_NESTING} levels"
            )
        if isinstance(value, dict):
            pending.extend((item, depth + 1) for item in value.values())
        elif isinstance(value, (list, tuple, set)):
            pending.extend((item, depth + 1) for item in value)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            yield from _strings(item)
