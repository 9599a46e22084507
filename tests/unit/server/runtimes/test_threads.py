"""Numerical libraries take as many threads as the process has CPUs, unless people say otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from serinus_server.runtimes.threads import cpus, limit_threads

_ALLOWED = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("limit", "want"),
    [("100000 100000", 1), ("50000 100000", 1), ("max 100000", _ALLOWED), ("odd", _ALLOWED)],
)
def test_the_containers_quota_counts_rounded_up(limit: str, want: int, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(f"{limit}\n")
    assert cpus(tmp_path) == want


def test_the_quota_of_old_cgroups_counts(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("100000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert cpus(tmp_path) == 1
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert cpus(tmp_path) == _ALLOWED


def test_without_cgroups_the_affinity_counts(tmp_path: Path) -> None:
    assert cpus(tmp_path) == _ALLOWED


def test_what_people_set_is_left_as_it_is() -> None:
    environment = {"OMP_NUM_THREADS": "3", "OMP_WAIT_POLICY": "ACTIVE"}
    limit_threads(environment)
    assert environment["OMP_NUM_THREADS"] == environment["TF_NUM_INTRAOP_THREADS"] == "3"
    assert environment["OMP_WAIT_POLICY"] == "ACTIVE"
