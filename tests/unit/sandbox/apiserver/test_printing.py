from __future__ import annotations

from typing import Any

import pytest

from serinus.sandbox.apiserver.ages import duration
from serinus.sandbox.apiserver.jsonpath import compile_path
from serinus.sandbox.apiserver.printing import table, wants_table
from serinus.sandbox.apiserver.resources import BUILTINS, Column, Resource

CREATED = "2020-01-01T00:00:00Z"
NOW = 1577836800.0 + 90


@pytest.mark.parametrize(
    ("seconds", "want"),
    [
        (0, "0s"), (119, "119s"), (120, "2m"), (305, "5m5s"), (599, "9m59s"), (600, "10m"),
        (3 * 3600 - 1, "179m"), (3 * 3600, "3h"), (5 * 3600 + 60, "5h1m"), (8 * 3600, "8h"),
        (47 * 3600, "47h"), (50 * 3600, "2d2h"), (9 * 86400, "9d"), (800 * 86400, "2y70d"),
        (3000 * 86400, "8y"), (-5, "0s"),
    ],
)  # fmt: skip
def test_ages_are_shown_as_kubectl_shows_them(seconds: int, want: str) -> None:
    assert duration(seconds) == want


@pytest.mark.parametrize(
    ("path", "want"),
    [
        (".spec.size", [3]),
        ("{.spec.size}", [3]),
        ('.c[?(@.type=="Ready")].status', ["True"]),
        (".c[0].type", ["Other"]),
        (".c[*].type", ["Other", "Ready"]),
        (".c[-1].type", ["Ready"]),
        (".labels.a\\.b/c", ["x"]),
        (".labels['a.b/c']", ["x"]),
        (".nothing.here", []),
    ],
)
def test_json_paths(path: str, want: list[Any]) -> None:
    value = {
        "spec": {"size": 3},
        "c": [{"type": "Other"}, {"type": "Ready", "status": "True"}],
        "labels": {"a.b/c": "x"},
    }
    assert compile_path(path)(value) == want


def test_a_json_path_that_is_not_understood_is_an_error() -> None:
    with pytest.raises(ValueError, match="not understood"):
        compile_path(".a[?(@.b>1)]")


@pytest.mark.parametrize(
    ("accept", "want"),
    [
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", True),
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", False),
        ("application/json", False),
        ("application/json,application/json;as=Table;v=v1;g=meta.k8s.io", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_a_table_is_made_for_who_prefers_one(accept: str, want: bool) -> None:
    assert wants_table(accept) is want


def cells(kind: str, **obj: Any) -> dict[str, Any]:
    resource = next(res for res in BUILTINS if res.kind == kind)
    obj["metadata"] = {"name": "x", "creationTimestamp": CREATED, **obj.pop("metadata", {})}
    made = table(resource, [obj], {}, NOW)
    names = [column["name"] for column in made["columnDefinitions"]]
    assert len(names) == len(made["rows"][0]["cells"])
    return dict(zip(names, made["rows"][0]["cells"], strict=True))


@pytest.mark.parametrize(
    ("metadata", "state", "want"),
    [
        ({}, {"running": {}}, "Running"),
        ({}, {"waiting": {"reason": "ErrImagePull"}}, "ErrImagePull"),
        ({}, {"terminated": {"reason": "OOMKilled"}}, "OOMKilled"),
        ({}, {"terminated": {"exitCode": 3}}, "ExitCode:3"),
        ({"deletionTimestamp": CREATED}, {"running": {}}, "Terminating"),
    ],
)
def test_a_pods_status_says_why(metadata: Any, state: Any, want: str) -> None:
    last = {"terminated": {"finishedAt": "2020-01-01T00:01:00Z"}}
    container = {"state": state, "ready": True, "restartCount": 2, "lastState": last}
    shown = cells(
        "Pod",
        metadata=metadata,
        spec={"containers": [{"name": "c"}]},
        status={"phase": "Running", "containerStatuses": [container]},
    )
    assert shown["Status"] == want
    assert shown["Restarts"] == "2 (30s ago)"
    assert shown["Ready"] == "1/1"
    assert shown["Age"] == "90s"


def test_a_deployment_shows_ready_of_wanted() -> None:
    shown = cells("Deployment", spec={"replicas": 3}, status={"readyReplicas": 1})
    assert (shown["Ready"], shown["Up-to-date"]) == ("1/3", 0)


def test_columns_of_custom_resources_come_from_their_definition() -> None:
    columns = (
        Column("Size", "integer", ".spec.size"),
        Column("Ready", "string", '.status.c[?(@.type=="Ready")].status'),
        Column("Since", "date", ".spec.since"),
    )
    resource = Resource("g", "v1", "Kind", "kinds", "kind", custom=True, columns=columns)
    obj = {"metadata": {"name": "x"}, "spec": {"size": 3, "since": CREATED}}
    made = table(resource, [obj], {}, NOW)
    assert made["rows"][0]["cells"] == ["x", 3, None, "90s"]
    assert made["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
