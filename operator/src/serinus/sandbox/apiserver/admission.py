"""What a write must satisfy before it is committed, and what the server fills in."""

from __future__ import annotations

from serinus.sandbox.apiserver import cel, errors, kinds, names, validation
from serinus.sandbox.apiserver import schema as schemas
from serinus.sandbox.apiserver.errors import Cause
from serinus.sandbox.apiserver.options import DeleteOptions
from serinus.sandbox.apiserver.resources import Resource
from serinus.sandbox.apiserver.schema import clone
from serinus.sandbox.apiserver.store import Object


def set_first_status(resource: Resource, obj: Object) -> None:
    if not resource.has_status:
        return
    given = obj.pop("status", None)
    if not resource.custom and (status := kinds.first_status(resource, given)) is not None:
        obj["status"] = status


def complete(resource: Resource, obj: Object) -> None:
    if resource.custom:
        body = {name: value for name, value in obj.items() if name != "metadata"}
        schemas.apply_defaults(body, schemas.schema_of(resource))
        obj.update(body)
    else:
        kinds.apply_builtin_defaults(resource, obj)


def keep_ignored_parts(resource: Resource, live: Object, obj: Object, subresource: str) -> None:
    if subresource == "status":
        status = obj.get("status")
        metadata = live["metadata"] if resource.custom else {
            **obj["metadata"], "labels": live["metadata"].get("labels"),
            "ownerReferences": live["metadata"].get("ownerReferences"),
        }  # fmt: skip
        metadata = {name: value for name, value in metadata.items() if value is not None}
        obj.clear()
        obj.update({**clone(live), "metadata": clone(metadata)})
        obj.pop("status", None)
        if status is not None:
            obj["status"] = status
    elif resource.has_status:
        obj.pop("status", None)
        if "status" in live:
            obj["status"] = clone(live["status"])


def content(obj: Object, resource: Resource) -> Object:
    """What the generation counts: everything but metadata and status."""
    skipped = {"metadata", "apiVersion", "kind"} | ({"status"} if resource.has_status else set())
    return {name: value for name, value in obj.items() if name not in skipped}


def same(before: Object, after: Object) -> bool:
    """Whether nothing changed; the order of fields and times of managers do not count."""
    if before == after:
        return True
    left, right = ({**obj, "metadata": dict(obj["metadata"])} for obj in (before, after))
    owners = [
        [
            {name: value for name, value in entry.items() if name != "time"}
            for entry in side["metadata"].pop("managedFields", [])
        ]
        for side in (left, right)
    ]
    return left == right and owners[0] == owners[1]


def reset_fields(resource: Resource, subresource: str, config: Object) -> frozenset[str]:
    if subresource == "status":
        kept = {"f:status"} if resource.custom else {"f:status", "f:metadata"}
        return frozenset({f"f:{name}" for name in config} - kept)
    return frozenset({"f:status"}) if resource.has_status else frozenset()


def validate(resource: Resource, before: Object | None, obj: Object) -> None:
    metadata = obj["metadata"]
    causes = []
    if before is None:
        subdomain = resource.dns_subdomain_names
        name = metadata.get("name", "")
        causes += names.check_name(name, resource.group, subdomain=subdomain)
    causes += names.check_metadata(metadata)
    if before is not None:
        causes += _check_new_finalizers(before["metadata"], metadata)
    if resource.custom:
        schema = schemas.schema_of(resource)
        causes += validation.validate(obj, schema)
        causes += cel.check_object(obj, before, schema, causes)
    else:
        causes += kinds.check_builtin(resource, obj)
        if before is not None:
            causes += kinds.check_immutable(resource, before, obj)
    if causes:
        name = metadata.get("name", "")
        raise errors.invalid(resource.kind, resource.group, name, causes)


def _check_new_finalizers(before: Object, after: Object) -> list[Cause]:
    if "deletionTimestamp" not in before:
        return []
    new = [
        name
        for name in after.get("finalizers") or []
        if name not in (before.get("finalizers") or [])
    ]
    if not new:
        return []
    listed = ", ".join(f'"{name}"' for name in new)
    why = (
        "Forbidden: no new finalizers can be added if the object is being deleted, found new"
        f" finalizers []string{{{listed}}}"
    )
    return [Cause("metadata.finalizers", "FieldValueForbidden", why)]


def check_preconditions(resource: Resource, live: Object, given: Object) -> None:
    before = live["metadata"]
    if given.get("uid") not in (None, "", before["uid"]):
        why = (
            f"Precondition failed: UID in precondition: {given['uid']}, "
            f"UID in object meta: {before['uid']}"
        )
        raise errors.conflict(resource.plural, resource.group, before["name"], why)
    stated = given.get("resourceVersion")
    if stated not in (None, "", "0", before["resourceVersion"]):
        raise errors.conflict(resource.plural, resource.group, before["name"])


def check_delete_preconditions(resource: Resource, live: Object, options: DeleteOptions) -> None:
    metadata = live["metadata"]
    revision = metadata["resourceVersion"]
    for label, wanted, have, since in (
        ("UID", options.uid, metadata["uid"], "deleted and then recreated"),
        ("ResourceVersion", options.resource_version, revision, "modified"),
    ):
        if wanted is not None and wanted != have:
            why = (
                f"the {label} in the precondition ({wanted}) does not match the {label} in"
                f" record ({have}). The object might have been {since}"
            )
            raise errors.conflict(resource.kind, resource.group, metadata["name"], why)
