"""The independent judge of a simulated run: reads its log and nothing else.

It imports nothing of the operator, the server or the simulator, so that no mistake of theirs can hide
itself: the standard library and the public names of the API are all that it knows.
"""

from .engine import INVARIANTS, NAMES, Checker, check
from .violation import Violation

__all__ = ["INVARIANTS", "NAMES", "Checker", "Violation", "check"]
