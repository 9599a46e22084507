"""Python looks for garbage again once the model is loaded, and not in what is there by then."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from serinus_server import garbage


class Knot:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _thaw() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()
    gc.set_threshold(700)


def test_what_the_start_leaves_behind_is_collected_and_the_rest_is_kept() -> None:
    garbage.pause()
    knot = weakref.ref(Knot())
    garbage.keep_imports()
    later = weakref.ref(Knot())
    garbage.resume()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
    assert later() is None
    assert knot() is not None  # nobody looks among the imports


def test_without_a_pause_nothing_changes() -> None:
    before = gc.get_freeze_count()
    garbage.keep_imports()
    garbage.resume()
    assert gc.isenabled()
    assert gc.get_freeze_count() == before
