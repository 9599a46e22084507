"""What each verb does to an object, between the HTTP layer and the store."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable
from typing import Any

from serinus.sandbox.apiserver import admission, apply, deletion, errors, validation
from serinus.sandbox.apiserver import schema as schemas
from serinus.sandbox.apiserver.apply import Manager
from serinus.sandbox.apiserver.conversion import present
from serinus.sandbox.apiserver.decoding import check_namespace, decode, other_name
from serinus.sandbox.apiserver.errors import ApiError, Cause
from serinus.sandbox.apiserver.options import DeleteOptions, Write, rfc3339
from serinus.sandbox.apiserver.resources import CRD_GROUP, NAMESPACES, Resource
from serinus.sandbox.apiserver.schema import clone
from serinus.sandbox.apiserver.store import Object, Store

_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: no words
_MUST_STATE_VERSION = {(CRD_GROUP, "customresourcedefinitions"), ("coordination.k8s.io", "leases")}


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
        return present(resource, found)

    # Writing

    def create(self, resource: Resource, namespace: str, body: Object, write: Write) -> Object:
        """Create an object from a client's body and return it."""
        obj = decode(resource, body, write)
        metadata = obj["metadata"]
        if metadata.get("resourceVersion"):
            message = "resourceVersion should not be set on objects to be created"
            raise ApiError(500, "", message)  # what the real server says
        check_namespace(resource, namespace, metadata)
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
        admission.set_first_status(resource, obj)
        admission.complete(resource, obj)
        admission.validate(resource, None, obj)
        if name and self.store.get(resource.key, namespace, name) is not None:
            raise errors.already_exists(resource.plural, resource.group, name)
        self._record(resource, None, obj, write, managers)
        return obj if write.dry_run else self.store.put(resource.key, obj)

    def update(
        self, resource: Resource, namespace: str, name: str, body: Object, write: Write
    ) -> Object:
        """Replace an object and return it."""
        live = self.get(resource, namespace, name)
        obj = decode(resource, body, write)
        metadata = obj["metadata"]
        if metadata.get("name", name) != name:
            raise other_name(metadata["name"], name)
        metadata["name"] = name
        check_namespace(resource, namespace, metadata)
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
            obj = decode(resource, patched, write)
        except ApiError as error:
            raise errors.invalid_patch(validation.shown(patched), error.message) from None
        if obj["metadata"].get("name") != name:
            raise other_name(obj["metadata"].get("name", ""), name)
        check_namespace(resource, namespace, obj["metadata"])
        return self._replace(resource, live, obj, write)

    def apply(
        self, resource: Resource, namespace: str, name: str, body: Object, write: Write
    ) -> tuple[Object, bool]:
        """Server-side apply; return the object and whether it was created."""
        if body.get("metadata", {}).get("managedFields"):
            raise errors.bad_request("metadata.managedFields must be nil")
        config = decode(resource, body, write)
        if config["metadata"].setdefault("name", name) != name:
            raise other_name(config["metadata"]["name"], name)
        check_namespace(resource, namespace, config["metadata"])
        stored = self.store.get(resource.key, namespace, name)
        live = present(resource, stored) if stored else None
        if live is None and write.subresource:
            raise errors.not_found(resource.plural, resource.group, name)
        if live is not None:
            admission.check_preconditions(resource, live, config["metadata"])
        elif config["metadata"].get("resourceVersion") or config["metadata"].get("uid"):
            raise errors.not_found(resource.plural, resource.group, name)
        merged, managers = apply.apply_configuration(
            live,
            config,
            self._actor(resource, write, "Apply"),
            schemas.schema_of(resource),
            force=write.force,
            reset=admission.reset_fields(resource, write.subresource, config),
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
        admission.check_preconditions(resource, live, metadata)
        stated = metadata.get("managedFields") if write.subresource == "" else None
        admission.keep_ignored_parts(resource, live, obj, write.subresource)
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
        admission.complete(resource, obj)
        if (
            admission.content(obj, resource) != admission.content(live, resource)
            and "generation" in before
        ):
            metadata["generation"] = before["generation"] + 1
        admission.validate(resource, live, obj)
        if managers is None and stated and stated != before.get("managedFields"):
            self._restate_managers(resource, live, obj, stated, write)
        else:
            self._record(resource, live, obj, write, managers)
        if admission.same(live, obj):
            return live
        if write.dry_run:
            return obj
        if "deletionTimestamp" in metadata and deletion.may_go(resource, obj):
            self.store.remove(resource.key, metadata.get("namespace", ""), metadata["name"])
            return obj
        return self.store.put(resource.key, obj)

    # Deleting

    def delete(
        self, resource: Resource, namespace: str, name: str, options: DeleteOptions
    ) -> tuple[Object, bool]:
        """Delete an object; return its last state and whether it is gone already."""
        live = self.get(resource, namespace, name)
        admission.check_delete_preconditions(resource, live, options)
        obj = clone(live)
        metadata = obj["metadata"]
        finalizers = deletion.finalizers(metadata, options)
        if finalizers != (metadata.get("finalizers") or []):
            metadata["finalizers"] = finalizers
        grace = deletion.grace_seconds(resource, live, options)
        held = bool(finalizers) or deletion.holds_contents(resource, live)
        deletion.mark_deleted(resource, obj, grace, self._clock())
        if grace == 0 and not held:
            if not options.dry_run:
                last = self.store.remove(resource.key, namespace, name)
                metadata["resourceVersion"] = last["metadata"]["resourceVersion"]
            return obj, True
        if not options.dry_run and not admission.same(live, obj):
            obj = self.store.put(resource.key, obj)
        return obj, False

    # Steps shared by the verbs

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
