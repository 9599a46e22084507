"""What a user writes about the pods that serve the model: ``spec.server``."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from serinus.api.base import ApiModel, Rule
from serinus.api.types import Duration, Quantity

IMAGE_PATTERN = r"^[a-z0-9][A-Za-z0-9._\-/:]{0,200}(@sha256:[0-9a-f]{64})?$"
# Threads of numeric libraries and the user's own MODEL_*: nothing that loads code or picks devices.
ENV_NAME_PATTERN = (
    r"^(TZ|LANG|LC_[A-Z]{1,20}|MODEL_[A-Z0-9_]{1,58}|OMP_(NUM_THREADS|WAIT_POLICY|DYNAMIC|PROC_BIND)"
    r"|(MKL|OPENBLAS|BLIS|NUMEXPR)_NUM_THREADS|TF_NUM_(INTRAOP|INTEROP)_THREADS|TF_CPP_MIN_LOG_LEVEL)$"
)

_SHORTEST, _LONGEST = timedelta(milliseconds=100), timedelta(minutes=10)
_TIMEOUT_RULE = Rule(
    rule="!has(self.timeout) || (duration(self.timeout) >= duration('100ms') "
    "&& duration(self.timeout) <= duration('10m'))",
    message="timeout must be between 100ms and 10m",
)


class EnvVar(ApiModel):
    name: Annotated[str, StringConstraints(max_length=64, pattern=ENV_NAME_PATTERN)] = Field(
        description="One of the allowed names: TZ, LANG, LC_*, MODEL_*, OMP_NUM_THREADS, OMP_WAIT_POLICY, "
        "OMP_DYNAMIC, OMP_PROC_BIND, {MKL,OPENBLAS,BLIS,NUMEXPR}_NUM_THREADS, "
        "TF_NUM_{INTRAOP,INTEROP}_THREADS, TF_CPP_MIN_LOG_LEVEL."
    )
    value: Annotated[str, StringConstraints(max_length=128, pattern=r"^[ -~]*$")] = Field(
        default="", description="Printable ASCII."
    )


ResourceMap = Annotated[
    dict[Annotated[str, StringConstraints(max_length=63)], Quantity], Field(max_length=8)
]


class Resources(ApiModel):
    requests: ResourceMap = Field(
        default={"cpu": "500m", "memory": "512Mi"}, description="What a pod is guaranteed."
    )
    limits: ResourceMap = Field(
        default={"memory": "1Gi"}, description="What a pod may use at most."
    )


class Warmup(ApiModel):
    requests: int = Field(
        default=20,
        ge=0,
        le=10_000,
        description="Predictions of the model's logged input example before a pod is ready.",
    )


class RequestLimits(ApiModel):
    """What one request may cost. What is not said is the model server's own default."""

    model_config = ConfigDict(
        json_schema_extra={"x-kubernetes-validations": [_TIMEOUT_RULE.model_dump()]}
    )

    timeout: Duration | None = Field(
        default=None,
        description="From a request to its answer, then 504. Pods end no sooner. Default 10s.",
    )
    max_bytes: int | None = Field(
        default=None, ge=1024, le=2**30, description="Largest request body. Default 1048576."
    )
    max_concurrent: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Requests in flight at once in a pod; more are answered 503. Default 256.",
    )
    max_batch_rows: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="Rows of waiting requests that are asked in one call of the model, where a row's "
        "answer does not depend on its neighbours. 1: never more than one request. Default 64.",
    )

    @model_validator(mode="after")
    def _timeout_is_sensible(self) -> RequestLimits:
        if self.timeout is not None and not _SHORTEST <= self.timeout <= _LONGEST:
            raise ValueError(f"timeout: {_TIMEOUT_RULE.message}")
        return self


class Server(ApiModel):
    image: Annotated[str, StringConstraints(max_length=300, pattern=IMAGE_PATTERN)] | None = Field(
        default=None, description="Image of the model server. Default: this operator's release."
    )
    replicas: int = Field(
        default=2,
        ge=1,
        le=1000,
        description="Pods of the stable revision. A canary gets its share.",
    )
    resources: Resources = Field(default=Resources(), description="Resources of each pod.")
    env: Annotated[tuple[EnvVar, ...], Field(max_length=16)] = Field(
        default=(),
        description="Environment of the model server.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    warmup: Warmup = Field(default=Warmup(), description="Warm-up before a pod is ready.")
    load_timeout: Duration = Field(
        default=timedelta(minutes=5),
        description="A pod that has not loaded its model by then is restarted.",
    )
    request_limits: RequestLimits = Field(
        default=RequestLimits(), description="What one request may cost a pod."
    )
