"""The routers, by the name that the resource gives them. An unknown name is an error."""

from __future__ import annotations

from collections.abc import Mapping

from serinus.api.spec import RouterKind
from serinus.render.routes.base import Router
from serinus.render.routes.gateway import GatewayRouter

ROUTERS: Mapping[RouterKind, Router] = {RouterKind.GATEWAY: GatewayRouter()}
