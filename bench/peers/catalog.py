"""Every server of the comparison: its environment, its command and the ways to ask it.

Peers run in the form that is fastest for them among what their documentation shows: uvloop and
httptools wherever they can use them, no access log, MLServer without its second process, BentoML
with an async endpoint. Each is one worker.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import dialects
from bench.dialects import MODEL_NAME, Dialect
from bench.environments import OWN
from bench.questions import Model
from serinus_server import contract

OURS = OWN
SNIPPET = "snippet"
LIMIT = "raw"

_APPS = "bench.peers.apps"


@dataclass(frozen=True, slots=True)
class Launch:
    """Where and with what a server is to be started.

    ``bin`` is the folder of its environment's programs, ``work`` an empty folder of its own;
    ``over_grpc`` says whether it will be asked over gRPC.
    """

    bin: Path
    model: Model
    work: Path
    port: int
    grpc_port: int
    metrics_port: int
    over_grpc: bool = False

    @property
    def python(self) -> str:
        return str(self.bin / "python")


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, and what it finds in its environment."""

    arguments: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Peer:
    """One server. ``environment`` is the name of what it needs to have installed.

    ``package`` is the one whose version tells the peer's. ``dialects`` are the ways to ask for the
    predictions of one array over HTTP, ``named`` is that for named columns and ``grpc`` that over
    gRPC, if there are any.
    """

    name: str
    title: str
    environment: str
    launch: Callable[[Launch], Command]
    dialects: Mapping[str, Dialect]
    package: str = ""
    named: Callable[[Sequence[str]], Dialect] | None = None
    grpc: Dialect | None = None


def _serinus(launch: Launch) -> Command:
    grpc = {contract.ENV_GRPC_PORT: str(launch.grpc_port)} if launch.over_grpc else {}
    return Command(
        [launch.python, "-m", "serinus_server"],
        {
            **grpc,
            contract.ENV_HOST: "127.0.0.1",
            contract.ENV_PORT: str(launch.port),
            contract.ENV_MODEL_NAME: MODEL_NAME,
            contract.ENV_MODEL_URI: launch.model.folder.as_uri(),
            contract.ENV_REVISION: "bench-1",
            contract.ENV_DRAIN_SECONDS: "0",
            contract.ENV_LOG_FORMAT: "json",
            contract.ENV_TERMINATION_LOG: str(launch.work / "termination-log"),
        },
    )


def _uvicorn(app: str) -> Callable[[Launch], Command]:
    # uvicorn takes uvloop and httptools by itself where they are installed, as here.
    def launch(where: Launch) -> Command:
        return Command(
            [
                where.python, "-m", "uvicorn", f"{_APPS}.{app}:app", "--no-access-log",
                "--port", str(where.port),
            ],
            _model_variables(where),
        )  # fmt: skip

    return launch


def _mlflow(launch: Launch) -> Command:
    return Command(
        [
            str(launch.bin / "mlflow"), "models", "serve", "--env-manager", "local",
            "--model-uri", str(launch.model.folder), "--port", str(launch.port),
        ]
    )  # fmt: skip


def _mlserver(implementation: str) -> Callable[[Launch], Command]:
    def launch(where: Launch) -> Command:
        mlflow = "mlflow" in implementation
        uri = where.model.folder if mlflow else where.model.joblib_file
        settings = {
            "name": MODEL_NAME,
            "implementation": implementation,
            "parameters": {"uri": str(uri)},
        }
        server = {
            "host": "127.0.0.1",
            "http_port": where.port,
            "grpc_port": where.grpc_port,
            "metrics_port": where.metrics_port,
            "parallel_workers": 0,
            "debug": False,
        }
        (where.work / "model-settings.json").write_text(json.dumps(settings))
        (where.work / "settings.json").write_text(json.dumps(server))
        return Command([str(where.bin / "mlserver"), "start", str(where.work)])

    return launch


def _kserve(launch: Launch) -> Command:
    return Command(
        [
            launch.python, "-m", f"{_APPS}.kserve_model", "--http_port", str(launch.port),
            "--enable_grpc", "false", "--enable_latency_logging", "false",
        ],
        _model_variables(launch),
    )  # fmt: skip


def _bentoml(launch: Launch) -> Command:
    return Command(
        [
            str(launch.bin / "bentoml"), "serve", f"{_APPS}.bentoml_service:Service",
            "--host", "127.0.0.1", "--port", str(launch.port),
        ],
        {
            **_model_variables(launch),
            "BENTOML_HOME": str(launch.work),
            "BENTOML_DO_NOT_TRACK": "true",
        },
    )  # fmt: skip


def _litserve(launch: Launch) -> Command:
    return Command(
        [launch.python, "-m", f"{_APPS}.litserve_api"],
        {**_model_variables(launch), "PORT": str(launch.port)},
    )


def _model_variables(launch: Launch) -> dict[str, str]:
    return {
        "MODEL_FILE": str(launch.model.joblib_file),
        "MODEL_FOLDER": str(launch.model.folder),
    }


PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            OURS, "Serinus", OURS, _serinus, {OURS: dialects.V2},
            named=dialects.split, grpc=dialects.GRPC,
        ),
        Peer(LIMIT, "raw ASGI + orjson, no model", "fastapi", _uvicorn("raw"), {LIMIT: dialects.V2}),
        Peer(
            SNIPPET, "FastAPI, joblib", "fastapi", _uvicorn("snippet"), {SNIPPET: dialects.ROWS}
        ),
        Peer(
            "snippet-mlflow", "FastAPI, mlflow.pyfunc", "mlflow", _uvicorn("snippet_mlflow"),
            {"snippet-mlflow": dialects.ROWS},
        ),
        Peer(
            "kserve", "KServe", "kserve", _kserve,
            {"kserve-v1": dialects.V1, "kserve-v2": dialects.V2_WITH_ID}, "kserve",
        ),
        Peer(
            "mlserver", "MLServer, scikit-learn", "mlserver",
            _mlserver("mlserver_sklearn.SKLearnModel"), {"mlserver": dialects.V2_WITH_ID},
            "mlserver", grpc=dialects.GRPC,
        ),
        Peer(
            "mlserver-mlflow", "MLServer, MLflow", "mlserver",
            _mlserver("mlserver_mlflow.MLflowRuntime"), {"mlserver-mlflow": dialects.V2_WITH_ID},
        ),
        Peer(
            "mlflow", "MLflow", "mlflow", _mlflow, {"mlflow": dialects.INPUTS}, "mlflow",
            named=dialects.split,
        ),
        Peer("litserve", "LitServe", "litserve", _litserve, {"litserve": dialects.ROWS}, "litserve"),
        Peer("bentoml", "BentoML", "bentoml", _bentoml, {"bentoml": dialects.PLAIN}, "bentoml"),
    )
}  # fmt: skip


def title_of(target: str) -> str:
    """What people call a target: the server, and the protocol where it is asked in several."""
    for peer in PEERS.values():
        if target == peer.name:
            return peer.title
        if target in peer.dialects:
            return f"{peer.title}, {target.removeprefix(peer.name + '-').upper()}"
    return target
