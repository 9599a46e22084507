"""Settings come from the environment, and wrong ones are named in one line."""

from __future__ import annotations

import pytest

from serinus_server import contract
from serinus_server.settings import SettingsError, read_settings

REQUIRED = {contract.ENV_MODEL_NAME: "churn", contract.ENV_MODEL_URI: "models:/churn/3"}


def test_the_model_is_all_that_must_be_said() -> None:
    settings = read_settings(REQUIRED)
    assert settings.model_name == "churn"
    assert settings.port == contract.PORT
    assert settings.max_request_bytes == 1024 * 1024


def test_empty_values_count_as_not_set() -> None:
    settings = read_settings({**REQUIRED, contract.ENV_PORT: "", contract.ENV_MODEL_DIGEST: ""})
    assert settings.port == contract.PORT


def test_latency_bounds_are_numbers_by_comma() -> None:
    settings = read_settings({**REQUIRED, contract.ENV_LATENCY_BOUNDS: "0.3, 0.075"})
    assert settings.latency_bounds == (0.3, 0.075)


@pytest.mark.parametrize(
    "uri",
    [
        "models:/churn/3",
        "models:/churn@champion",
        "models:/m-1f",
        "runs:/ab/model",
        "mlflow-artifacts:/1/ab/artifacts/model",
        "file:///m/1",
        "http://models.example:8080/churn/3.tar.gz",
        "https://[::1]/churn.zip",
        "s3://models/churn/3",
        "gs://models/churn/3.tgz",
    ],
)
def test_these_uris_name_models(uri: str) -> None:
    assert read_settings({**REQUIRED, contract.ENV_MODEL_URI: uri}).model_uri == uri


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (contract.ENV_PORT, "http"),
        (contract.ENV_PORT, "70000"),
        (contract.ENV_MODEL_URI, "http://169.254.169.254/model"),
        (contract.ENV_MODEL_URI, "models:/churn/3\nx"),
        (contract.ENV_MODEL_URI, "https://me:canary-secret@host/m.tar.gz"),
        (contract.ENV_MODEL_URI, "https://host/m.tar.gz?signature=canary-secret"),
        (contract.ENV_MODEL_URI, "mlflow-artifacts://elsewhere/m"),
        (contract.ENV_MODEL_URI, "s3:///m"),
        (contract.ENV_MAX_MODEL_BYTES, "0"),
        (contract.ENV_MODEL_NAME, "a/b"),
        (contract.ENV_MODEL_VERSION, "3\r\nx-evil: 1"),
        (contract.ENV_MODEL_DIGEST, "md5:abc"),
        (contract.ENV_LATENCY_BOUNDS, "0.1,fast"),
        (contract.ENV_LATENCY_BOUNDS, "0"),
        (contract.ENV_LATENCY_BOUNDS, "nan"),
        (contract.ENV_REQUEST_TIMEOUT, "0"),
        (contract.ENV_REQUEST_TIMEOUT, "inf"),
        (contract.ENV_MAX_REQUEST_BYTES, "1Mi"),
        (contract.ENV_MAX_CONCURRENCY, "0"),
        (contract.ENV_DRAIN_SECONDS, "-1"),
        (contract.ENV_LOG_FORMAT, "xml"),
        (contract.ENV_ALLOW_CUSTOM_CODE, "maybe"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({**REQUIRED, name: value})
    message = str(caught.value)
    assert name in message
    assert "\n" not in message
    assert "canary-secret" not in message


def test_everything_wrong_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({contract.ENV_PORT: "x"})
    for name in (contract.ENV_MODEL_NAME, contract.ENV_MODEL_URI, contract.ENV_PORT):
        assert name in str(caught.value)
