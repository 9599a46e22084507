"""Say whether a pickle is harmless, by Python's own unpickler on objects that do nothing.

A pickle is a program: it names functions and calls them. Its names all pass through
``Unpickler.find_class``. Here that looks each name up in the list of trusted ones, and hands out a
class without any behaviour instead of what was named, so that nothing is ever called. The parser is
the one that will load the model, so no trick of encoding shows the two of them different names.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, Self

from serinus_server.artifacts.formats.trusted import trusted
from serinus_server.artifacts.names import shown
from serinus_server.contract import ENV_ALLOW_CUSTOM_CODE
from serinus_server.errors import NotAdmitted


def check_pickle(path: Path) -> None:
    """Refuse the pickle in ``path`` if it calls for anything that is not trusted.

    Raises:
        NotAdmitted: it does, or it is no pickle.
    """
    with path.open("rb") as file:
        check_pickle_stream(file, path.name)


def check_pickle_stream(file: BinaryIO, name: str, *, storages: bool = False) -> None:
    """``check_pickle`` of what ``file`` gives; ``storages``: PyTorch's, with tensors beside it."""
    try:
        (_StorageReader if storages else _Reader)(file, name).load()
    except NotAdmitted:
        raise
    except Exception:  # noqa: BLE001 - bytes of whatever kind raise whatever they like
        raise NotAdmitted(
            f"the model's file {shown(name)} is no pickle that can be checked; "
            f"{ENV_ALLOW_CUSTOM_CODE}=true loads it unchecked"
        ) from None


def refuse(file: str, what: str) -> NoReturn:
    """Refuse a model whose ``file`` names ``what``."""
    raise NotAdmitted(
        f"the model's file {shown(file)} calls for {shown(what)}, which is not on the list of what "
        f"models may call; if you trust who made it, {ENV_ALLOW_CUSTOM_CODE}=true allows it"
    )


class _Inert:
    """Stands for whatever a pickle builds: takes every argument, state and item, and does nothing."""

    __slots__ = ("__weakref__",)

    def __new__(cls, *_args: object, **_kwargs: object) -> Self:
        return object.__new__(cls)

    def __init__(self, *_args: object, **_kwargs: object) -> None: ...

    def __setstate__(self, _state: object) -> None: ...

    def __setitem__(self, _key: object, _value: object) -> None: ...

    def append(self, _item: object) -> None: ...

    def extend(self, _items: object) -> None: ...

    def add(self, _item: object) -> None: ...


class _Reader(pickle.Unpickler):
    def __init__(self, file: BinaryIO, name: str) -> None:
        super().__init__(file)
        self._name = name

    def find_class(self, module: str, name: str) -> Any:
        if not trusted(module, name):
            refuse(self._name, f"{module}.{name}")
        return _Inert


class _StorageReader(_Reader):
    def persistent_load(self, _pid: object) -> Any:
        return _Inert()
