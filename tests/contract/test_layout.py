"""The repository keeps the shape that its architecture promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from serinus import __version__
from serinus.api.spec import ModelDeploymentSpec
from serinus.devtools.verify import problems
from serinus.reconcile.rules import make_cluster_role

ROOT = Path(__file__).parents[2]


def test_the_operator_folder_does_not_hide_the_standard_librarys_operator() -> None:
    assert not (ROOT / "operator/__init__.py").exists()
    assert not (ROOT / "operator/src/__init__.py").exists()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    code = "import operator, collections; assert operator.eq"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)


def test_generated_files_are_what_the_code_makes() -> None:
    assert problems(ROOT) == [], "run: make generate"


def test_verify_notices_a_changed_and_a_stray_file(tmp_path: Path) -> None:
    (tmp_path / "crds").mkdir()
    (tmp_path / "crds/stray.yaml").write_text("x")
    found = problems(tmp_path)
    assert any("serinus.dev_modeldeployments.yaml (generated)" in entry for entry in found)
    assert any("stray.yaml is not made by any code" in entry for entry in found)


def test_imports_keep_to_their_layers() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def yaml_blocks(text: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)


DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SAMPLES = sorted((ROOT / "manifests/samples").glob("*.yaml"))


@pytest.mark.parametrize(
    "path", [*DOCUMENTS, *SAMPLES], ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_every_model_deployment_in_the_documentation_is_valid_and_has_no_unknown_field(
    path: Path,
) -> None:
    text = path.read_text()
    for block in yaml_blocks(text) if path.suffix == ".md" else [text]:
        for item in yaml.safe_load_all(block):
            if not isinstance(item, dict) or item.get("kind") != "ModelDeployment":
                continue
            spec = ModelDeploymentSpec.model_validate(item["spec"])
            known = spec.model_dump(mode="json", by_alias=True)
            assert unknown(item["spec"], known) == []


def unknown(given: object, known: object, path: str = "spec") -> list[str]:
    """Fields that were given and that the model does not have: they would be ignored."""
    if isinstance(given, dict) and isinstance(known, dict):
        out = [f"{path}.{key}" for key in given if key not in known]
        for key in given:
            if key in known:
                out += unknown(given[key], known[key], f"{path}.{key}")
        return out
    if isinstance(given, list) and isinstance(known, list):
        return [x for a, b in zip(given, known, strict=True) for x in unknown(a, b, f"{path}[]")]
    return []


def test_the_version_is_the_newest_of_the_changelog() -> None:
    headings = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] in {"Unreleased", __version__}
    assert __version__ in {headings[0], headings[1] if len(headings) > 1 else ""} or headings == [
        "Unreleased"
    ]


def test_constraints_hold_no_address() -> None:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line), line


def test_the_operator_may_do_no_more_than_named_things_and_nothing_with_secrets() -> None:
    rules = make_cluster_role()["rules"]
    assert all(
        "*" not in rule[field] for rule in rules for field in ("apiGroups", "resources", "verbs")
    )
    resources = {resource for rule in rules for resource in rule["resources"]}
    assert not resources & {"secrets", "roles", "rolebindings", "clusterroles", "pods/exec"}
    assert {"modeldeployments"} & resources
    (ours,) = (rule for rule in rules if rule["resources"] == ["modeldeployments"])
    assert set(ours["verbs"]) == {"get", "list", "watch"}, "the operator never writes a spec"


MAX_LINES = 450


def test_modules_fit_in_a_head() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in ("operator/src", "server/src")
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > MAX_LINES
    }
    assert long == {}
