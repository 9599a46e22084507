"""Rules for names, labels and annotations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from serinus.sandbox.apiserver.errors import Cause

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_LABEL = re.compile(_LABEL)
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_PATH_SEGMENT_NAMES = {"rbac.authorization.k8s.io"}
_ANNOTATIONS_LIMIT = 256 * 1024

_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.',"
    " and must start and end with an alphanumeric character (e.g. 'example.com', regex used for"
    r" validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must"
    " start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for"
    " validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_LABEL_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.',"
    " and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or"
    " '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_QUALIFIED_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end"
    " with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for"
    " validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


def _bad(field: str, value: str, rule: str) -> Cause:
    return Cause(field, "FieldValueInvalid", f'Invalid value: "{value}": {rule}')


def check_name(name: str, group: str, *, subdomain: bool) -> list[Cause]:
    """Return what is wrong with an object's name."""
    if not name:
        why = "Required value: name or generateName is required"
        return [Cause("metadata.name", "FieldValueRequired", why)]
    if group in _PATH_SEGMENT_NAMES:  # RBAC names may hold ':' and the like
        bad = name in (".", "..") or "/" in name or "%" in name
        return [_bad("metadata.name", name, "may not contain '/' or '%'")] if bad else []
    limit = 253 if subdomain else 63
    if len(name) > limit:
        return [_bad("metadata.name", name, f"must be no more than {limit} characters")]
    if subdomain and not _SUBDOMAIN.fullmatch(name):
        return [_bad("metadata.name", name, _SUBDOMAIN_RULE)]
    if not subdomain and not _DNS_LABEL.fullmatch(name):
        return [_bad("metadata.name", name, _LABEL_RULE)]
    return []


def _check_key(field: str, key: str) -> list[Cause]:
    prefix, slash, rest = key.rpartition("/")
    if slash and not (_SUBDOMAIN.fullmatch(prefix) and len(prefix) <= 253):
        return [_bad(field, key, f"prefix part {_SUBDOMAIN_RULE}")]
    if not rest:
        return [_bad(field, key, "name part must be non-empty")]
    if len(rest) > 63:
        return [_bad(field, key, "name part must be no more than 63 characters")]
    return [] if _QUALIFIED.fullmatch(rest) else [_bad(field, key, _QUALIFIED_RULE)]


def check_metadata(metadata: Mapping[str, Any]) -> list[Cause]:
    """Return what is wrong with labels, annotations, finalizers and owner references."""
    causes: list[Cause] = []
    for key, value in (metadata.get("labels") or {}).items():
        causes += _check_key("metadata.labels", key)
        if len(value) > 63:
            why = "must be no more than 63 characters"
            causes.append(_bad("metadata.labels", value, why))
        elif not _LABEL_VALUE.fullmatch(value):
            causes.append(_bad("metadata.labels", value, _LABEL_VALUE_RULE))
    annotations = metadata.get("annotations") or {}
    for key in annotations:
        causes += _check_key("metadata.annotations", key.lower())
    size = sum(len(key) + len(value) for key, value in annotations.items())
    if size > _ANNOTATIONS_LIMIT:
        why = f"Too long: may not be more than {_ANNOTATIONS_LIMIT} bytes"
        causes.append(Cause("metadata.annotations", "FieldValueTooLong", why))
    for index, name in enumerate(metadata.get("finalizers") or []):
        causes += _check_key(f"metadata.finalizers[{index}]", name)
    return causes + _check_owners(metadata.get("ownerReferences") or [])


def _check_owners(owners: Sequence[Mapping[str, Any]]) -> list[Cause]:
    causes: list[Cause] = []
    controllers = 0
    for index, owner in enumerate(owners):
        field = f"metadata.ownerReferences[{index}]"
        for part in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(part):
                why = 'Invalid value: "": must not be empty'
                causes.append(Cause(f"{field}.{part}", "FieldValueInvalid", why))
        controllers += bool(owner.get("controller"))
    if controllers > 1:
        why = "Only one reference can have Controller set to true"
        causes.append(
            Cause("metadata.ownerReferences", "FieldValueInvalid", f"Invalid value: {why}")
        )
    return causes
