"""What each verb does to an object, between the HTTP layer and the store."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from serinus.sandbox.apiserver import apply, cel, errors, kinds, names, patches, validation
from serinus.sandbox.apiserver import schema as schemas
from serinus.sandbox.apiserver.apply import Manager
from serinus.sandbox.apiserver.errors import ApiError, Cause
from serinus.sandbox.apiserver.resources import CRD_GROUP, Resource
from serinus.sandbox.apiserver.schema import clone
from serinus.sandbox.apiserver.store import Object, Store

NAMESPACES = ("", "namespaces")
_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: no words
_MUST_STATE_VERSION = {(CRD_GROUP, "customresourcedefinitions"), ("coordination.k8s.io", "leases")}


def rfc3339(seconds: float) -> str:
    """Return a point in time (seconds since 1970) as metadata shows it, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@dataclass(slots=True)
class Write:
    """Who writes, and how; collects warnings for the response."""

    manager: str = "unknown"
    subresource: str = ""
    field_validation: str = "Warn"  # Strict | Warn | Ignore
    dry_run: bool = False
    force: bool = False
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """The options of a deletion."""

    grace_seconds: int | None = None
    propagation: str | None = None  # Background | Foreground | Orphan
    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False


class Verbs:
    """Create, update, apply and delete with everything that the real server does around them."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self.store = store
        self._clock = clock

    # Reading

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """Return an object; do not edit it.

        Raises:
            ApiError: 404.
        """
        found = self.store.get(resource.key, namespace, name)
        if found is None:
            raise errors.not_found(resource.plural, resource.group, name)
        return self.present(resource, found)

    @staticmethod
    def present(resource: Resource, obj: Object) -> Object:
        """Return the object in the version that was asked for (conversion strategy None)."""
        if obj["apiVersion"] == resource.api_version:
            return obj
        return {**obj, "apiVersion": resource.api_version}

    # Writing

    def create(self, resource: Resource, namespace: str, body: Object, write: Write) -> Object:
        """Create an object from a client's body and return it."""
        obj = self._decode(resource, body, write)
        metadata = obj["metadata"]
        if metadata.get("resourceVersion"):
            message = "resourceVersion should not be set on objects to be created"
            raise ApiError(500, "", message)  # what the real server says
        self._check_namespace(resource, namespace, metadata)
        return self._create(resource, namespace, obj, write)

    def _create(
        self,
        resource: Resource,
        namespace: str,
        obj: Object,
        write: Write,
        managers: list[Manager] | None = None,
    ) -> Object:
        metadata = obj["metadata"]
        if not metadata.get("name") and (prefix := metadata.get("generateName")):
            metadata["name"] = prefix + "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(5))
        name = metadata.get("name", "")
        self._require_namespace(resource, namespace, name)
        metadata.update(uid=str(uuid.uuid4()), creationTimestamp=rfc3339(self._clock()))
        for gone in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
            metadata.pop(gone, None)
        metadata.pop("managedFields", None)
        metadata.pop("generation", None)
        if resource.custom or resource.has_generation:
            metadata["generation"] = 1
        self._first_status(resource, obj)
        self._complete(resource, obj)
        self._validate(resource, None, obj)
        if name and self.store.get(resource.key, namespace, name) is not None:
            raise errors.already_exists(resource.plural, resource.group, name)
        self._record(resource, None, obj, write, managers)
        return obj if write.dry_run else self.store.put(resource.key, obj)

    @staticmethod
    def _first_status(resource: Resource, obj: Object) -> None:
        if not resource.has_status:
            return
        given = obj.pop("status", None)
        if not resource.custom and (status := kinds.first_status(resource, given)) is not None:
            obj["status"] = status

    def update(
        self, resource: Resource, namespace: str, name: str, body: Object, write: Write
    ) -> Object:
        """Replace an object and return it."""
        live = self.get(resource, namespace, name)
        obj = self._decode(resource, body, write)
        metadata = obj["metadata"]
        if metadata.get("name", name) != name:
            raise _other_name(metadata["name"], name)
        metadata["name"] = name
        self._check_namespace(resource, namespace, metadata)
        if not metadata.get("resourceVersion"):
            strict = resource.custom or resource.key in _MUST_STATE_VERSION
            if strict and write.subresource != "scale":
                why = "Invalid value: 0x0: must be specified for an update"
                cause = Cause("metadata.resourceVersion", "FieldValueInvalid", why)
                raise errors.invalid(resource.plural, resource.group, name, [cause])
        return self._replace(resource, live, obj, write)

    def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Callable[[Object], Object],
        write: Write,
    ) -> Object:
        """Replace an object by ``change`` of it (a patch) and return it."""
        live = self.get(resource, namespace, name)
        patched = change(live)
        try:
            obj = self._decode(resource, patched, write)
        except ApiError as error:
            raise errors.invalid_patch(validation.shown(patched), error.message) from None
        if obj["metadata"].get("name") != name:
            raise _other_name(obj["metadata"].get("name", ""), name)
        self._check_namespace(resource, namespace, obj["metadata"])
        return self._replace(resource, live, obj, write)

    def apply(
        self, resource: Resource, namespace: str, name: str, body: Object, write: Write
    ) -> tuple[Object, bool]:
        """Server-side apply; return the object and whether it was created."""
        if body.get("metadata", {}).get("managedFields"):
            raise errors.bad_request("metadata.managedFields must be nil")
        config = self._decode(resource, body, write)
        if config["metadata"].setdefault("name", name) != name:
            raise _other_name(config["metadata"]["name"], name)
        self._check_namespace(resource, namespace, config["metadata"])
        stored = self.store.get(resource.key, namespace, name)
        live = self.present(resource, stored) if stored else None
        if live is None and write.subresource:
            raise errors.not_found(resource.plural, resource.group, name)
        if live is not None:
            self._check_preconditions(resource, live, config["metadata"])
        elif config["metadata"].get("resourceVersion") or config["metadata"].get("uid"):
            raise errors.not_found(resource.plural, resource.group, name)
        merged, managers = apply.apply_configuration(
            live,
            config,
            self._actor(resource, write, "Apply"),
            schemas.schema_of(resource),
            force=write.force,
            reset=_reset_fields(resource, write.subresource, config),
        )
        merged = clone(merged)
        if live is None:
            return self._create(resource, namespace, merged, write, managers), True
        merged["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
        return self._replace(resource, live, merged, write, managers), False

    def _replace(
        self,
        resource: Resource,
        live: Object,
        obj: Object,
        write: Write,
        managers: list[Manager] | None = None,
    ) -> Object:
        metadata, before = obj["metadata"], live["metadata"]
        self._check_preconditions(resource, live, metadata)
        stated = metadata.get("managedFields") if write.subresource == "" else None
        self._keep_what_this_endpoint_ignores(resource, live, obj, write.subresource)
        metadata = obj["metadata"]
        for kept in (
            "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
            "generation", "resourceVersion", "generateName", "managedFields",
        ):  # fmt: skip
            metadata.pop(kept, None)
            if kept in before:
                metadata[kept] = before[kept]
        if not metadata.get("namespace"):
            metadata.pop("namespace", None)
        self._complete(resource, obj)
        if _content(obj, resource) != _content(live, resource) and "generation" in before:
            metadata["generation"] = before["generation"] + 1
        self._validate(resource, live, obj)
        if managers is None and stated and stated != before.get("managedFields"):
            self._restate_managers(resource, live, obj, stated, write)
        else:
            self._record(resource, live, obj, write, managers)
        if _same(live, obj):
            return live
        if write.dry_run:
            return obj
        if "deletionTimestamp" in metadata and self._may_go(resource, obj):
            self.store.remove(resource.key, metadata.get("namespace", ""), metadata["name"])
            return obj
        return self.store.put(resource.key, obj)

    # Deleting

    def delete(
        self, resource: Resource, namespace: str, name: str, options: DeleteOptions
    ) -> tuple[Object, bool]:
        """Delete an object; return its last state and whether it is gone already."""
        live = self.get(resource, namespace, name)
        self._check_delete_preconditions(resource, live, options)
        obj = clone(live)
        metadata = obj["metadata"]
        finalizers = self._finalizers(metadata, options)
        if finalizers != (metadata.get("finalizers") or []):
            metadata["finalizers"] = finalizers
        grace = self._grace(resource, live, options)
        held = bool(finalizers) or self._holds_contents(resource, live)
        self._mark_deleted(resource, obj, grace)
        if grace == 0 and not held:
            if not options.dry_run:
                last = self.store.remove(resource.key, namespace, name)
                metadata["resourceVersion"] = last["metadata"]["resourceVersion"]
            return obj, True
        if not options.dry_run and not _same(live, obj):
            obj = self.store.put(resource.key, obj)
        return obj, False

    def _mark_deleted(self, resource: Resource, obj: Object, grace: int) -> None:
        metadata = obj["metadata"]
        shorter = grace < metadata.get("deletionGracePeriodSeconds", grace + 1)
        if "deletionTimestamp" not in metadata or shorter:
            if "generation" in metadata and "deletionTimestamp" not in metadata:
                metadata["generation"] += 1
            metadata["deletionTimestamp"] = rfc3339(self._clock() + grace)
            metadata["deletionGracePeriodSeconds"] = grace
        if resource.key == NAMESPACES:
            obj["status"] = {**obj.get("status", {}), "phase": "Terminating"}
            metadata.pop("deletionGracePeriodSeconds", None)

    @staticmethod
    def _finalizers(metadata: Mapping[str, Any], options: DeleteOptions) -> list[str]:
        have = [
            name
            for name in metadata.get("finalizers") or []
            if options.propagation is None or name not in ("foregroundDeletion", "orphan")
        ]
        if options.propagation == "Foreground":
            have.append("foregroundDeletion")
        elif options.propagation == "Orphan":
            have.append("orphan")
        return have

    @staticmethod
    def _grace(resource: Resource, live: Object, options: DeleteOptions) -> int:
        if resource.key != ("", "pods"):
            return 0
        unscheduled = not live["spec"].get("nodeName")
        if unscheduled or live.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            return 0
        if options.grace_seconds is not None:
            return options.grace_seconds
        already = live["metadata"].get("deletionGracePeriodSeconds")
        period = live["spec"].get("terminationGracePeriodSeconds", 30)
        return int(already if already is not None else period)

    @staticmethod
    def _holds_contents(resource: Resource, live: Object) -> bool:
        """Namespaces stay until everything in them is gone."""
        return resource.key == NAMESPACES and bool(live["spec"].get("finalizers"))

    def _may_go(self, resource: Resource, obj: Object) -> bool:
        metadata = obj["metadata"]
        graceful = resource.key == ("", "pods") and metadata.get("deletionGracePeriodSeconds")
        return not (metadata.get("finalizers") or graceful or self._holds_contents(resource, obj))

    @staticmethod
    def _check_delete_preconditions(
        resource: Resource, live: Object, options: DeleteOptions
    ) -> None:
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

    # Steps shared by the verbs

    def _decode(self, resource: Resource, body: Object, write: Write) -> Object:
        """Return a clean copy of the client's body: right kind, known fields, right types."""
        obj = clone(body)
        self._check_kind(resource, obj)
        _drop_empty_metadata(obj)
        schema = schemas.schema_of(resource)
        label = f'{resource.kind} in version "{resource.version}" cannot be handled as a'
        if not isinstance(obj.setdefault("metadata", {}), dict):
            raise errors.bad_request(f"{label} {resource.kind}: metadata is not an object")
        checked = obj if not resource.custom else {"metadata": obj["metadata"]}
        _drop_nulls(checked)
        if why := validation.wrong_type(checked, schema):
            raise errors.bad_request(f"{label} {resource.kind}: {why}")
        unknown = schemas.prune(obj, schema)
        if unknown and write.field_validation == "Strict":
            listed = ", ".join(f'unknown field "{path}"' for path in unknown)
            raise errors.bad_request(f"{label} {resource.kind}: strict decoding error: {listed}")
        if unknown and write.field_validation == "Warn":
            write.warnings += [f'unknown field "{path}"' for path in unknown]
        return obj

    @staticmethod
    def _check_kind(resource: Resource, obj: Object) -> None:
        if not isinstance(obj, dict):
            raise errors.bad_request("the body of the request is not an object")
        if resource.custom and not obj.get("kind"):
            raise errors.bad_request("Object 'Kind' is missing in the body of the request")
        kind = obj.setdefault("kind", resource.kind)
        version = obj.setdefault("apiVersion", resource.api_version)
        if (kind, version) != (resource.kind, resource.api_version):
            raise errors.bad_request(
                f"the object provided is unrecognized (must be of type {resource.kind} in"
                f" {resource.api_version}, but is {kind} in {version})"
            )

    @staticmethod
    def _check_namespace(resource: Resource, namespace: str, metadata: Object) -> None:
        if not resource.namespaced:
            metadata.pop("namespace", None)
        elif metadata.setdefault("namespace", namespace) != namespace:
            raise errors.bad_request(
                "the namespace of the provided object does not match the namespace sent on the"
                " request"
            )

    def _require_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        if not resource.namespaced:
            return
        found = self.store.get(NAMESPACES, "", namespace)
        if found is None:
            raise errors.not_found("namespaces", "", namespace)
        if "deletionTimestamp" in found["metadata"]:
            why = (
                f"unable to create new content in namespace {namespace} because it is being"
                " terminated"
            )
            refusal = errors.forbidden(resource.plural, resource.group, name, why)
            cause = Cause("metadata.namespace", "NamespaceTerminating",
                          f"namespace {namespace} is being terminated")  # fmt: skip
            refusal.details = {**(refusal.details or {}), "causes": [cause.to_dict()]}
            raise refusal

    @staticmethod
    def _complete(resource: Resource, obj: Object) -> None:
        if resource.custom:
            body = {name: value for name, value in obj.items() if name != "metadata"}
            schemas.apply_defaults(body, schemas.schema_of(resource))
            obj.update(body)
        else:
            kinds.apply_builtin_defaults(resource, obj)

    def _validate(self, resource: Resource, before: Object | None, obj: Object) -> None:
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

    @staticmethod
    def _check_preconditions(resource: Resource, live: Object, given: Object) -> None:
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

    @staticmethod
    def _keep_what_this_endpoint_ignores(
        resource: Resource, live: Object, obj: Object, subresource: str
    ) -> None:
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

    def _actor(self, resource: Resource, write: Write, operation: str) -> Manager:
        now = rfc3339(self._clock())
        return Manager(
            write.manager, operation, resource.api_version, write.subresource, now, frozenset()
        )

    def _restate_managers(
        self, resource: Resource, live: Object, obj: Object, stated: list[Any], write: Write
    ) -> None:
        """The client rewrites managedFields itself, as kubectl does; ``[{}]`` clears them."""
        if stated == [{}]:
            obj["metadata"].pop("managedFields", None)
            return
        base = {**live, "metadata": {**live["metadata"], "managedFields": stated}}
        self._record(resource, base, obj, write, None)

    def _record(
        self,
        resource: Resource,
        before: Object | None,
        obj: Object,
        write: Write,
        managers: list[Manager] | None,
    ) -> None:
        """Write metadata.managedFields."""
        if managers is not None:
            obj["metadata"]["managedFields"] = apply.to_managed_fields(managers)
            return
        actor = self._actor(resource, write, "Update")
        schema = schemas.schema_of(resource)
        obj["metadata"]["managedFields"] = apply.record_update(before, obj, actor, schema)


def _other_name(given: str, wanted: str) -> ApiError:
    return errors.bad_request(
        f"the name of the object ({given}) does not match the name on the URL ({wanted})"
    )


def _reset_fields(resource: Resource, subresource: str, config: Object) -> frozenset[str]:
    if subresource == "status":
        kept = {"f:status"} if resource.custom else {"f:status", "f:metadata"}
        return frozenset({f"f:{name}" for name in config} - kept)
    return frozenset({"f:status"}) if resource.has_status else frozenset()


def _content(obj: Object, resource: Resource) -> Object:
    """What the generation counts: everything but metadata and status."""
    skipped = {"metadata", "apiVersion", "kind"} | ({"status"} if resource.has_status else set())
    return {name: value for name, value in obj.items() if name not in skipped}


def _same(before: Object, after: Object) -> bool:
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


def _drop_empty_metadata(obj: Object) -> None:
    metadata = obj.get("metadata")
    if isinstance(metadata, dict):
        for name in ("labels", "annotations", "finalizers", "ownerReferences"):
            if metadata.get(name) in ({}, []):
                del metadata[name]


def _drop_nulls(value: Any) -> None:
    """A null is an absent field for typed objects."""
    if isinstance(value, dict):
        for name in [name for name, inner in value.items() if inner is None]:
            del value[name]
        for inner in value.values():
            _drop_nulls(inner)
    elif isinstance(value, list):
        for inner in value:
            _drop_nulls(inner)


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


def json_change(media_type: str, resource: Resource) -> Callable[[Object, Any], Object]:
    """Return the function ``(object, document) -> object`` of a kind of patch.

    Raises:
        ApiError: 415 when this resource does not take that kind of patch.
    """
    match media_type:
        case "application/json-patch+json":
            return patches.json_patch
        case "application/merge-patch+json":
            return patches.merge_patch
        case "application/strategic-merge-patch+json" if not resource.custom:
            schema = schemas.schema_of(resource)
            return lambda live, document: patches.strategic_merge(live, document, schema)
    accepted = ["application/json-patch+json", "application/merge-patch+json"]
    if not resource.custom:
        accepted.append("application/strategic-merge-patch+json")
    raise errors.unsupported_media_type([*accepted, "application/apply-patch+yaml"])
