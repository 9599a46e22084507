"""Open Inference Protocol, version 2, over gRPC. The ``_pb2`` modules are made by `make generate`."""
