"""What a router is to the operator: it describes objects and reads them back. It does no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from serinus.api.spec import GatewayRef, Traffic
from serinus.core.observed import RouteSeen
from serinus.render.meta import Owner


@dataclass(frozen=True, slots=True)
class Target:
    """What a route is made for."""

    owner: Owner
    traffic: Traffic
    gateway: GatewayRef


class Router(Protocol):
    def render(self, target: Target, weights: tuple[tuple[str, int], ...]) -> dict[str, Any]:
        """The route object that sends these weights to these revisions (short)."""

    def observed(self, target: Target, seen: Mapping[str, Any]) -> RouteSeen:
        """The weights that the live object carries, and whether the router took them."""
