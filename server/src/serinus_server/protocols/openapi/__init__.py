"""What this server takes and answers, for people and for tools: made of the model's signature."""

from serinus_server.protocols.openapi.answers import Bounds
from serinus_server.protocols.openapi.routes import Documentation

__all__ = ["Bounds", "Documentation"]
