"""Whether the generated files in the repository are what the code makes now.

Fails on a difference, on a missing file, and on a file beside the generated ones that no code makes.
"""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

from serinus.devtools.generate import outputs

GENERATED_FOLDERS = ("crds",)


def problems(root: Path) -> list[str]:
    """What differs, one entry per file, as unified diffs; empty when all is well."""
    wanted = outputs()
    out = []
    for path, text in wanted.items():
        file = root / path
        found = file.read_text() if file.exists() else ""
        if found != text:
            diff = difflib.unified_diff(
                found.splitlines(),
                text.splitlines(),
                f"{path} (found)",
                f"{path} (generated)",
                lineterm="",
            )
            out.append("\n".join(diff))
    for folder in GENERATED_FOLDERS:
        for file in sorted((root / folder).rglob("*")):
            name = file.relative_to(root).as_posix()
            if file.is_file() and name not in wanted:
                out.append(f"{name} is not made by any code: delete it, or generate it")
    return out


def main() -> int:
    found = problems(Path.cwd())
    if not found:
        return 0
    print("\n".join(found))  # noqa: T201
    print("\nGenerated files are out of date. Run: make generate", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
