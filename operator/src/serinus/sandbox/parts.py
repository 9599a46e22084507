"""The parts of a sandbox: how each is started, and when it counts as ready."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path

from serinus.sandbox.processes import free_port
from serinus.sandbox.services import mlflow, operator, prometheus

GATEWAY = "infra/public"
OPERATOR_USER = "system:serviceaccount:serinus-system:serinus"  # as in the RBAC that we ship
APISERVER, CONTROLLERS, NODE, GATEWAY_PART = "apiserver", "controllers", "node", "gateway"
PROMETHEUS, MLFLOW, OPERATOR = "prometheus", "mlflow", "operator"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a sandbox consists of. Times in seconds."""

    name: str = "default"
    with_mlflow: bool = True
    with_prometheus: bool = True  # where its program is on the machine
    with_operator: bool = True
    scrape_interval: float = 2.0
    operator_env: Mapping[str, str] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts, in the order in which people think of them."""
        names = [APISERVER, CONTROLLERS, NODE, GATEWAY_PART]
        if self.with_prometheus:
            names.append(PROMETHEUS)
        if self.with_mlflow:
            names.append(MLFLOW)
        if self.with_operator:
            names.append(OPERATOR)
        return tuple(names)


@dataclass(frozen=True, slots=True)
class Ports:
    """The sandbox's ports on 127.0.0.1."""

    apiserver: int
    gateway: int
    prometheus: int
    mlflow: int
    operator: int

    @classmethod
    def free(cls) -> Ports:
        return cls(*(free_port() for _ in range(5)))


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a sandbox keeps what."""

    root: Path

    @classmethod
    def of(cls, name: str) -> Layout:
        """The folder of the sandbox of that name."""
        if not name or not all(char.isalnum() or char in "-_" for char in name):
            raise ValueError(f"{name!r} is no name for a sandbox: letters, digits, - and _")
        base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        return cls(Path(base) / "serinus" / "sandbox" / name)

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def operator_kubeconfig(self) -> Path:
        """The operator's own: the rights of its ServiceAccount and no more."""
        return self.root / "operator.kubeconfig"

    @property
    def tokens(self) -> Path:
        return self.root / "tokens.json"

    @property
    def record(self) -> Path:
        return self.root / "sandbox.json"

    @property
    def node(self) -> Path:
        return self.root / "node"

    @property
    def scrape_targets(self) -> Path:
        return self.root / "scrape-targets.json"

    def log(self, part: str) -> Path:
        return self.root / "logs" / f"{part}.log"

    def pid(self, part: str) -> Path:
        return self.root / "run" / f"{part}.pid"

    def ready(self, part: str) -> Path:
        return self.root / "run" / f"{part}.ready"


@dataclass(frozen=True, slots=True)
class Part:
    """One supervised program. It is ready when its file is there or its URL answers 200."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    ready_file: Path | None = None
    ready_url: str | None = None
    seconds: float = 30.0  # to become ready


def shipped(in_checkout: str, in_wheel: str) -> Path:
    """A generated file or folder that we ship: the repository's in a checkout, else the wheel's."""
    checkout = Path(__file__).parents[4] / in_checkout
    if checkout.exists():
        return checkout
    return Path(str(resources.files("serinus") / "_data" / in_wheel))


def save(layout: Layout, settings: Settings, ports: Ports) -> None:
    """Remember what the sandbox consists of."""
    text = json.dumps({"settings": asdict(settings), "ports": asdict(ports)})
    layout.record.write_text(text)


def load(layout: Layout) -> tuple[Settings, Ports] | None:
    """What ``save`` remembered; None if there is no sandbox."""
    try:
        stored = json.loads(layout.record.read_text())
        return Settings(**stored["settings"]), Ports(**stored["ports"])
    except FileNotFoundError:
        return None


def make(name: str, settings: Settings, ports: Ports, layout: Layout) -> Part:
    """How to start a part."""
    match name:
        case "apiserver":
            return Part(
                name,
                (
                    *(sys.executable, "-m", "serinus.sandbox.apiserver"),
                    *("--port", str(ports.apiserver), "--kubeconfig", str(layout.kubeconfig)),
                    *("--crds", str(shipped("crds", "crds")), "--tokens", str(layout.tokens)),
                ),
                ready_file=layout.kubeconfig,
            )
        case "controllers":
            return _own(name, layout)
        case "node":
            targets = ("--scrape-targets", str(layout.scrape_targets))
            return _own(name, layout, "--state-dir", str(layout.node), *targets)
        case "gateway":
            return _own(name, layout, "--state-dir", str(layout.root / "gateway"))
        case "prometheus":
            return _prometheus(settings, ports, layout)
        case "mlflow":
            return Part(
                name,
                mlflow.command(layout.root / "mlflow", ports.mlflow),
                env=mlflow.ENVIRONMENT,
                ready_url=f"http://127.0.0.1:{ports.mlflow}/health",
                seconds=120.0,
            )
        case "operator":
            return _operator(settings, ports, layout)
    raise ValueError(f"a sandbox has no part {name!r}")


def _own(name: str, layout: Layout, *options: str) -> Part:
    ready = layout.ready(name)
    command = (
        *(sys.executable, "-m", f"serinus.sandbox.{name}"),
        *("--kubeconfig", str(layout.kubeconfig), "--ready-file", str(ready)),
        *options,
    )
    return Part(name, command, ready_file=ready)


def _prometheus(settings: Settings, ports: Ports, layout: Layout) -> Part:
    program = prometheus.program()
    if program is None:
        raise ValueError("the program prometheus is not on this machine")
    folder = layout.root / "prometheus"
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "prometheus.yml"
    operator_port = ports.operator if settings.with_operator else None
    content = prometheus.config(layout.scrape_targets, settings.scrape_interval, operator_port)
    config.write_text(json.dumps(content, indent=1))  # JSON is YAML
    return Part(
        PROMETHEUS,
        prometheus.command(program, config, folder / "data", ports.prometheus),
        ready_url=f"http://127.0.0.1:{ports.prometheus}/-/ready",
    )


def _operator(settings: Settings, ports: Ports, layout: Layout) -> Part:
    def url(port: int, *, wanted: bool) -> str | None:
        return f"http://127.0.0.1:{port}" if wanted else None

    return Part(
        OPERATOR,
        operator.COMMAND,
        env=operator.environment(
            kubeconfig=layout.operator_kubeconfig,
            probe_port=ports.operator,
            gateway=GATEWAY,
            prometheus_url=url(ports.prometheus, wanted=settings.with_prometheus),
            mlflow_url=url(ports.mlflow, wanted=settings.with_mlflow),
            extra=settings.operator_env,
        ),
        ready_url=f"http://127.0.0.1:{ports.operator}/readyz",
    )
