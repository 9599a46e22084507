"""How a client wants objects: as they are, as a table (kubectl), or only their metadata."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from serinus.sandbox.apiserver import printing
from serinus.sandbox.apiserver.conversion import present
from serinus.sandbox.apiserver.resources import Resource
from serinus.sandbox.apiserver.store import Object


class View:
    """Renders objects of one resource for one request."""

    def __init__(
        self, request: web.Request, resource: Resource, clock: Callable[[], float]
    ) -> None:
        accept = request.headers.get("Accept", "")
        self._resource = resource
        self._clock = clock
        self._table = printing.wants_table(accept)
        self._metadata = printing.wants_metadata(accept)
        self._include = request.query.get("includeObject", "Metadata")
        self._first_event = True

    def one(self, obj: Object) -> dict[str, Any]:
        """Return a single object."""
        if self._table:
            return self._as_table([obj], obj["metadata"]["resourceVersion"])
        return printing.metadata_only(obj) if self._metadata else obj

    def many(self, objects: list[Object], revision: str) -> dict[str, Any]:
        """Return a list at a revision."""
        kind, version = f"{self._resource.kind}List", self._resource.api_version
        if self._table:
            return self._as_table(objects, revision)
        if self._metadata:
            kind, version = "PartialObjectMetadataList", "meta.k8s.io/v1"
            objects = [printing.metadata_only(obj) for obj in objects]
        elif not self._resource.custom:  # typed lists do not repeat the kind
            hidden = ("kind", "apiVersion")
            objects = [{k: v for k, v in obj.items() if k not in hidden} for obj in objects]
        metadata = {"resourceVersion": revision}
        return {"kind": kind, "apiVersion": version, "metadata": metadata, "items": objects}

    def event(self, kind: str, obj: Object) -> dict[str, Any]:
        """Return a watch event; only the first of a table names the columns."""
        if kind == "BOOKMARK":
            shown: dict[str, Any] = {
                "kind": self._resource.kind,
                "apiVersion": self._resource.api_version,
                **obj,
            }
        elif self._table:
            revision = obj["metadata"]["resourceVersion"]
            shown = self._as_table([present(self._resource, obj)], revision)
            self._first_event = False
        else:
            shown = self.one(present(self._resource, obj))
        return {"type": kind, "object": shown}

    def _as_table(self, objects: list[Object], revision: str) -> dict[str, Any]:
        return printing.table(
            self._resource,
            objects,
            {"resourceVersion": revision},
            self._clock(),
            include=self._include,
            with_columns=self._first_event,
        )
