"""Open Inference Protocol, version 2. What REST and gRPC share is in datatypes, tensors and model."""

from serinus_server.protocols.v2.codec import V2Codec
from serinus_server.protocols.v2.model import EXTENSIONS, check_names, model_metadata

__all__ = ["EXTENSIONS", "V2Codec", "check_names", "model_metadata"]
