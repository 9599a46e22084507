"""What a router is to the operator: it describes objects and reads them back. It does no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from serinus.api.spec import GatewayRef, Traffic
from serinus.core.observed import RouteSeen
from serinus.render.meta import Owner

Weights = tuple[tuple[str, int], ...]  # (short revision, percent)


@dataclass(frozen=True, slots=True)
class Target:
    """What a route is made for."""

    owner: Owner
    traffic: Traffic
    gateway: GatewayRef


class Router(Protocol):
    def render(self, target: Target, weights: Weights, fence: str = "") -> dict[str, Any]:
        """The route object that sends these weights to these revisions (short).

        ``fence`` names the commit that they come from; empty: none is written.
        """

    def reweigh(
        self, owner: Owner, live: Mapping[str, Any], weights: Weights, fence: str = ""
    ) -> dict[str, Any]:
        """The live route with other weights and nothing else changed."""

    def weights(self, owner: Owner, live: Mapping[str, Any]) -> dict[str, int]:
        """The weights that the live route carries, by short revision."""

    def observed(self, target: Target, live: Mapping[str, Any]) -> RouteSeen:
        """The weights that the live route carries, and whether the router took them."""

    def unconfirmed(self, owner: Owner, live: Mapping[str, Any], problem: str) -> RouteSeen:
        """What the live route carries, when nobody can say whether the router took it."""

    def answers(self, target: Target, live: Mapping[str, Any]) -> bool:
        """Whether the live route is for exactly the addresses of the target."""

    def same(self, live: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
        """Whether the live route says what the manifest says, no less and no more."""
