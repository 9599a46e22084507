"""Every answer of the API server has one place in the error tree."""

from __future__ import annotations

import json

import pytest

from serinus.kube.errors import error_from
from serinus.ports import Conflict, Forbidden, Invalid, NotFound, ServerError, TooManyRequests

STATUS = json.dumps({"kind": "Status", "reason": "Because", "message": "in words"}).encode()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Invalid), (401, Forbidden), (403, Forbidden), (404, NotFound), (405, Invalid),
        (409, Conflict), (410, Invalid), (415, Invalid), (422, Invalid), (429, TooManyRequests),
        (500, ServerError), (503, ServerError), (504, ServerError),
    ],
)  # fmt: skip
def test_status_to_error(status: int, kind: type) -> None:
    error = error_from(status, STATUS, None)
    assert type(error) is kind
    assert (error.reason, error.message) == ("Because", "in words")


def test_an_answer_of_a_proxy_is_kept_short() -> None:
    error = error_from(502, b"<html>" * 1000, None)
    assert isinstance(error, ServerError)
    assert len(str(error)) < 600


def test_retry_after_is_honoured() -> None:
    assert error_from(429, STATUS, "7").retry_after == 7
    assert error_from(429, STATUS, "soon").retry_after == 1
    assert error_from(429, STATUS, "²").retry_after == 1
