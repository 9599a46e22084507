"""The built-in types as schemas, read from the models of the installed Kubernetes client.

The models' sources are read, not imported: importing builds a pydantic validator for each of some
three hundred classes, which takes seconds, and none of them is needed. What the models do not say
(how lists are merged) is in ``merging``.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serinus.sandbox.apiserver import merging

_REFERENCE = "#/definitions/"
_CLASS = re.compile(r"([A-Z][a-z]+)?(V\d[a-z0-9]*)([A-Z]\w*)")
_SCALARS: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "bool": {"type": "boolean"},
    "int": {"type": "integer", "format": "int32"},
    "float": {"type": "number", "format": "double"},
    "bytes": {"type": "string", "format": "byte"},
    "datetime": {"type": "string", "format": "date-time"},
    "object": {},  # anything
}
_INT_OR_STRING = {"type": "string", "format": "int-or-string"}
# The client knows one kind of integer; these are the wide ones.
_INT64 = frozenset({
    "activeDeadlineSeconds", "deletionGracePeriodSeconds", "expirationSeconds", "fsGroup",
    "generation", "gracePeriodSeconds", "maxItems", "maxLength", "maxProperties", "minItems",
    "minLength", "minProperties", "observedGeneration", "runAsGroup", "runAsUser", "sizeBytes",
    "supplementalGroups",
    "terminationGracePeriodSeconds", "tolerationSeconds",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Field:
    """One field of a model: name in JSON, type in the client's words, annotation, description."""

    name: str
    type: str
    annotation: str
    required: bool
    description: str


@functools.cache
def _folder() -> Path:
    found = importlib.util.find_spec("kubernetes")
    if found is None or not found.submodule_search_locations:
        raise ImportError("the Kubernetes client (package kubernetes) is not installed")
    return Path(found.submodule_search_locations[0], "client", "models")


def _path(model: str) -> Path:
    words = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", model)
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", words)
    return _folder() / f"{words.lower()}.py"


@functools.cache
def model_of(group: str, version: str, kind: str) -> str:
    """Return the name of a kind's model; kinds of the same name are told apart by their group.

    Raises:
        LookupError: the client has no such kind.
    """
    plain = f"{version.capitalize()}{kind}"
    prefix = group.partition(".")[0].capitalize() or "Core"
    for model in (plain, f"{prefix}{plain}"):
        if _path(model).is_file():
            return model
    raise LookupError(
        f"the Kubernetes client has no model of {kind} in {group or 'core'}/{version}"
    )


@functools.cache
def definition_name(model: str) -> str:
    """Return what OpenAPI documents call a model: ``io.k8s.v1.PodSpec``."""
    prefix, version, kind = _parts(model)
    return ".".join(["io.k8s", *([prefix.lower()] if prefix else []), version.lower(), kind])


def _parts(model: str) -> tuple[str, str, str]:
    match = _CLASS.fullmatch(model)
    if match is None:
        raise LookupError(f"{model} is not the name of a model")
    return match[1] or "", match[2], match[3]


def _fields(model: str) -> Iterator[_Field]:
    text = _path(model).read_text(encoding="utf-8")
    start = text.index(f"\nclass {model}(")
    # The rest of the class is methods, most of the file.
    parsed = ast.parse(text[start : text.index("    __properties", start)]).body[0]
    assigned = {
        node.target.id: node
        for node in getattr(parsed, "body", ())
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    types = _table(assigned["openapi_types"])
    names = _table(assigned["attribute_map"])
    for attribute, kind in types.items():
        # Names that pydantic or Python has taken are spelled var_schema, var_not.
        node = assigned.get(attribute) or assigned[f"var_{attribute.lstrip('_')}"]
        annotation = ast.unparse(node.annotation)
        yield _Field(
            name=names[attribute],
            type=kind,
            annotation=annotation,
            required=_is_required(node),
            description=_argument(node, "description", ""),
        )


def _table(node: ast.AnnAssign) -> dict[str, str]:
    if node.value is None:
        raise ValueError(f"{ast.unparse(node.target)} has no value")
    table: dict[str, str] = ast.literal_eval(node.value)
    return table


def _argument(node: ast.AnnAssign, name: str, default: str) -> str:
    for keyword in node.value.keywords if isinstance(node.value, ast.Call) else ():
        if keyword.arg == name:
            return str(ast.literal_eval(keyword.value))
    return default


def _is_required(node: ast.AnnAssign) -> bool:
    if isinstance(node.value, ast.Call):
        return not any(keyword.arg == "default" for keyword in node.value.keywords)
    return node.value is None


def _schema_of_type(kind: str) -> dict[str, Any]:
    """Translate ``Dict[str, List[V1Pod]]`` and the like."""
    outer, bracket, inner = kind.removesuffix("]").partition("[")
    if outer == "List" and bracket:
        return {"type": "array", "items": _schema_of_type(inner)}
    if outer == "Dict" and bracket:
        values = _schema_of_type(inner.partition(", ")[2])
        return {"type": "object", "additionalProperties": values}
    if kind in _SCALARS:
        return dict(_SCALARS[kind])
    return {"$ref": _REFERENCE + definition_name(kind)}


def _schema_of_field(owner: str, field: _Field) -> dict[str, Any]:
    is_either = "StrictInt | StrictStr" in field.annotation
    schema: dict[str, Any] = dict(_INT_OR_STRING) if is_either else _schema_of_type(field.type)
    inner: dict[str, Any] = schema.get("items", schema)
    if field.name in _INT64 and inner.get("format") == "int32":
        inner["format"] = "int64"
    if field.description and "$ref" not in schema:
        schema["description"] = field.description
    return {**schema, **merging.of_field(owner, field.name)}


def definitions(roots: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the schemas of models, and of all models that they use, by definition name.

    Raises:
        LookupError: the installed client is not as this module expects it.
    """
    found: dict[str, dict[str, Any]] = {}
    todo = list(roots)
    while todo:
        model = todo.pop()
        name = definition_name(model)
        if name in found:
            continue
        try:
            fields = list(_fields(model))
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise LookupError(f"the Kubernetes client's {model} cannot be read: {error}") from error
        owner = _parts(model)[2]
        found[name] = {
            "type": "object",
            "properties": {field.name: _schema_of_field(owner, field) for field in fields},
            **merging.of_type(owner),
        }
        if required := [field.name for field in fields if field.required]:
            found[name]["required"] = required
        todo += [used for field in fields for used in re.findall(r"\w*V\d\w+", field.type)]
    return found
