"""What the model server promises to whoever runs it. Standard library only.

The operator renders pods and builds queries from these names and imports nothing else of this
package, so that the two cannot drift apart. Durations are seconds as decimal strings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

PORT = 8080
PORT_NAME = "http"

# --- environment -----------------------------------------------------------------------------
ENV_HOST = "SERINUS_HOST"  # address to listen on, default 0.0.0.0
ENV_PORT = "SERINUS_PORT"  # default 8080
ENV_GRPC_PORT = "SERINUS_GRPC_PORT"  # not set: no gRPC; 0: any free port, as for ENV_PORT
ENV_MODEL_NAME = "SERINUS_MODEL_NAME"  # name in the V2 protocol and of the `model` label
ENV_MODEL_URI = "SERINUS_MODEL_URI"  # pinned: models:/NAME/VERSION or file:///folder
ENV_MODEL_VERSION = "SERINUS_MODEL_VERSION"  # the registry's version, for people
ENV_MODEL_DIGEST = "SERINUS_MODEL_DIGEST"  # sha256:HEX; other bytes are refused; empty: not checked
ENV_REVISION = "SERINUS_REVISION"  # value of the `revision` label
ENV_LATENCY_BOUNDS = "SERINUS_LATENCY_BOUNDS"  # comma separated seconds; become bucket bounds
ENV_WARMUP_REQUESTS = "SERINUS_WARMUP_REQUESTS"  # integer; 0 switches warm-up off
ENV_LOAD_TIMEOUT = "SERINUS_LOAD_TIMEOUT"
ENV_REQUEST_TIMEOUT = "SERINUS_REQUEST_TIMEOUT"
ENV_MAX_REQUEST_BYTES = "SERINUS_MAX_REQUEST_BYTES"  # integer
ENV_MAX_ELEMENTS = "SERINUS_MAX_ELEMENTS"  # integer; values in the JSON of one request
ENV_MAX_CONCURRENCY = "SERINUS_MAX_CONCURRENCY"  # integer
ENV_MAX_CONNECTIONS = "SERINUS_MAX_CONNECTIONS"  # integer; idle ones are closed for new ones
ENV_MAX_BATCH_ROWS = "SERINUS_MAX_BATCH_ROWS"  # integer; 1: requests are never asked together
ENV_FAST_PATHS = "SERINUS_FAST_PATHS"  # true | false: only MLflow's own way to the answers
ENV_DRAIN_SECONDS = "SERINUS_DRAIN_SECONDS"  # serve this long after SIGTERM, not ready
ENV_LOG_FORMAT = "SERINUS_LOG_FORMAT"  # json | console
ENV_ACCESS_LOG_SAMPLE = "SERINUS_ACCESS_LOG_SAMPLE"  # share of requests that are logged, 0 to 1
ENV_ALLOW_CUSTOM_CODE = (
    "SERINUS_ALLOW_CUSTOM_CODE"  # true: models may bring Python code of their own
)
ENV_MAX_MODEL_BYTES = "SERINUS_MAX_MODEL_BYTES"  # integer; all files of the model together
ENV_TERMINATION_LOG = "SERINUS_TERMINATION_LOG"  # file for the reason of a failed start
ENV_TRACKING_URI = "MLFLOW_TRACKING_URI"

# A value needs two bytes, so that no body within the default limit of 1 MiB is refused. It is for
# servers that take larger ones: a million values are some 100 MB of Python objects at worst.
DEFAULT_MAX_ELEMENTS = 1_000_000

DEFAULT_MAX_MODEL_BYTES = 10 * 1024**3

# Names a user may not set for the server: they change what code runs or which bytes are trusted.
RESERVED_ENV_PREFIXES = ("SERINUS_", "MLFLOW_", "PYTHON", "LD_", "DATABRICKS_")

# --- paths -----------------------------------------------------------------------------------
PATH_LIVE = "/v2/health/live"
PATH_READY = "/v2/health/ready"
PATH_METRICS = "/metrics"

# Headers of every answer to a prediction request, whatever its outcome.
HEADER_REVISION = "x-serinus-revision"
HEADER_VERSION = "x-serinus-version"
# Sent back where a prediction request has one, and in its line of the access log.
HEADER_REQUEST_ID = "x-request-id"

# --- metrics ---------------------------------------------------------------------------------
METRIC_REQUESTS = "serinus_requests_total"
METRIC_DURATION = "serinus_request_duration_seconds"
METRIC_ROWS = "serinus_rows_total"
METRIC_BATCH_SIZE = "serinus_batch_size"
METRIC_IN_FLIGHT = "serinus_in_flight"
METRIC_MODEL_INFO = "serinus_model_info"
METRIC_LOAD_SECONDS = "serinus_model_load_seconds"

LABEL_MODEL = "model"
LABEL_REVISION = "revision"
LABEL_PROTOCOL = "protocol"
LABEL_CODE = "code"
LABEL_TRAFFIC = "traffic"

PROTOCOLS = ("v2", "mlflow", "predict")
CODES = ("2xx", "4xx", "5xx")
# Of the protocol "grpc", whose series exist only where ENV_GRPC_PORT is set.
PROTOCOL_GRPC = "grpc"
GRPC_CODES = (
    "OK", "INVALID_ARGUMENT", "NOT_FOUND", "CANCELLED", "RESOURCE_EXHAUSTED", "UNAVAILABLE",
    "DEADLINE_EXCEEDED", "INTERNAL",
)  # fmt: skip
# Codes that are the server's fault. RESOURCE_EXHAUSTED is its concurrency limit, a 503 over HTTP.
# DEADLINE_EXCEEDED may have been the caller's own deadline: too slow is too slow.
ERROR_CODES = frozenset(
    {"5xx", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL"}
)
TRAFFIC_LIVE = "live"
TRAFFIC_WARMUP = "warmup"

# Seconds. The server adds the bounds of ENV_LATENCY_BOUNDS, so that "slower than the bound" is
# an exact count and never an interpolation.
DEFAULT_BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip

# MLflow adds this file to the root of models from its registry. It is not one of the model's own
# files: no digest has it.
REGISTRY_NOTE = "registered_model_meta"


def digest_of(files: Iterable[tuple[str, str]]) -> str:
    """The content digest of a model folder.

    ``files`` are (path, sha256 as lower-case hex) of every regular file but ``REGISTRY_NOTE``, paths
    relative to the folder with ``/`` between their parts. The digest is the sha256 of the lines
    ``<hex>  <path>\\n`` in the order of the paths' UTF-8 bytes, written ``sha256:<hex>``; it is
    what ``sha256sum`` would print for that list.
    """
    lines = sorted((path.encode(), digest) for path, digest in files)
    total = hashlib.sha256()
    for path, digest in lines:
        total.update(digest.encode() + b"  " + path + b"\n")
    return f"sha256:{total.hexdigest()}"
