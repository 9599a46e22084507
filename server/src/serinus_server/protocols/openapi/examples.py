"""Examples that are true: the model's logged input in every form in which this server takes it.

Each form is decoded and bound as a request would be; one that is refused is left out. The
answers are the model's own to that input.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from serinus_server import errors
from serinus_server.protocols.codec import Codec, Question, Request
from serinus_server.protocols.json import write_json
from serinus_server.protocols.mlflow import CSV_TYPE, JSON_TYPE, MlflowCodec
from serinus_server.protocols.openapi.asked import NOTHING, Asked
from serinus_server.protocols.openapi.kinds import Inputs
from serinus_server.protocols.predict import PredictCodec
from serinus_server.protocols.v2 import V2Codec
from serinus_server.service.model import ServedModel
from serinus_server.service.payload import Prediction

_ROWS = 2  # enough to see that there may be several
_MOST_BYTES = 20_000  # of one example


@dataclass(frozen=True, slots=True)
class Examples:
    """Bodies by protocol and title, and the model's answers to the first of each."""

    requests: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    csv: str | None = None
    answers: Mapping[str, Any] = field(default_factory=dict)


def examples_of(
    model: ServedModel, inputs: Inputs, logged: bytes | None, *, may_ask: bool
) -> Examples:
    """The examples that ``logged``, a body of ``/invocations``, makes.

    With ``may_ask`` the model is asked for its answer, once.
    """
    if logged is None:
        return Examples()
    codecs: list[Codec] = [PredictCodec(), MlflowCodec(), V2Codec()]
    try:
        question = MlflowCodec().decode(model, Request(logged))
        asked = inputs.asked(question.payload, _ROWS)
    except errors.RequestError:
        return Examples()
    bodies = _bodies(asked or NOTHING, question.params)
    requests: dict[str, dict[str, Any]] = {}
    answers: dict[str, Any] = {}
    prediction: Prediction | None = None
    for codec in codecs:
        for title, body in bodies[codec.name].items():
            asking = _question(codec, model, write_json(body), JSON_TYPE)
            if asking is None:
                continue
            requests.setdefault(codec.name, {})[title] = body
            if may_ask and codec.name not in answers:
                prediction = prediction or _answer(model, asking)
                if prediction is None:
                    return Examples()
                answers[codec.name] = _written(codec, model, asking, prediction)
    csv = asked.csv
    if csv is not None and _question(MlflowCodec(), model, csv.encode(), CSV_TYPE) is None:
        csv = None
    return Examples(requests, csv, {name: body for name, body in answers.items() if body})


def _bodies(asked: Asked, params: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    more = {"params": dict(params)} if params else {}
    v2: dict[str, dict[str, Any]] = (
        {} if asked.tensors is None else {"tensors": {"inputs": asked.tensors}}
    )
    if params:
        v2 = {title: {**body, "parameters": dict(params)} for title, body in v2.items()}
    return {
        "predict": dict(asked.predict) if not params else {},
        "mlflow": {form: {form: value, **more} for form, value in asked.forms.items()},
        "v2": v2,
    }


def _question(codec: Codec, model: ServedModel, body: bytes, content_type: str) -> Question | None:
    """What ``body`` asks; None when it is refused, or too large for an example."""
    if len(body) > _MOST_BYTES:
        return None
    try:
        question = codec.decode(model, Request(body, content_type))
        model.bind(question.payload, question.params)
    except errors.RequestError:
        return None
    return question


def _answer(model: ServedModel, question: Question) -> Prediction | None:
    try:
        return model.predict(question.payload, question.params)
    except errors.RequestError:
        return None


def _written(
    codec: Codec, model: ServedModel, question: Question, prediction: Prediction
) -> Any | None:
    try:
        body = codec.encode(model, question, prediction).body
    except (errors.RequestError, TypeError):  # an answer without a JSON form
        return None
    return json.loads(body) if len(body) <= _MOST_BYTES else None
