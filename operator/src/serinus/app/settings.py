"""What a platform team sets once, from the environment."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from serinus import __version__
from serinus.api import names
from serinus.api.spec import GatewayRef
from serinus.api.types import Duration, format_duration
from serinus.app.lease import LeaseTimes
from serinus.reconcile.rules import INSTANCE, NAMESPACE

POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def _gateway(value: object) -> object:
    if isinstance(value, str):
        if not value:
            return None
        namespace, _, name = value.partition("/")
        if not namespace or not name or "/" in name:
            raise ValueError(f"{value!r} is not of the form namespace/name")
        return GatewayRef(name=name, namespace=namespace)
    return value


class Settings(BaseSettings):
    """Read from ``SERINUS_*``; see ``python -m serinus.app --help``."""

    model_config = SettingsConfigDict(env_prefix="SERINUS_", env_ignore_empty=True, frozen=True)

    kubeconfig: str | None = Field(
        default=None,
        validation_alias="KUBECONFIG",
        description="Kubeconfig file. Default: the pod's service account.",
    )
    namespaces: str = Field(
        default="", description="Namespaces to watch, comma separated. Default: all."
    )
    prometheus_url: str | None = Field(
        default=None, description="Base URL of Prometheus. Default: the operator scrapes the pods."
    )
    prometheus_namespace_label: str = Field(
        default="namespace", description="Label that Prometheus gives a pod's namespace."
    )
    mlflow_tracking_uri: str | None = Field(
        default=None, description="Base URL of the MLflow server, for models:/ URIs."
    )
    mlflow_tracking_uri_for_pods: str | None = Field(
        default=None, description="The same as the model servers reach it. Default: the same URL."
    )
    server_image: str = Field(
        default=f"{names.DEFAULT_SERVER_IMAGE}:{__version__}",
        description="Image of the model server where a resource names none.",
    )
    default_gateway: Annotated[GatewayRef | None, BeforeValidator(_gateway)] = Field(
        default=None,
        description="namespace/name of the Gateway for resources that name none.",
    )
    resync_interval: Duration = Field(
        default=timedelta(seconds=30),
        ge=timedelta(seconds=1),
        description="Every object is looked at this often.",
    )
    workers: int = Field(default=4, ge=1, le=64, description="Objects reconciled at the same time.")
    digest_limit: int = Field(
        default=4 * 1024**3,
        ge=0,
        description="Bytes of a model above which it is pinned by version alone, without a digest.",
    )
    allow_file_uris: bool = Field(
        default=False,
        description="true: file:/// URIs are resolved, so that whoever may write a resource has the "
        "operator read folders of its machine.",
    )
    leader_election: bool = Field(
        default=True,
        description="false: no Lease is used, and never more than one operator may run.",
    )
    instance: str = Field(
        default=INSTANCE,
        pattern=r"^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$",
        description="Name of this installation; the Lease is <instance>-leader.",
    )
    lease_namespace: str | None = Field(
        default=None,
        description=f"Namespace of the Lease. Default: the pod's own, elsewhere {NAMESPACE}.",
    )
    lease_duration: Duration = Field(
        default=timedelta(seconds=15), description="After so long another operator takes over."
    )
    lease_renew_deadline: Duration = Field(
        default=timedelta(seconds=10),
        description="A leader that cannot renew the Lease for so long ends itself.",
    )
    lease_retry: Duration = Field(
        default=timedelta(seconds=2), description="The Lease is renewed, or tried for, this often."
    )
    probe_port: int = Field(
        default=0, ge=0, le=65535, description="Port of /healthz, /readyz and /metrics. 0: none."
    )
    probe_host: str = Field(default="0.0.0.0", description="Address of that port.")  # noqa: S104
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: console on a terminal, json elsewhere."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lines below this level are left out."
    )

    @field_validator("prometheus_url", "mlflow_tracking_uri", "mlflow_tracking_uri_for_pods")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError(f"{value!r} does not begin with http:// or https://")
        return value

    @model_validator(mode="after")
    def _lease_times_fit(self) -> Self:
        _ = self.lease_times
        return self

    @property
    def lease_times(self) -> LeaseTimes:
        """The Lease's times in seconds."""
        times = (self.lease_duration, self.lease_renew_deadline, self.lease_retry)
        return LeaseTimes(*(time.total_seconds() for time in times))

    def lease_place(self, pod_namespace: Path = POD_NAMESPACE) -> str:
        """The namespace of the Lease."""
        if self.lease_namespace:
            return self.lease_namespace
        try:
            return pod_namespace.read_text(encoding="utf-8").strip() or NAMESPACE
        except OSError:
            return NAMESPACE

    @property
    def namespace_list(self) -> tuple[str, ...]:
        """The namespaces to watch; empty: all."""
        return tuple(part.strip() for part in self.namespaces.split(",") if part.strip())


def usage() -> str:
    """Every variable, its default and its meaning, for ``--help``."""
    lines = []
    for name, field in Settings.model_fields.items():
        variable = field.validation_alias or f"SERINUS_{name.upper()}"
        told = _told(field.default)
        suffix = f" [{told}]" if told else ""
        lines.append(f"  {variable!s:40} {field.description or ''}{suffix}")
    return "\n".join(lines)


def _told(default: object) -> str:
    """A default as one would write it; nothing for what is off by default."""
    if isinstance(default, timedelta):
        return format_duration(default)
    if isinstance(default, bool):
        return "true" if default else ""
    return str(default) if isinstance(default, str | int) and default else ""
