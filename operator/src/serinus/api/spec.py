"""What a user writes: the spec of a ModelDeployment.

The descriptions become the CRD's. A rule that one field cannot express stands twice: as CEL
(``rules`` below, for API servers that know it) and as a validator with the same message (the
operator's own check, for those that do not).
"""

from __future__ import annotations

import itertools
import re
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from serinus.api.base import ApiModel, Rule
from serinus.api.server import Server
from serinus.api.types import (
    DURATION_PATTERN,
    RATIO_PATTERN,
    Duration,
    Ratio,
    parse_duration,
    parse_ratio,
)

MODEL_NAME = r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}"
MODEL_URI_PATTERN = (
    rf"^(models:/{MODEL_NAME}(/[1-9][0-9]{{0,9}}|@[A-Za-z0-9][A-Za-z0-9_.\-]{{0,127}})"
    r"|file:///[A-Za-z0-9_.\-/]{1,500})$"
)
DNS_LABEL_PATTERN = r"^[a-z0-9]([a-z0-9\-]{0,61}[a-z0-9])?$"
HOSTNAME_PATTERN = (
    r"^(\*\.)?[a-z0-9]([a-z0-9\-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9\-]{0,61}[a-z0-9])?)*$"
)
PATH_PATTERN = r"^/([A-Za-z0-9_.~\-]+(/[A-Za-z0-9_.~\-]+)*)?$"

MAX_STEPS = 20


class Model(ApiModel):
    uri: Annotated[str, StringConstraints(max_length=512, pattern=MODEL_URI_PATTERN)] = Field(
        description="The model: models:/NAME/VERSION, models:/NAME@ALIAS (resolved once, when the "
        "URI is first seen) or file:///FOLDER (where operator and pods see the folder, and the operator's "
        "settings allow it)."
    )


class RouterKind(StrEnum):
    GATEWAY = "Gateway"


class GatewayRef(ApiModel):
    name: Annotated[str, StringConstraints(max_length=63, pattern=DNS_LABEL_PATTERN)]
    namespace: (
        Annotated[str, StringConstraints(max_length=63, pattern=DNS_LABEL_PATTERN)] | None
    ) = Field(default=None, description="Default: the ModelDeployment's own namespace.")


class Traffic(ApiModel):
    router: RouterKind = Field(
        default=RouterKind.GATEWAY,
        description="Gateway: weights of an HTTPRoute that the operator owns.",
    )
    hostnames: Annotated[
        tuple[Annotated[str, StringConstraints(max_length=253, pattern=HOSTNAME_PATTERN)], ...],
        Field(max_length=16),
    ] = Field(
        default=(),
        description="Host names of the model. None: every host name of the Gateway.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    path: Annotated[str, StringConstraints(max_length=256, pattern=PATH_PATTERN)] = Field(
        default="/",
        description="Path prefix of the model; removed before the server sees the request.",
    )
    gateway: GatewayRef | None = Field(
        default=None,
        description="The Gateway to attach to. Default: the operator's default Gateway.",
    )


class Step(ApiModel):
    weight: int = Field(ge=1, le=100, description="Percent of the traffic that the canary gets.")
    hold: Duration = Field(
        default=timedelta(minutes=2),
        description="Time at this weight without a breach before the next step.",
    )


class OnBreach(StrEnum):
    ROLLBACK = "Rollback"
    PAUSE = "Pause"


class Approval(StrEnum):
    AUTOMATIC = "Automatic"
    MANUAL = "Manual"


_STEPS_RISE = Rule(
    rule=f"{list(range(MAX_STEPS - 1))}.all(i, i + 1 >= size(self) || self[i].weight < self[i + 1].weight)",
    message="weights must rise from step to step",
)


class Rollout(ApiModel):
    steps: Annotated[tuple[Step, ...], Field(max_length=MAX_STEPS)] = Field(
        default=(
            Step(weight=5, hold=timedelta(minutes=2)),
            Step(weight=25, hold=timedelta(minutes=5)),
            Step(weight=50, hold=timedelta(minutes=5)),
        ),
        description="Weights of the canary on its way to 100, which needs no step of its own.",
        json_schema_extra={
            "x-kubernetes-list-type": "atomic",
            "x-kubernetes-validations": [_STEPS_RISE.model_dump()],
        },
    )
    progress_deadline: Duration = Field(
        default=timedelta(minutes=10),
        description="A revision that is not ready by then has failed. Counted anew for each scale-up.",
    )
    on_breach: OnBreach = Field(
        default=OnBreach.ROLLBACK,
        description="Rollback: take the traffic back. Pause: freeze the weight and wait for people.",
    )
    approval: Approval = Field(
        default=Approval.AUTOMATIC,
        description="Manual: after the last step the rollout waits for the annotation serinus.dev/promote.",
    )
    scale_down_delay: Duration = Field(
        default=timedelta(seconds=30),
        description="How long a revision without traffic stays before its pods go.",
    )
    paused: bool = Field(
        default=False,
        description="true: no rollout starts or advances. Breaches still take the traffic back.",
    )
    retry_token: Annotated[str, StringConstraints(max_length=63)] = Field(
        default="", description="Change it to try a revision again that has failed."
    )

    @model_validator(mode="after")
    def _steps_rise(self) -> Rollout:
        weights = [step.weight for step in self.steps]
        if any(a >= b for a, b in itertools.pairwise(weights)):
            raise ValueError(f"steps: {_STEPS_RISE.message}")
        return self


class MetricKind(StrEnum):
    ERROR_RATE = "ErrorRate"
    LATENCY = "Latency"


class CompareTo(StrEnum):
    STABLE = "Stable"


_RATIO_RULE = Rule(
    rule="self.type != 'ErrorRate' || has(self.compareTo) || "
    f"(has(self.max) && self.max.matches(r'{RATIO_PATTERN}'))",
    message='max of an ErrorRate must be a ratio such as "0.01"',
)
_DURATION_RULE = Rule(
    rule="self.type != 'Latency' || "
    f"(has(self.max) && self.max.size() > 0 && self.max.matches(r'{DURATION_PATTERN}'))",
    message="max of a Latency must be a duration such as 250ms",
)
_QUANTILE_RULE = Rule(
    rule="!has(self.quantile) || (self.type == 'Latency' && !has(self.compareTo))",
    message="quantile belongs to a Latency without compareTo only",
)
_NO_MAX_RULE = Rule(
    rule="self.type != 'ErrorRate' || !has(self.compareTo) || !has(self.max)",
    message="an ErrorRate with compareTo is bounded by stable's and margin: it has no max",
)
_COMPARISON_RULE = Rule(
    rule="has(self.compareTo) || (!has(self.margin) && !has(self.confidence))",
    message="margin and confidence belong to a metric with compareTo only",
)


class Metric(ApiModel):
    """One bound on the canary's live requests."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                rule.model_dump()
                for rule in (
                    _RATIO_RULE, _DURATION_RULE, _QUANTILE_RULE, _NO_MAX_RULE, _COMPARISON_RULE,
                )
            ]
        }
    )  # fmt: skip

    name: Annotated[str, StringConstraints(max_length=63, pattern=DNS_LABEL_PATTERN)]
    type: MetricKind = Field(
        description="ErrorRate: share of requests answered with 5xx. Latency: server-side duration."
    )
    max: Annotated[str, StringConstraints(max_length=32)] | None = Field(
        default=None,
        description='The bound: a ratio such as "0.01" for ErrorRate, a duration such as 250ms for Latency.',
    )
    quantile: Ratio | None = Field(
        default=None,
        description='Latency: the share of requests that must meet the bound. Default "0.99".',
    )
    compare_to: CompareTo | None = Field(
        default=None,
        description="Stable: the canary's share of bad requests (5xx; for Latency: slower than max) may "
        "exceed stable's, over the same time, by margin at most. Tested at every interval, for the whole rollout.",
    )
    margin: Ratio | None = Field(
        default=None, description='compareTo: the tolerated difference of shares. Default "0.005".'
    )
    confidence: Ratio | None = Field(
        default=None,
        description='compareTo: certainty that makes a breach, once for the whole rollout. Default "0.99".',
    )

    @model_validator(mode="after")
    def _bound_fits_type(self) -> Metric:
        error_rate, compared = self.type is MetricKind.ERROR_RATE, self.compare_to is not None
        text = self.max or ""
        if error_rate and not compared and not re.match(RATIO_PATTERN, text):
            raise ValueError(f"max: {_RATIO_RULE.message}")
        if not error_rate and not (text and re.match(DURATION_PATTERN, text)):
            raise ValueError(f"max: {_DURATION_RULE.message}")
        if self.quantile is not None and (error_rate or compared):
            raise ValueError(f"quantile: {_QUANTILE_RULE.message}")
        if error_rate and compared and self.max is not None:
            raise ValueError(f"max: {_NO_MAX_RULE.message}")
        if not compared and (self.margin is not None or self.confidence is not None):
            raise ValueError(f"compareTo: {_COMPARISON_RULE.message}")
        return self

    @property
    def max_ratio(self) -> Decimal:
        """ErrorRate without comparison: the bound, between 0 and 1."""
        return parse_ratio(self.max or "")

    @property
    def max_duration(self) -> timedelta:
        """Latency: the bound."""
        return parse_duration(self.max or "")

    @property
    def latency_quantile(self) -> Decimal:
        """Latency: the share of requests that must meet the bound, between 0 and 1."""
        return self.quantile if self.quantile is not None else Decimal("0.99")

    @property
    def tolerated(self) -> Decimal:
        """Comparison: how much more of the canary's requests may be bad, between 0 and 1."""
        return self.margin if self.margin is not None else Decimal("0.005")

    @property
    def certainty(self) -> Decimal:
        """Comparison: one minus the chance of a false alarm in a whole rollout, between 0 and 1."""
        return self.confidence if self.confidence is not None else Decimal("0.99")


class InsufficientPolicy(StrEnum):
    PAUSE = "Pause"
    ROLLBACK = "Rollback"
    PROMOTE = "Promote"


class OnInsufficient(ApiModel):
    after: Duration = Field(
        default=timedelta(minutes=30),
        description="How long a slot may stay open for want of requests.",
    )
    do: InsufficientPolicy = Field(
        default=InsufficientPolicy.PAUSE,
        description="Pause: tell people and go on waiting. Rollback: the revision has failed. "
        "Promote: go on to the next step without the evidence.",
    )


_INTERVAL_RULE = Rule(
    rule="!has(self.interval) || duration(self.interval) >= duration('1s')",
    message="interval must be at least 1s",
)


class Analysis(ApiModel):
    model_config = ConfigDict(
        json_schema_extra={"x-kubernetes-validations": [_INTERVAL_RULE.model_dump()]}
    )

    interval: Duration = Field(
        default=timedelta(seconds=10),
        description="Evidence is looked at this often; the shortest slot.",
    )
    failure_threshold: int = Field(
        default=3, ge=1, le=100, description="Consecutive breached slots before onBreach."
    )
    min_requests: int = Field(
        default=100,
        ge=1,
        le=1_000_000,
        description="Canary requests that close a slot of evidence; until then its verdict is Insufficient.",
    )
    on_insufficient: OnInsufficient = Field(
        default=OnInsufficient(), description="When the requests that make evidence do not come."
    )
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1, max_length=16)] = Field(
        default=(Metric(name="errors", type=MetricKind.ERROR_RATE, max="0.01"),),
        description="Bounds that the canary's live requests must hold.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )

    @model_validator(mode="after")
    def _interval_is_long_enough(self) -> Analysis:
        if self.interval < timedelta(seconds=1):
            raise ValueError(f"interval: {_INTERVAL_RULE.message}")
        return self


class ModelDeploymentSpec(ApiModel):
    """Which model to serve, and how a new version of it takes over."""

    model: Model = Field(description="The model to serve.")
    server: Server = Field(default=Server(), description="The pods that serve it.")
    traffic: Traffic = Field(default=Traffic(), description="How requests reach it.")
    rollout: Rollout = Field(default=Rollout(), description="How a new revision takes over.")
    analysis: Analysis = Field(default=Analysis(), description="What a canary must prove.")


ApiVersion = Literal["serinus.dev/v1alpha1"]
Json = dict[str, Any]
