"""The operator's own metrics: named alike, documented, and with few series."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from serinus.app.telemetry import Telemetry
from serinus.app.workqueue import WorkQueue
from serinus.reconcile.deps import Key

DOCUMENT = Path(__file__).parents[3] / "docs/operations.md"


@pytest.fixture
async def telemetry() -> Telemetry:
    made = Telemetry()
    queue: WorkQueue[Key] = WorkQueue()
    queue.add(Key("ml", "churn"))
    made.watch_queue(queue)
    made.watch_lease(None)
    made.watch_skew(lambda: timedelta(seconds=2))
    return made


def names(telemetry: Telemetry) -> Iterator[str]:
    for family in telemetry.registry.collect():
        suffix = "_total" if family.type == "counter" else ""
        yield f"{family.name}{suffix}"


async def test_every_metric_is_documented_and_every_documented_metric_is_there(telemetry) -> None:
    table = DOCUMENT.read_text().partition("## Metrics")[2].partition("## Logs")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    told = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])}
    told.add("lease_age_seconds")
    there = {name.removeprefix("serinus_operator_") for name in names(telemetry)}
    assert there | {"lease_age_seconds"} == told  # the Lease has its age; without one there is none


async def test_all_begin_with_the_operators_name(telemetry) -> None:
    assert all(name.startswith("serinus_operator_") for name in names(telemetry))


async def test_queue_and_clock_are_told_as_they_are(telemetry) -> None:
    value = telemetry.registry.get_sample_value
    assert value("serinus_operator_queue_depth") == 1
    assert value("serinus_operator_clock_skew_seconds") == 2
    assert value("serinus_operator_leader") == 1


async def test_only_writes_that_were_taken_count_as_writes(telemetry) -> None:
    for verb, code in (("get", "200"), ("patch", "409"), ("patch", "200"), ("apply", "200")):
        telemetry.request(verb, "httproutes", code, 0.01)
    value = telemetry.registry.get_sample_value
    assert value("serinus_operator_writes_total", {"resource": "httproutes"}) == 2
    labels = {"verb": "patch", "resource": "httproutes", "code": "409"}
    assert value("serinus_operator_api_requests_total", labels) == 1


async def test_the_number_of_series_does_not_grow_with_what_happens_to_one_object(
    telemetry,
) -> None:
    def count() -> int:
        return sum(len(family.samples) for family in telemetry.registry.collect())

    def happen() -> None:
        telemetry.request("get", "pods", "200", 0.01)
        telemetry.reconciled("ok")
        telemetry.retried("conflict")
        telemetry.story.forget(Key("ml", "churn"))

    happen()
    before = count()
    for _ in range(100):
        happen()
    assert count() == before
