"""Evaluates ``x-kubernetes-validations``: rules in CEL on the nodes of a custom object's schema.

The evaluator is cel-python; this module adds the string and list functions of Kubernetes that
rules in the field use, and finds the old value of each node for rules that compare.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import orjson

from serinus.sandbox.apiserver import schema as schemas
from serinus.sandbox.apiserver.errors import Cause
from serinus.sandbox.apiserver.schema import Schema

Rule: TypeAlias = Mapping[str, Any]

_MISSING = object()
_RESERVED = frozenset({
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function",
    "if", "import", "let", "loop", "package", "namespace", "return", "var", "void", "while",
})  # fmt: skip
_OLD_SELF = re.compile(r"\boldSelf\b")
_BLOCKING = frozenset({
    "FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany",
    "FieldValueTypeInvalid",
})  # fmt: skip
_NOT_CHECKED = (
    'Invalid value: "null": some validation rules were not checked because the object was invalid;'
    " correct the existing errors to complete validation"
)


def escape(name: str) -> str:
    """Return a field's name as rules must write it."""
    if name in _RESERVED:
        return f"__{name}__"
    for text, word in (("__", "underscores"), (".", "dot"), ("-", "dash"), ("/", "slash")):
        name = name.replace(text, f"__{word}__")
    return name


def _functions() -> dict[str, Any]:
    from celpy import celtypes

    text, integer, boolean = celtypes.StringType, celtypes.IntType, celtypes.BoolType

    def split(value: Any, separator: Any, limit: Any = -1) -> Any:
        parts = value.split(separator) if limit < 0 else value.split(separator, max(limit - 1, 0))
        return celtypes.ListType([text(part) for part in parts])

    def is_sorted(values: Any) -> Any:
        return boolean(all(a <= b for a, b in itertools.pairwise(values)))

    return {
        "split": split,
        "join": lambda values, separator="": text(separator.join(values)),
        "replace": lambda value, old, new: text(value.replace(old, new)),
        "lowerAscii": lambda value: text(value.lower()),
        "upperAscii": lambda value: text(value.upper()),
        "trim": lambda value: text(value.strip()),
        "substring": lambda value, start, end=None: text(value[start:end]),
        "indexOf": lambda value, part: integer(value.find(part)),
        "lastIndexOf": lambda value, part: integer(value.rfind(part)),
        "sum": lambda values: functools.reduce(lambda a, b: a + b, values, integer(0)),
        "min": min,
        "max": max,
        "isSorted": is_sorted,
    }


@functools.cache
def _environment() -> tuple[Any, dict[str, Any]]:
    import celpy

    return celpy.Environment(), _functions()


@functools.lru_cache(maxsize=1024)
def _program(rule: str) -> Any:
    environment, functions = _environment()
    return environment.program(environment.compile(rule), functions=functions)


def to_cel(value: Any, schema: Schema) -> Any:
    """Return JSON data as CEL values, with timestamps and durations where the schema says so."""
    from celpy import celtypes

    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        return celtypes.MapType({
            celtypes.StringType(escape(name) if name in properties else name): to_cel(
                inner, schemas.field(schema, name) or {}
            )
            for name, inner in value.items()
        })  # fmt: skip
    if isinstance(value, list):
        return celtypes.ListType([to_cel(item, schemas.items(schema)) for item in value])
    match value, schema.get("type"), schema.get("format"):
        case None, _, _:
            return None
        case bool(), _, _:
            return celtypes.BoolType(value)
        case int() | float(), "number", _:
            return celtypes.DoubleType(value)
        case int(), _, _:
            return celtypes.IntType(value)
        case float(), _, _:
            return celtypes.DoubleType(value)
        case str(), _, "date-time":
            return celtypes.TimestampType(value)
        case str(), _, "duration":
            return celtypes.DurationType(value)
        case _:
            return celtypes.StringType(value)


def _evaluate(expression: str, values: dict[str, Any]) -> Any:
    """Return the result.

    Raises:
        ValueError: the expression cannot be compiled or evaluated.
    """
    from celpy.celparser import CELParseError
    from celpy.evaluation import CELEvalError

    try:
        return _program(expression).evaluate(values)
    except (CELEvalError, CELParseError, TypeError, OverflowError) as error:
        why = error.args[0] if error.args else error
        raise ValueError(str(why)) from None


def _message(rule: Rule, values: dict[str, Any]) -> str:
    if expression := rule.get("messageExpression"):
        try:
            made = str(_evaluate(expression, values))
        except ValueError:
            made = ""
        if made.strip() and "\n" not in made:
            return made
    return str(rule.get("message") or f"failed rule: {rule['rule']}").strip()


def _cause(rule: Rule, path: str, kind: str, why: str) -> Cause:
    field = f"{path}{rule.get('fieldPath', '')}".lstrip(".") if path else (
        rule.get("fieldPath", "").lstrip(".") or "<nil>")  # fmt: skip
    reason = rule.get("reason", "FieldValueInvalid")
    match reason:
        case "FieldValueForbidden":
            return Cause(field, reason, f"Forbidden: {why}")
        case "FieldValueRequired":
            return Cause(field, reason, f"Required value: {why}")
        case "FieldValueDuplicate":
            return Cause(field, reason, f'Duplicate value: "{kind}"')
        case _:
            return Cause(field, reason, f'Invalid value: "{kind}": {why}')


class _Answers:
    """Remembers what rules said: most writes leave most nodes as they were, and CEL is slow."""

    def __init__(self, limit: int = 10_000) -> None:
        self._known: dict[tuple[str, bytes, bytes], bool | str] = {}
        self._limit = limit

    def holds(self, rule: str, value: Any, old: Any, schema: Schema) -> bool | str:
        """Return whether the rule holds, or why it could not be evaluated."""
        before = b"" if old is _MISSING else orjson.dumps(old)
        key = (rule, orjson.dumps(value), before)
        answer = self._known.get(key)
        if answer is None:
            values = {"self": to_cel(value, schema)}
            if old is not _MISSING:
                values["oldSelf"] = to_cel(old, schema)
            try:
                answer = bool(_evaluate(rule, values))
            except ValueError as error:
                answer = str(error)
            if len(self._known) >= self._limit:
                self._known.clear()
            self._known[key] = answer
        return answer


_answers = _Answers()


def _check_node(value: Any, old: Any, schema: Schema, path: str) -> Iterator[Cause]:
    kind = schema.get("type", "object")
    for rule in schema["x-kubernetes-validations"]:
        transition = _OLD_SELF.search(rule["rule"]) is not None
        if (old is _MISSING) if transition else value == old:
            continue  # nothing to compare with yet; or not changed, so not this write's fault
        answer = _answers.holds(rule["rule"], value, old if transition else _MISSING, schema)
        if isinstance(answer, str):
            what = rule.get("message", rule["rule"])
            why = f"rule evaluation error: {answer} evaluating rule: {what}"
            yield Cause(path or "<nil>", "FieldValueInvalid", f'Invalid value: "{kind}": {why}')
        elif not answer:
            yield _cause(rule, path, kind, _message(rule, {"self": to_cel(value, schema)}))


def _old_items(value: list[Any], old: Any, schema: Schema) -> list[Any]:
    """Return the old value of every item; only keyed lists know which one that is."""
    from serinus.sandbox.apiserver.fields import indexed

    keys = schemas.list_keys(schema)
    if not keys or not isinstance(old, list):
        return [_MISSING] * len(value)
    before = indexed(old, keys, schema)
    return [before.get(element, _MISSING) for element in indexed(value, keys, schema)]


def check(value: Any, old: Any, schema: Schema, path: str = "") -> Iterator[Cause]:
    """Yield what breaks the rules of a node and of everything inside."""
    if value is None:
        return
    if "x-kubernetes-validations" in schema:
        yield from _check_node(value, old, schema, path)
    if isinstance(value, dict):
        before = old if isinstance(old, dict) else {}
        for name, inner in value.items():
            child = schemas.field(schema, name)
            if child is not None and (path or name != "metadata") and has_rules(child):
                inner_path = f"{path}.{name}" if path else name
                yield from check(inner, before.get(name, _MISSING), child, inner_path)
    elif isinstance(value, list) and has_rules(schemas.items(schema)):
        before_items = _old_items(value, old, schema)
        for index, (item, before_item) in enumerate(zip(value, before_items, strict=True)):
            yield from check(item, before_item, schemas.items(schema), f"{path}[{index}]")


_rules_cache: dict[int, tuple[Schema, bool]] = {}


def has_rules(schema: Schema) -> bool:
    """Whether a schema has rules anywhere; remembered per schema."""
    known = _rules_cache.get(id(schema))
    if known is None or known[0] is not schema:
        children = list((schema.get("properties") or {}).values())
        children += [
            schema[name]
            for name in ("items", "additionalProperties")
            if isinstance(schema.get(name), Mapping)
        ]
        found = "x-kubernetes-validations" in schema or any(
            "$ref" not in child and has_rules(child) for child in children
        )
        known = _rules_cache[id(schema)] = (schema, found)
    return known[1]


def check_object(
    obj: Mapping[str, Any], old: Mapping[str, Any] | None, schema: Schema, earlier: list[Cause]
) -> list[Cause]:
    """Return what breaks the rules; nothing is evaluated on an object of the wrong shape."""
    if not has_rules(schema):
        return []
    if any(cause.reason in _BLOCKING for cause in earlier):
        return [Cause("<nil>", "FieldValueInvalid", _NOT_CHECKED)]
    before: Any = _MISSING if old is None else old
    return list(check(dict(obj), before, schema))
