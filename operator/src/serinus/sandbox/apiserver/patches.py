"""JSON patch, merge patch and strategic merge patch."""

from __future__ import annotations

from typing import Any

import orjson

from serinus.sandbox.apiserver import schema as schemas
from serinus.sandbox.apiserver.errors import ApiError, bad_request, invalid_patch
from serinus.sandbox.apiserver.schema import Schema, clone


def merge_patch(target: Any, patch: Any) -> Any:
    """Return ``target`` with an RFC 7386 merge patch applied.

    Raises:
        ApiError: 422 when the patch is not an object.
    """
    if not isinstance(patch, dict):
        raise not_an_object(patch)
    return _merged(target, patch)


def not_an_object(patch: Any) -> ApiError:
    """The patch is JSON but no object."""
    kind = {list: "array", str: "string", bool: "bool"}.get(type(patch), "number")
    why = f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
    return invalid_patch(orjson.dumps(patch).decode(), why)


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value)
    return result


def _unprocessable(message: str) -> ApiError:
    return ApiError(422, "Invalid", message)


def _pointer(text: str) -> list[str]:
    if text == "":
        return []
    if not text.startswith("/"):
        raise bad_request(f"json: invalid pointer {text!r}")
    return [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]


def _step(node: Any, part: str, path: str) -> Any:
    if isinstance(node, dict) and part in node:
        return node[part]
    if isinstance(node, list) and part.isdigit() and int(part) < len(node):
        return node[int(part)]
    raise _unprocessable(
        f"the server rejected our request due to an error in our request: {path!r} does not exist"
    )


def _lookup(document: Any, path: str) -> Any:
    for part in _pointer(path):
        document = _step(document, part, path)
    return document


def _add(document: Any, path: str, value: Any, *, replace: bool = False) -> Any:
    parts = _pointer(path)
    if not parts:
        return value
    parent = document
    for part in parts[:-1]:
        parent = _step(parent, part, path)
    last = parts[-1]
    if replace:
        _step(parent, last, path)
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        index = len(parent) if last == "-" else int(last) if last.isdigit() else -1
        if not 0 <= index <= len(parent):
            raise _unprocessable(f"index {last} of {path!r} is out of range")
        if replace:
            parent[index] = value
        else:
            parent.insert(index, value)
    else:
        raise _unprocessable(f"{path!r} has no place in the object")
    return document


def _remove(document: Any, path: str) -> Any:
    parts = _pointer(path)
    if not parts:
        raise _unprocessable("the whole object cannot be removed by a patch")
    parent = document
    for part in parts[:-1]:
        parent = _step(parent, part, path)
    _step(parent, parts[-1], path)
    if isinstance(parent, dict):
        del parent[parts[-1]]
    else:
        del parent[int(parts[-1])]
    return document


def json_patch(target: Any, operations: Any) -> Any:
    """Return ``target`` with an RFC 6902 patch applied.

    Raises:
        ApiError: 422 when a test fails or a path does not exist, 400 for a malformed patch.
    """
    if not isinstance(operations, list):
        raise bad_request("a JSON patch is a list of operations")
    document = clone(target)
    for operation in operations:
        try:
            name, path = operation["op"], operation["path"]
        except (KeyError, TypeError):
            raise bad_request("a JSON patch operation needs op and path") from None
        document = _operate(document, name, path, operation)
    return document


def _operate(document: Any, name: str, path: str, operation: dict[str, Any]) -> Any:
    match name:
        case "test":
            if _lookup(document, path) != operation.get("value"):
                raise _unprocessable(f"testing value {path} failed")
            return document
        case "add":
            return _add(document, path, clone(operation.get("value")))
        case "replace":
            return _add(document, path, clone(operation.get("value")), replace=True)
        case "remove":
            return _remove(document, path)
        case "copy" | "move" if isinstance(operation.get("from"), str):
            value = clone(_lookup(document, operation["from"]))
            if name == "move":
                document = _remove(document, operation["from"])
            return _add(document, path, value)
        case _:
            raise bad_request(f"not a JSON patch operation: {operation}")


def strategic_merge(target: Any, patch: Any, schema: Schema) -> Any:
    """Return ``target`` with a strategic merge patch applied, lists merged as the schema says.

    Raises:
        ApiError: 422 when the patch is not an object, 400 when it misses a merge key.
    """
    if not isinstance(patch, dict):
        raise not_an_object(patch)
    return _strategic(target, patch, schema)


def _strategic(target: Any, patch: Any, schema: Schema) -> Any:
    if not isinstance(patch, dict):
        return patch
    directive = patch.get("$patch")
    if directive == "replace":
        return {name: value for name, value in patch.items() if name != "$patch"}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise bad_request(f"invalid value of $patch: {directive!r}")
    result = dict(target) if isinstance(target, dict) else {}
    if "$retainKeys" in patch:
        retained = set(patch["$retainKeys"])
        result = {name: value for name, value in result.items() if name in retained}
    _apply_list_directives(result, patch)
    for name, value in patch.items():
        if name.startswith("$"):
            continue
        inner = schemas.field(schema, name) or {}
        if value is None:
            result.pop(name, None)
        elif isinstance(value, list):
            order = _element_order(patch, name, inner)
            result[name] = _merge_list(result.get(name), value, inner, order)
        else:
            result[name] = _strategic(result.get(name), value, inner)
    return result


def _apply_list_directives(result: dict[str, Any], patch: dict[str, Any]) -> None:
    for name, value in patch.items():
        if name.startswith("$deleteFromPrimitiveList/"):
            field = name.split("/", 1)[1]
            result[field] = [item for item in result.get(field) or [] if item not in value]


def _merge_key(schema: Schema) -> str | None:
    key: str | None = schema.get("x-kubernetes-patch-merge-key")
    return key


def _element_order(patch: dict[str, Any], name: str, schema: Schema) -> list[Any] | None:
    given = patch.get(f"$setElementOrder/{name}")
    key = _merge_key(schema)
    return [item[key] for item in given] if given and key else given


def _merge_list(
    target: Any, patch: list[Any], schema: Schema, order: list[Any] | None
) -> list[Any]:
    if "merge" not in schema.get("x-kubernetes-patch-strategy", "").split(","):
        return _without_directives(patch)
    current = list(target or [])
    key = _merge_key(schema)
    if key is None:
        return current + [item for item in patch if item not in current]
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if item.get("$patch") != "replace"]
    inner = schemas.items(schema)
    live = {item.get(key): item for item in current}
    patched: dict[Any, Any] = {}
    deleted = set()
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        if item.get("$patch") == "delete":
            deleted.add(item[key])
        else:
            patched[item[key]] = _strategic(live.get(item[key]), item, inner)
    untouched = [name for name in live if name not in patched and name not in deleted]
    wanted = [name for name in order or () if name in patched]
    changed = [*wanted, *(name for name in patched if name not in wanted)]
    items = {**live, **patched}
    return [items[name] for name in _interleaved(untouched, changed, list(live))]


def _interleaved(untouched: list[Any], changed: list[Any], live: list[Any]) -> list[Any]:
    """Merge two orders: what the patch does not name goes first only where it stood before."""
    rank = {name: index for index, name in enumerate(live)}
    result: list[Any] = []
    rest = list(untouched)
    for name in changed:
        while rest and name in rank and rank[rest[0]] < rank[name]:
            result.append(rest.pop(0))
        result.append(name)
    return result + rest


def _without_directives(patch: list[Any]) -> list[Any]:
    return [item for item in patch if not (isinstance(item, dict) and "$patch" in item)]
