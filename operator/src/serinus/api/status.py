"""What the operator writes: the status of a ModelDeployment.

It is both the report for people and the only memory of a rollout: every timer is a time in here,
so that an operator that starts again goes on where the last one stopped.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from serinus.api.base import ApiModel
from serinus.api.server import EnvVar, RequestLimits, Resources
from serinus.api.types import Duration, Time

MAX_VERDICTS = 10
MAX_HISTORY = 10
MAX_DRIFTS = 8

Message = Annotated[str, StringConstraints(max_length=512)]


class Phase(StrEnum):
    """For people only: no code decides by it."""

    PENDING = "Pending"
    INITIALIZING = "Initializing"
    READY = "Ready"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    ROLLING_BACK = "RollingBack"
    PROMOTING = "Promoting"
    ROLLED_BACK = "RolledBack"
    FAILED = "Failed"


class Stage(StrEnum):
    """Where the rollout of a canary stands."""

    SCALING = "Scaling"  # pods for the step's weight are starting
    SHIFTING = "Shifting"  # the weight is written, the router has not confirmed it
    HOLDING = "Holding"  # the step's clock runs
    PAUSED = "Paused"  # frozen until what its pause reason names is over
    ROLLING_BACK = "RollingBack"  # weight 0 is written, the router has not confirmed it


class Verdict(StrEnum):
    HEALTHY = "Healthy"
    BREACH = "Breach"
    INSUFFICIENT = "Insufficient"
    UNAVAILABLE = "Unavailable"


class Outcome(StrEnum):
    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    ABORTED = "Aborted"


class ConditionStatus(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiModel):
    type: str
    status: ConditionStatus
    reason: str
    message: str
    last_transition_time: Time
    observed_generation: int


class PinnedModel(ApiModel):
    """What a model URI resolved to, once."""

    uri: str = Field(description="What the user wrote.")
    pinned_uri: str = Field(alias="pinnedURI", description="What the pods load.")
    name: str
    version: str = Field(default="", description="The registry's version, where it has one.")
    digest: str = Field(default="", description="sha256:... of the files, where it is known.")


class Arm(ApiModel):
    """One revision in service: everything needed to make its pods again."""

    revision: str = Field(description="v1:<sha256> of what the revision is made of.")
    model_uri: str = Field(alias="modelURI")
    resolved_version: str = ""
    digest: str = ""
    image: str
    resources: Resources
    env: tuple[EnvVar, ...] = ()
    warmup_requests: int
    load_timeout: Duration
    request_limits: RequestLimits = RequestLimits()
    latency_bounds: tuple[str, ...] = Field(description="Bucket bounds of the server, seconds.")
    requested_weight: int = Field(ge=0, le=100)
    observed_weight: int | None = Field(
        default=None, description="Null: the router cannot tell yet."
    )
    ready_replicas: int = 0


class MetricReading(ApiModel):
    """One metric of one slot. Values are shares between 0 and 1 as decimal strings."""

    name: str
    verdict: Verdict
    canary: str = Field(
        default="", description="Share of bad requests of the canary: errors, or too slow."
    )
    stable: str = Field(default="", description="The same of stable, where there is evidence.")
    limit: str = Field(description="The share allowed.")
    display: str = Field(
        default="", description="For people: error rate or latency quantile of both."
    )


class SlotVerdict(ApiModel):
    """The verdict on one slot of evidence."""

    at: Time
    step: int
    weight: int
    verdict: Verdict
    message: Message
    canary_requests: int = 0
    stable_requests: int = 0
    metrics: tuple[MetricReading, ...] = ()


class Evidence(ApiModel):
    """What the sequential test of one metric has seen so far: sums over closed and open slots.

    A bound's evidence begins with the step, a comparison's with the rollout.
    """

    metric: str
    total: int = Field(default=0, description="Requests of the canary.")
    bad: int = Field(default=0, description="Of them, those that count against it.")
    stable_total: int = 0
    stable_bad: int = 0
    wealth: tuple[str, ...] = Field(
        default=(), description="Comparison: logarithm of each bet's wealth."
    )


class PauseReason(ApiModel):
    reason: str
    message: Message
    since: Time


class Breach(ApiModel):
    """A latched breach: nothing raises this revision's weight again."""

    reason: str
    message: Message
    at: Time


class RolloutStatus(ApiModel):
    """Progress of the canary. Absent when nothing is rolling out."""

    stage: Stage
    step: int = Field(ge=0, description="Index of the step; the number of steps means 100 percent.")
    started_at: Time
    waiting_since: Time = Field(description="Since when the step's pods or weight are awaited.")
    step_started_at: Time | None = None
    hold_started_at: Time | None = None
    slot_started_at: Time | None = None
    slot_checked_at: Time | None = None
    healthy_slots: int = Field(default=0, description="Healthy slots since the hold began.")
    breaches: int = Field(default=0, description="Consecutive breached slots.")
    step_breaches: int = Field(default=0, description="Breached slots of this step.")
    first_breach_at: Time | None = None
    verdicts: Annotated[tuple[SlotVerdict, ...], Field(max_length=MAX_VERDICTS)] = ()
    evidence: tuple[Evidence, ...] = ()
    evidence_until: Time | None = Field(
        default=None, description="The boundary up to which requests are in the evidence."
    )
    step_requests: int = Field(default=0, description="Canary requests of this step's evidence.")
    step_stable_requests: int = 0
    split_disturbed: bool = Field(
        default=False, description="The router could not split as asked at the last look."
    )
    unavailable_since: Time | None = Field(
        default=None, description="Since when no metric source answers."
    )
    forced: bool = Field(
        default=False, description="The next weight is written without evidence: people said so."
    )
    retry_token: str = Field(
        default="", description="spec.rollout.retryToken when it last stopped."
    )
    pause_reasons: tuple[PauseReason, ...] = ()
    breach: Breach | None = None


class Retiring(ApiModel):
    """A revision without traffic that waits for its end."""

    revision: str
    remove_at: Time


class Failed(ApiModel):
    """A revision that failed: it is not tried again while the spec asks for it."""

    revision: str
    model_uri: str = Field(alias="modelURI")
    resolved_version: str = ""
    reason: str
    message: Message
    at: Time
    first_breach_at: Time | None = None
    weight_zero_at: Time | None = Field(
        default=None, description="When the router had confirmed weight 0."
    )
    verdicts: Annotated[tuple[SlotVerdict, ...], Field(max_length=MAX_VERDICTS)] = ()
    retry_token: str = Field(default="", description="spec.rollout.retryToken when it failed.")


class Acknowledged(ApiModel):
    """Values of the command annotations that were dealt with: they are never carried out twice."""

    abort: str = ""
    promote: str = ""


class Claim(ApiModel):
    """The addresses that this object's route answers at, and since when: the earlier claim holds."""

    hostnames: tuple[str, ...] = ()
    path: str
    gateway: str = Field(description="namespace/name")
    since: Time


class Drift(ApiModel):
    """Changes of others to what we own, of the last ten minutes."""

    at: Annotated[tuple[Time, ...], Field(max_length=MAX_DRIFTS)] = Field(
        description="When each was found and set right again."
    )
    next_at: Time = Field(description="Not before then is the next one set right.")


class HistoryEntry(ApiModel):
    revision: str
    model_uri: str = Field(alias="modelURI")
    resolved_version: str = ""
    outcome: Outcome
    message: Message
    started_at: Time
    finished_at: Time


class Summary(ApiModel):
    """The cells of ``kubectl get`` that are no field of their own."""

    stable: str = ""
    canary: str = ""
    weight: str = ""
    ready: str = ""
    step: str = ""
    verdict: str = ""


class ModelDeploymentStatus(ApiModel):
    observed_generation: int = 0
    phase: Phase = Phase.PENDING
    url: str = ""
    replicas: int = 0
    selector: str = ""
    target: PinnedModel | None = Field(default=None, description="What spec.model.uri resolved to.")
    stable: Arm | None = None
    stable_since: Time | None = None
    canary: Arm | None = None
    rollout: RolloutStatus | None = None
    retiring: tuple[Retiring, ...] = ()
    failed: Failed | None = None
    fence: int = Field(
        default=0, description="Grows with every change of weights; the route carries it."
    )
    epoch: int = Field(
        default=0, description="Of the leader's Lease, at the last change of the fence."
    )
    acknowledged: Acknowledged = Acknowledged()
    claim: Claim | None = None
    drift: Drift | None = None
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            }
        ),
    ] = ()
    history: Annotated[tuple[HistoryEntry, ...], Field(max_length=MAX_HISTORY)] = ()
    summary: Summary | None = Field(default=None, description="For kubectl get; no code reads it.")
