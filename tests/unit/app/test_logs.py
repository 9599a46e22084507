"""Log lines: JSON where no terminal is, the object's key on each, and no secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from serinus.app.logs import configure_logging, redact
from serinus.app.settings import Settings


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield lambda: capsys.readouterr().err
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_lines_are_json_where_no_terminal_is_and_name_the_object(lines) -> None:
    configure_logging(Settings())
    with bound_contextvars(object="ml/churn"):
        structlog.get_logger("serinus").info("it happened", revision="ab12cd34", weight=20)
        logging.getLogger("another.library").warning("as well")
    first, second = (json.loads(line) for line in lines().splitlines())
    assert first["object"] == second["object"] == "ml/churn"
    assert (first["event"], first["revision"], first["weight"]) == ("it happened", "ab12cd34", 20)
    assert second["event"] == "as well"


def test_console_lines_are_for_people(lines) -> None:
    configure_logging(Settings(log_format="console"))
    structlog.get_logger("serinus").info("it happened", object="ml/churn")
    told = lines()
    assert "it happened" in told
    assert "object=ml/churn" in told
    assert not told.startswith("{")


def test_a_traceback_holds_no_credentials(lines) -> None:
    configure_logging(Settings())
    try:
        {}["https://user:hunter2@mlflow.example.com/api"]
    except KeyError:
        structlog.get_logger("serinus").exception("the reconcile crashed", object="ml/churn")
    told = lines()
    assert "hunter2" not in told
    assert "https://***@mlflow.example.com/api" in json.loads(told)["exception"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("http://mlflow:5000/api", "http://mlflow:5000/api"),
        ("https://u:p@host/x", "https://***@host/x"),
        ("https://token@host/x", "https://***@host/x"),
        ("Authorization: Bearer abc.def-123456", "Authorization: Bearer ***"),
        ("s3://b/k?X-Amz-Signature=deadbeef&x=1", "s3://b/k?X-Amz-Signature=***&x=1"),
        ("/x?api_key=abcdef", "/x?api_key=***"),
        ("models:/churn@champion", "models:/churn@champion"),
        ("mail someone@example.com", "mail someone@example.com"),
    ],
)
def test_credentials_are_struck_out_and_nothing_else(text: str, told: str) -> None:
    assert redact(text) == told
