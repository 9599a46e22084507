"""Which path leads where. Everything here is thin; the work is in codecs and in the service."""

from __future__ import annotations

import platform
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from serinus_server import contract, errors
from serinus_server.protocols.codec import Codec
from serinus_server.protocols.endpoint import Limits, PredictionEndpoint
from serinus_server.protocols.json import write_json
from serinus_server.protocols.mlflow import MlflowCodec
from serinus_server.protocols.openapi import Documentation
from serinus_server.protocols.predict import PredictCodec
from serinus_server.protocols.status import STATUS
from serinus_server.protocols.v2 import EXTENSIONS, V2Codec, check_names, model_metadata
from serinus_server.service.inference import Inference
from serinus_server.service.lifecycle import Lifecycle, is_live, is_ready
from serinus_server.service.model import Identity
from serinus_server.telemetry.metrics import CONTENT_TYPE, Metrics
from serinus_server.telemetry.observer import Observer
from serinus_server.telemetry.scrapes import Scrapes


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes need of the application."""

    lifecycle: Lifecycle
    inference: Inference
    metrics: Metrics
    identity: Identity
    limits: Limits
    observer: Observer
    documentation: Documentation


@dataclass(frozen=True, slots=True)
class Predictions:
    """The endpoints of all protocols."""

    v2: PredictionEndpoint
    mlflow: PredictionEndpoint
    predict: PredictionEndpoint

    @classmethod
    def of(cls, service: Service) -> Predictions:
        def endpoint(codec: Codec) -> PredictionEndpoint:
            return PredictionEndpoint(
                codec,
                service.inference,
                service.metrics.live[codec.name],
                service.identity,
                service.limits,
                service.observer,
            )

        most = service.limits.max_elements
        return cls(
            endpoint(V2Codec(most)), endpoint(MlflowCodec(most)), endpoint(PredictCodec(most))
        )

    def paths(self, identity: Identity) -> dict[bytes, PredictionEndpoint]:
        """The paths, as clients write them, whose POSTs need no routing."""
        base = f"/v2/models/{identity.model}"
        paths = {
            f"{base}/infer": self.v2,
            "/invocations": self.mlflow,
            "/predict": self.predict,
        }
        if identity.version:
            paths[f"{base}/versions/{identity.version}/infer"] = self.v2
        return {path.encode(): endpoint for path, endpoint in paths.items()}

    def routes(self) -> list[Route]:
        """The same for everybody else, such as clients that ask for another model."""
        return [
            Route("/v2/models/{model}/infer", self.v2, methods=["POST"]),
            Route("/invocations", self.mlflow, methods=["POST"]),
            Route("/predict", self.predict, methods=["POST"]),
            Route("/v2/models/{model}/versions/{version}/infer", self.v2, methods=["POST"]),
        ]


def routes(service: Service, predictions: Predictions) -> list[Route]:
    """All routes of the server."""
    return [
        *predictions.routes(),
        *_v2(service),
        *_others(service),
        *service.documentation.routes(),
    ]


def _v2(service: Service) -> list[Route]:
    server = write_json({"name": "serinus", "version": server_version(), "extensions": EXTENSIONS})

    async def metadata(_: Request) -> Response:
        return _json(server)

    async def live(_: Request) -> Response:
        alive = is_live(service.lifecycle.state)
        return _json(write_json({"live": alive}), 200 if alive else 503)

    async def ready(_: Request) -> Response:
        state = service.lifecycle.state
        body = write_json({"ready": is_ready(state), "state": state})
        return _json(body, 200 if is_ready(state) else 503)

    async def model(request: Request) -> Response:
        check_names(service.identity, request.path_params)
        return _json(write_json(model_metadata(service.inference.serving())))

    async def model_ready(request: Request) -> Response:
        check_names(service.identity, request.path_params)
        return await ready(request)

    base = "/v2/models/{model}"
    return [
        Route("/v2", metadata),
        Route(contract.PATH_LIVE, live),
        Route(contract.PATH_READY, ready),
        Route(base, _v2_errors(model)),
        Route(f"{base}/ready", _v2_errors(model_ready)),
        Route(f"{base}/versions/{{version}}", _v2_errors(model)),
        Route(f"{base}/versions/{{version}}/ready", _v2_errors(model_ready)),
    ]


def _others(service: Service) -> list[Route]:
    async def ping(_: Request) -> Response:
        return _json(b"\n", 200 if is_ready(service.lifecycle.state) else 503)

    async def mlflow_version(_: Request) -> Response:
        return PlainTextResponse(installed_version("mlflow-skinny"))

    scrapes = Scrapes(service.metrics.render)

    async def metrics(_: Request) -> Response:
        return Response(await scrapes.text(), headers={"content-type": CONTENT_TYPE})

    return [
        Route("/ping", ping),
        Route("/health", ping),
        Route("/version", mlflow_version),
        Route(contract.PATH_METRICS, metrics),
    ]


def _v2_errors(
    handler: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    codec = V2Codec()

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except errors.RequestError as error:
            return _json(codec.error(error), STATUS[type(error)])

    return handle


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


def server_version() -> str:
    """This server's version and its Python's, as ``--version`` prints them."""
    return f"{installed_version('serinus')} (Python {platform.python_version()})"


def installed_version(distribution: str) -> str:
    """The version of an installed distribution, or ``unknown``."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"
