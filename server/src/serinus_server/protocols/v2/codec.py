"""The V2 protocol over REST: ``POST /v2/models/M[/versions/V]/infer``."""

from __future__ import annotations

from serinus_server import errors
from serinus_server.errors import MalformedRequest
from serinus_server.protocols.codec import Answer, Question, Request
from serinus_server.protocols.json import MAX_ELEMENTS, read_json, write_json
from serinus_server.protocols.v2.answer import AnswerWriter
from serinus_server.protocols.v2.model import Form, check_names
from serinus_server.protocols.v2.request import HEADER, Attached, read_inputs, read_wishes
from serinus_server.service.model import ServedModel
from serinus_server.service.payload import Prediction


class V2Codec:
    """Inference requests and answers of the V2 protocol over REST."""

    name = "v2"

    def __init__(self, max_elements: int = MAX_ELEMENTS) -> None:
        self._max_elements = max_elements
        self._known: tuple[ServedModel, Form, AnswerWriter] | None = None

    def decode(self, model: ServedModel, request: Request) -> Question:
        check_names(model.identity, request.path)
        body = request.body
        attached = None
        if HEADER in request.headers:
            attached = Attached(body, request.headers[HEADER])
            body = attached.json
        document = read_json(body, self._max_elements)
        if type(document) is not dict:
            raise MalformedRequest("the body must be an object")
        form = self._know(model)[1]
        tensors = read_inputs(document, attached, form.is_text)
        wishes, params = read_wishes(document)
        return Question(form.payload(tensors), params, wishes)

    def encode(self, model: ServedModel, question: Question, prediction: Prediction) -> Answer:
        return self._know(model)[2].write(question.context, prediction.values)

    def error(self, error: errors.RequestError) -> bytes:
        return write_json({"error": str(error)})

    def _know(self, model: ServedModel) -> tuple[ServedModel, Form, AnswerWriter]:
        """What was worked out for ``model``; a server has one, so that this happens once."""
        known = self._known
        if known is None or known[0] is not model:
            form = Form(model)
            known = self._known = (model, form, AnswerWriter(form))
        return known
