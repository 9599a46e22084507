"""Checks custom objects against their structural schema, with the real server's wording."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import re2  # type: ignore[import-untyped]

from serinus.sandbox.apiserver import schema as schemas
from serinus.sandbox.apiserver.errors import Cause
from serinus.sandbox.apiserver.schema import Schema


@functools.lru_cache(maxsize=1024)
def _pattern(text: str) -> Callable[[str], object]:
    compiled: Any = re2.compile(text)
    search: Callable[[str], object] = compiled.search
    return search


def type_name(value: Any) -> str:
    """Return the JSON type's name as messages call it."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def shown(value: Any) -> str:
    """Return a value as ``Invalid value: ...`` shows it."""
    return orjson.dumps(value).decode()


def _matches_type(value: Any, wanted: str) -> bool:
    have = type_name(value)
    if wanted == "number":
        return have in ("number", "integer")
    if wanted == "integer":
        return have == "integer" or (isinstance(value, float) and value.is_integer())
    return have == wanted


class Validator:
    """Collects everything that is wrong with one object."""

    def __init__(self) -> None:
        self.causes: list[Cause] = []

    def _add(self, path: str, reason: str, message: str) -> None:
        self.causes.append(Cause(path, reason, message))

    def _invalid(self, path: str, value: Any, why: str) -> None:
        message = f"Invalid value: {shown(value)}: {path} in body {why}"
        self._add(path, "FieldValueInvalid", message)

    def check(self, value: Any, schema: Schema, path: str) -> None:
        """Check ``value`` and everything inside."""
        if value is None and schema.get("nullable"):
            return
        if not self._check_type(value, schema, path):
            return
        if isinstance(value, str):
            self._check_string(value, schema, path)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self._check_number(value, schema, path)
        elif isinstance(value, list):
            self._check_list(value, schema, path)
        elif isinstance(value, dict):
            self._check_object(value, schema, path)
        self._check_enum(value, schema, path)
        self._check_combinations(value, schema, path)

    def _check_type(self, value: Any, schema: Schema, path: str) -> bool:
        if schema.get("x-kubernetes-int-or-string"):
            wanted, fits = "integer,string", type_name(value) in ("integer", "string")
        else:
            wanted = schema.get("type", "")
            fits = not wanted or _matches_type(value, wanted)
        if not fits:
            name = type_name(value)
            why = f"{path} in body must be of type {wanted}: {shown(name)}"
            message = f"Invalid value: {shown(name)}: {why}"
            self._add(path, "FieldValueTypeInvalid", message)
        return fits

    def _check_string(self, value: str, schema: Schema, path: str) -> None:
        if len(value) > schema.get("maxLength", len(value)):
            why = f"Too long: may not be more than {schema['maxLength']} bytes"
            self._add(path, "FieldValueTooLong", why)
        if len(value) < schema.get("minLength", 0):
            self._invalid(path, value, f"should be at least {schema['minLength']} chars long")
        if (pattern := schema.get("pattern")) and not _pattern(pattern)(value):
            self._invalid(path, value, f"should match '{pattern}'")
        if schema.get("format") in _FORMATS and not _FORMATS[schema["format"]](value):
            why = f"{path} in body must be of type {schema['format']}: {shown(value)}"
            self._add(path, "FieldValueInvalid", f"Invalid value: {shown(value)}: {why}")

    def _check_number(self, value: float, schema: Schema, path: str) -> None:
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is not None:
            if schema.get("exclusiveMinimum") and value <= low:
                self._invalid(path, value, f"should be greater than {low}")
            elif value < low:
                self._invalid(path, value, f"should be greater than or equal to {low}")
        if high is not None:
            if schema.get("exclusiveMaximum") and value >= high:
                self._invalid(path, value, f"should be less than {high}")
            elif value > high:
                self._invalid(path, value, f"should be less than or equal to {high}")
        factor = schema.get("multipleOf")
        if factor and value % factor:
            self._invalid(path, value, f"should be a multiple of {factor}")

    def _check_list(self, value: list[Any], schema: Schema, path: str) -> None:
        size = len(value)
        if size > schema.get("maxItems", size):
            why = f"Too many: {size}: must have at most {schema['maxItems']} items"
            self._add(path, "FieldValueTooMany", why)
        if size < schema.get("minItems", 0):
            self._invalid(path, value, f"should have at least {schema['minItems']} items")
        inner = schemas.items(schema)
        for index, item in enumerate(value):
            self.check(item, inner, f"{path}[{index}]")
        self._check_unique(value, schema, path)

    def _check_unique(self, value: list[Any], schema: Schema, path: str) -> None:
        keys = schemas.list_keys(schema)
        if keys is None or "x-kubernetes-list-type" not in schema:
            return
        seen: set[bytes] = set()
        for index, item in enumerate(value):
            if keys and isinstance(item, Mapping):
                identity: Any = {key: item[key] for key in keys if key in item}
            else:
                identity = item
            text = orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)
            if text in seen:
                why = f"Duplicate value: {shown(identity)}"
                self._add(f"{path}[{index}]", "FieldValueDuplicate", why)
            seen.add(text)

    def _check_object(self, value: dict[str, Any], schema: Schema, path: str) -> None:
        prefix = f"{path}." if path else ""
        for name in schema.get("required") or ():
            if name not in value:
                self._add(f"{prefix}{name}", "FieldValueRequired", "Required value")
        size = len(value)
        if size > schema.get("maxProperties", size):
            why = f"Too many: {size}: must have at most {schema['maxProperties']} items"
            self._add(path, "FieldValueTooMany", why)
        if size < schema.get("minProperties", 0):
            why = f"should have at least {schema['minProperties']} properties"
            self._invalid(path, value, why)
        for name, inner in value.items():
            child = schemas.field(schema, name)
            if child is not None:
                self.check(inner, child, f"{prefix}{name}")

    def _check_enum(self, value: Any, schema: Schema, path: str) -> None:
        allowed = schema.get("enum")
        if allowed is not None and value not in allowed:
            choices = ", ".join(shown(choice) for choice in allowed)
            message = f"Unsupported value: {shown(value)}: supported values: {choices}"
            self._add(path, "FieldValueNotSupported", message)

    def _check_combinations(self, value: Any, schema: Schema, path: str) -> None:
        for part in schema.get("allOf") or ():
            self.check(value, part, path)
        if (options := schema.get("anyOf")) and not any(_fits(value, part) for part in options):
            self._combination(path, value, "at least one schema (anyOf)")
        if options := schema.get("oneOf"):
            fitting = sum(_fits(value, part) for part in options)
            if fitting != 1:
                found = "none" if not fitting else str(fitting)
                why = f"one and only one schema (oneOf). Found {found} valid"
                self._combination(path, value, why)
        if (excluded := schema.get("not")) and _fits(value, excluded):
            message = f'Invalid value: {shown(value)}: "{path}" must not validate the schema (not)'
            self._add(path, "FieldValueInvalid", message)

    def _combination(self, path: str, value: Any, why: str) -> None:
        message = f'Invalid value: {shown(value)}: "{path}" must validate {why}'
        self._add(path, "FieldValueInvalid", message)


def _fits(value: Any, schema: Schema) -> bool:
    trial = Validator()
    trial.check(value, schema, "")
    return not trial.causes


def _is_date_time(text: str) -> bool:
    try:
        return dt.datetime.fromisoformat(text).tzinfo is not None and "T" in text.upper()
    except ValueError:
        return False


_FORMATS: dict[str, Callable[[str], bool]] = {"date-time": _is_date_time}


def validate(obj: Any, schema: Schema) -> list[Cause]:
    """Return every violation of the schema, in the order of the object's fields."""
    validator = Validator()
    for name, value in obj.items():
        declared = schemas.field(schema, name)
        if declared is not None and name not in ("apiVersion", "kind", "metadata"):
            validator.check(value, declared, name)
    for name in schema.get("required") or ():
        if name not in obj:
            validator.causes.append(Cause(name, "FieldValueRequired", "Required value"))
    return validator.causes


def _go_type(schema: Schema) -> str:
    match schema.get("type"), schema.get("format"):
        case "integer", str(width):
            return width
        case "integer", _:
            return "int"
        case "boolean", _:
            return "bool"
        case "array", _:
            return "[]object"
        case kind, _:
            return str(kind or "object")


def wrong_type(value: Any, schema: Schema, path: str = "") -> str | None:
    """Return why a built-in object cannot be decoded, in the words of Go's JSON decoder."""
    wanted = schema.get("type")
    if value is None or schema.get("format") == "int-or-string":
        return None
    if wanted and not _matches_type(value, wanted):
        name = {"boolean": "bool", "integer": "number"}.get(type_name(value), type_name(value))
        where = f"Go struct field {path}" if path else "Go value"
        return f"json: cannot unmarshal {name} into {where} of type {_go_type(schema)}"
    if isinstance(value, dict):
        for name, inner in value.items():
            child = schemas.field(schema, name)
            inner_path = f"{path}.{name}" if path else name
            if child is not None and (why := wrong_type(inner, child, inner_path)):
                return why
    elif isinstance(value, list):
        for item in value:
            if why := wrong_type(item, schemas.items(schema), path):
                return why
    return None
