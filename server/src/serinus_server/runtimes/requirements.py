"""Which packages a model was made with, held against the ones that are installed here.

MLflow has such a check, but it maps all installed modules to packages first, which takes longer
than loading most models. The packages' own metadata is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

# The same code of the same versions, in smaller distributions, which the server may have instead.
_SLIM = {"mlflow": "mlflow-skinny", "xgboost": "xgboost-cpu", "tensorflow": "tensorflow-cpu"}


def mismatches(folder: Path) -> list[str]:
    """What of the model's ``requirements.txt`` is not met here, one line each, in its order.

    A mismatch is a hint and no error: most models load and answer alike with newer packages.
    """
    try:
        lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, UnicodeDecodeError):
        return []
    return list(_check(lines))


def _check(lines: list[str]) -> Iterator[str]:
    for line in lines:
        try:
            wanted = Requirement(line.partition("#")[0].strip())
        except InvalidRequirement:  # pip's options, files and blank lines
            continue
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        installed = _installed(wanted.name)
        if installed is None:
            yield f"{line} is not installed"
        elif not wanted.specifier.contains(installed, prereleases=True):
            yield f"{line}, but {installed} is installed"


def _installed(name: str) -> str | None:
    for candidate in (name, _SLIM.get(name, name)):
        try:
            return version(candidate)
        except PackageNotFoundError:
            continue
    return None
