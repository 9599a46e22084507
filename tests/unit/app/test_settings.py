"""Settings: what is wrong is said at the start."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from serinus.app.settings import Settings, usage
from serinus.reconcile.rules import INSTANCE, NAMESPACE, lease_name, make_lease_role


def test_the_lease_is_in_the_pods_own_namespace_unless_told_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "namespace"
    assert Settings().lease_place(file) == NAMESPACE
    file.write_text("tenant-a\n")
    assert Settings().lease_place(file) == "tenant-a"
    assert Settings(lease_namespace="other").lease_place(file) == "other"


def test_lease_times_that_overlap_are_refused() -> None:
    with pytest.raises(ValidationError, match="renew deadline < duration"):
        Settings(lease_renew_deadline="20s")


def test_a_resync_without_a_pause_is_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 1 second"):
        Settings(resync_interval="10ms")


@pytest.mark.parametrize("name", ["", "UPPER", "a/b", "-a", "x" * 60])
def test_an_instance_makes_a_lease_name(name: str) -> None:
    with pytest.raises(ValidationError):
        Settings(instance=name)


def test_the_role_allows_the_default_lease_and_no_other() -> None:
    create, rest = make_lease_role()["rules"]
    assert create["verbs"] == ["create"]
    assert rest["resourceNames"] == [lease_name(INSTANCE)]
    assert set(rest["verbs"]) == {"get", "patch"}
    assert Settings().instance == INSTANCE


def test_every_setting_is_in_the_help() -> None:
    for name in Settings.model_fields:
        assert name == "kubeconfig" or f"SERINUS_{name.upper()}" in usage()
    assert "this often. [30s]" in usage()
    assert "operator may run. [true]" in usage()
