"""What an API server serves."""

from __future__ import annotations

from serinus.sandbox.client import KubeClient
from serinus.sandbox.objects import Object
from serinus.sandbox.resources import Resource

_NEEDED = {"list", "watch", "delete"}


async def collections(client: KubeClient) -> tuple[Resource, ...]:
    """Every resource that can be listed, watched and deleted, in its group's preferred version."""
    found: dict[tuple[str, str], Resource] = {}
    core = await client.raw("/api/v1")
    _take(found, "", "v1", core)
    groups = await client.raw("/apis")
    for group in groups.get("groups") or []:
        preferred = group["preferredVersion"]["version"]
        versions = [v["version"] for v in group["versions"]]
        for version in sorted(versions, key=lambda v: v != preferred):
            listing = await client.raw(f"/apis/{group['name']}/{version}")
            _take(found, group["name"], version, listing)
    return tuple(found.values())


def _take(
    found: dict[tuple[str, str], Resource], group: str, version: str, listing: Object
) -> None:
    for entry in listing.get("resources") or []:
        name = entry["name"]
        if "/" in name or not set(entry.get("verbs") or []) >= _NEEDED:
            continue
        resource = Resource(group, version, name, entry["kind"], bool(entry["namespaced"]))
        found.setdefault((group, name), resource)


async def as_served(client: KubeClient, resource: Resource) -> Resource:
    """The resource in the version that the server has; unchanged if it has none."""
    for served in await collections(client):
        if (served.group, served.plural) == (resource.group, resource.plural):
            return served
    return resource
