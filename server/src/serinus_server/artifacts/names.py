"""Which names the files of a model may have.

A name comes from whoever made the model, an archive or a listing. It becomes a path on this
machine and a line of the digest, so it must mean one thing only, on every file system.
"""

from __future__ import annotations

import unicodedata

from serinus_server.errors import NotAdmitted

MAX_DEPTH = 32  # folders within folders
_MAX_PART_BYTES = 255  # what Linux file systems allow
_MAX_PATH_BYTES = 1024
# Control characters, and those that change the direction of text: they make names lie in logs.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def check_name(name: str) -> None:
    """Refuse ``name``, a path relative to the model's folder with ``/`` between its parts.

    Raises:
        NotAdmitted: it leads elsewhere, or is not the same name everywhere.
    """
    if why := _fault(name):
        raise NotAdmitted(f"the model holds a file named {shown(name)}, {why}")


def shown(name: str, longest: int = 100) -> str:
    """``name`` for a message: short, quoted, without characters that act on a terminal."""
    return ascii(name if len(name) <= longest else name[:longest] + "...")


def _fault(name: str) -> str | None:
    if name.startswith("/"):
        return "which is an absolute path"
    if len(name.encode("utf-8", "surrogatepass")) > _MAX_PATH_BYTES:
        return f"which is longer than {_MAX_PATH_BYTES} bytes"
    parts = name.split("/")
    if len(parts) > MAX_DEPTH:
        return f"which is more than {MAX_DEPTH} folders deep"
    return next((why for part in parts if (why := _fault_of_part(part))), None)


def _fault_of_part(part: str) -> str | None:
    if part in ("", ".", ".."):
        return "which leads out of its folder" if part == ".." else "which is no plain path"
    if "\\" in part:
        return "which other systems read as a path"
    if any(unicodedata.category(character) in _UNPRINTABLE for character in part):
        return "which has characters that cannot be shown"
    if part[-1] in ". ":
        return "which ends in a dot or a space, that some file systems drop"
    if len(part.encode()) > _MAX_PART_BYTES:
        return f"of which one part is longer than {_MAX_PART_BYTES} bytes"
    return None


class Names:
    """The names of one model's files so far; no two may be one name on some file system."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def add(self, name: str) -> None:
        """Take ``name`` as a file's.

        Raises:
            NotAdmitted: it is not allowed, or taken: by itself, by other capitals, by another
                Unicode form of the same letters, or by a folder.
        """
        check_name(name)
        parts = name.split("/")
        for end in range(1, len(parts)):
            self._take("/".join(parts[:end]), folder=True)
        self._take(name, folder=False)

    def _take(self, name: str, *, folder: bool) -> None:
        key = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
        taken = self._seen.setdefault(key, f"{name}/" if folder else "")
        if folder and taken == f"{name}/":
            return
        if not folder and not taken:
            self._seen[key] = name
            return
        raise NotAdmitted(
            f"the model holds {shown(name)} and {shown(taken or name)}, which are one name on "
            "file systems that ignore capitals or Unicode forms"
        )
