"""Hold the types of a skops file against the list of trusted ones.

MLflow takes the types to trust from the model's own ``MLmodel``. Here the list is ours.
"""

from __future__ import annotations

from pathlib import Path

from serinus_server.artifacts.formats.pickled import refuse
from serinus_server.artifacts.formats.trusted import trusted
from serinus_server.artifacts.formats.zipped import open_zip
from serinus_server.artifacts.limits import Budget
from serinus_server.artifacts.names import shown
from serinus_server.errors import NotAdmitted


def check_skops(path: Path, budget: Budget) -> None:
    """Refuse the skops file ``path`` if it has a type that is not trusted.

    Raises:
        NotAdmitted: it has, or it is no skops file.
    """
    with open_zip(path, budget):
        pass
    try:
        from skops.io import get_untrusted_types
    except ModuleNotFoundError:
        return  # nothing here can load it; the loader says so
    try:
        types = get_untrusted_types(file=path)
    except (Exception, RecursionError):  # noqa: BLE001 - the file says what skops stumbles over
        raise NotAdmitted(f"{shown(path.name)} is no skops file that can be checked") from None
    for name in types:
        if not trusted(*_split(name)):
            refuse(path.name, name)


def _split(name: str) -> tuple[str, str]:
    module, _, last = name.rpartition(".")
    return module, last
