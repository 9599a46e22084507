"""A model's requirements are compared with what is installed, as a hint."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from serinus_server.runtimes.requirements import mismatches


def test_only_unmet_requirements_are_told(tmp_path: Path) -> None:
    lines = [
        f"numpy=={version('numpy')}",
        f"mlflow=={version('mlflow-skinny')}",
        "pandas<1  # old",
        "no-such-package-anywhere",
        "no-such-package-elsewhere; sys_platform == 'plan9'",
        "--extra-index-url https://example.com",
        "",
    ]
    (tmp_path / "requirements.txt").write_text("\n".join(lines))
    assert mismatches(tmp_path) == [
        f"pandas<1  # old, but {version('pandas')} is installed",
        "no-such-package-anywhere is not installed",
    ]


def test_a_model_without_requirements_has_no_mismatch(tmp_path: Path) -> None:
    assert mismatches(tmp_path) == []
