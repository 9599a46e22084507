"""When Python looks for garbage: not while the server starts, and never again among what it started with.

Starting makes a quarter of a million objects that all stay; looking through them again and again
takes a quarter of the start, and later every full collection would hold up the requests of its moment.
"""

from __future__ import annotations

import gc

# New containers between two looks for garbage. With Python's 700, a body of a megabyte of small lists is
# looked through some 500 times while it is parsed: that was half of the time in which the
# parser keeps the event loop waiting.
_YOUNG = 10_000


def pause() -> None:
    """Look for no garbage until ``resume``; called first thing in a process."""
    gc.disable()


def keep_imports() -> None:
    """The libraries are imported: what is there by now stays for good."""
    if not gc.isenabled():
        gc.freeze()


def resume() -> None:
    """The model is loaded: collect what that left behind, keep the rest, and look for garbage again.

    Does nothing if nobody called ``pause``, as in tests.
    """
    if not gc.isenabled():
        gc.collect()
        gc.freeze()
        gc.enable()
        gc.set_threshold(_YOUNG)
