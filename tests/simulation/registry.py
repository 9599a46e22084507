"""A model registry whose aliases can be moved and which can be away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from serinus.api.status import PinnedModel
from serinus.core.observed import ResolveFailed

if TYPE_CHECKING:
    from .world import World


class ModelRegistry:
    """Versions are numbers; an alias stands for one of them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.aliases: dict[str, str] = {}
        self.away_until = 0.0
        self.seconds = 0.05

    async def resolve(self, uri: str) -> PinnedModel | ResolveFailed:
        await asyncio.sleep(self.seconds)
        if self._world.now < self.away_until:
            return ResolveFailed("RegistryUnavailable", "injected: the registry is away")
        name, _, version = uri.removeprefix("models:/").partition("/")
        if not version:
            name, _, alias = name.partition("@")
            version = self.aliases.get(alias, "")
            if not version:
                return ResolveFailed("ModelNotFound", f"no alias {alias}")
        return PinnedModel(
            uri=uri,
            pinned_uri=f"models:/{name}/{version}",
            name=name,
            version=version,
            digest=f"sha256:{int(version):064x}",
        )
