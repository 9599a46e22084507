"""The server's settings: environment variables only, read once, refused when they are wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from serinus_server import contract


class SettingsError(ValueError):
    """The environment is not usable; the message is one line that names every wrong variable."""


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?", value):
        raise ValueError("must consist of letters, digits, '.', '_' and '-'")
    return value


# Credentials have no place in a URI, which logs and metrics repeat: no user, and no query, where
# signatures are.
_URIS = re.compile(
    r"(models:/|runs:/|mlflow-artifacts:/(?!/)|file:///)[^\s?#]+"
    r"|https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/[^\s?#]*\.(tar\.gz|tgz|tar|zip)"
    r"|(s3|gs)://[a-z0-9][a-z0-9._-]{1,221}/[^\s?#]+"
)


_SECRETS = re.compile(r"//[^/\s]*@")


def _uri(value: str) -> str:
    if not _URIS.fullmatch(value):
        raise ValueError(
            "must begin with models:/, runs:/, mlflow-artifacts:/, file:///, s3:// or gs:// and "
            "name a model, or be an http(s):// URL of a .tar.gz, .tgz, .tar or .zip file; "
            "credentials do not belong in it"
        )
    return value


def _digest(value: str) -> str:
    if value and not re.fullmatch(r"sha256:[0-9a-f]{64}", value):
        raise ValueError("must be sha256: and 64 lower-case hexadecimal digits")
    return value


def _bounds(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _positive_and_finite(value: tuple[float, ...]) -> tuple[float, ...]:
    if any(not math.isfinite(bound) or bound <= 0 for bound in value):
        raise ValueError("must be positive numbers of seconds")
    return value


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseModel):
    """One server's settings. Durations are seconds; the aliases are the variables' names."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    host: str = Field("0.0.0.0", alias=contract.ENV_HOST, description="address to listen on")  # noqa: S104 - a pod's only address
    port: int = Field(
        contract.PORT, alias=contract.ENV_PORT, ge=0, le=65535, description="port to listen on"
    )
    grpc_port: int | None = Field(
        None, alias=contract.ENV_GRPC_PORT, ge=0, le=65535,
        description="port for gRPC; KServe's clients look at 8081",
    )  # fmt: skip
    model_name: Annotated[str, AfterValidator(_name)] = Field(
        alias=contract.ENV_MODEL_NAME, description="name of the model in the protocols and metrics"
    )
    model_uri: Annotated[str, AfterValidator(_uri)] = Field(
        alias=contract.ENV_MODEL_URI,
        description="where the model is: models:/, runs:/, file:///, http(s)://, s3:// or gs://",
    )
    model_version: str = Field(
        "", alias=contract.ENV_MODEL_VERSION, pattern=r"^[A-Za-z0-9._-]{0,128}$",
        description="the model's version, for people",
    )  # fmt: skip
    model_digest: Annotated[str, AfterValidator(_digest)] = Field(
        "", alias=contract.ENV_MODEL_DIGEST, description="refuse a model of any other digest"
    )
    revision: str = Field(
        "", alias=contract.ENV_REVISION, pattern=r"^[A-Za-z0-9._-]{0,128}$",
        description="the revision that this server belongs to",
    )  # fmt: skip
    latency_bounds: Annotated[
        tuple[float, ...], BeforeValidator(_bounds), AfterValidator(_positive_and_finite)
    ] = Field(
        (), alias=contract.ENV_LATENCY_BOUNDS, description="further histogram bounds, by comma"
    )
    warmup_requests: int = Field(
        20, alias=contract.ENV_WARMUP_REQUESTS, ge=0, le=10_000,
        description="how often the input example is asked before the server is ready",
    )  # fmt: skip
    load_timeout: Seconds = Field(
        300.0, alias=contract.ENV_LOAD_TIMEOUT, description="from start to ready"
    )
    request_timeout: Seconds = Field(
        10.0, alias=contract.ENV_REQUEST_TIMEOUT, description="from a request to its answer"
    )
    max_request_bytes: int = Field(
        1024 * 1024, alias=contract.ENV_MAX_REQUEST_BYTES, ge=1, description="largest request body"
    )
    max_elements: int = Field(
        contract.DEFAULT_MAX_ELEMENTS, alias=contract.ENV_MAX_ELEMENTS, ge=1,
        description="most values in the JSON of one request",
    )  # fmt: skip
    max_concurrency: int = Field(
        256, alias=contract.ENV_MAX_CONCURRENCY, ge=1, description="predictions in flight at once"
    )
    max_connections: int = Field(
        4096, alias=contract.ENV_MAX_CONNECTIONS, ge=1,
        description="HTTP connections at once; above, those idle for longest are closed",
    )  # fmt: skip
    max_batch_rows: int = Field(
        64, alias=contract.ENV_MAX_BATCH_ROWS, ge=1, le=4096,
        description="rows of several requests that are asked in one call; 1: never",
    )  # fmt: skip
    fast_paths: bool = Field(
        True, alias=contract.ENV_FAST_PATHS,
        description="false: only MLflow's own way to a model's answers, slow and never batched",
    )  # fmt: skip
    drain_seconds: float = Field(
        5.0, alias=contract.ENV_DRAIN_SECONDS, ge=0, le=3600,
        description="how long to serve on after SIGTERM, not ready",
    )  # fmt: skip
    log_format: Literal["json", "console", ""] = Field(
        "", alias=contract.ENV_LOG_FORMAT, description="json or console; empty: by the terminal"
    )
    access_log_sample: float = Field(
        0.0, alias=contract.ENV_ACCESS_LOG_SAMPLE, ge=0, le=1, allow_inf_nan=False,
        description="share of the requests that are logged; failures are always",
    )  # fmt: skip
    allow_custom_code: bool = Field(
        False, alias=contract.ENV_ALLOW_CUSTOM_CODE,
        description="true: the model may bring Python code of its own",
    )  # fmt: skip
    max_model_bytes: int = Field(
        contract.DEFAULT_MAX_MODEL_BYTES, alias=contract.ENV_MAX_MODEL_BYTES, ge=1,
        description="largest model, all its files together",
    )  # fmt: skip
    termination_log: Path = Field(
        Path("/dev/termination-log"), alias=contract.ENV_TERMINATION_LOG,
        description="file for the reason of a failed start",
    )  # fmt: skip
    tracking_uri: str = Field(
        "", alias=contract.ENV_TRACKING_URI, description="MLflow, for models:/ and runs:/"
    )


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings in ``environ``; an empty value counts as not set.

    Raises:
        SettingsError: a variable is missing or wrong.
    """
    known = {str(field.alias) for field in Settings.model_fields.values()}
    values = {name: environ[name] for name in known if environ.get(name, "") != ""}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError("; ".join(_problems(error))) from None


def _problems(error: ValidationError) -> list[str]:
    problems = []
    for item in error.errors(include_url=False):
        name = str(item["loc"][0])
        if item["type"] == "missing":
            problems.append(f"{name} is not set")
            continue
        reason = item["msg"].removeprefix("Value error, ")
        got = _SECRETS.sub("//***@", repr(item["input"]).partition("?")[0])
        problems.append(f"{name}: {reason[0].lower()}{reason[1:]} (got {got})")
    return problems
