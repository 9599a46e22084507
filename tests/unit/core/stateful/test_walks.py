"""Walks through everything that may happen to one ModelDeployment, in any order.

HYPOTHESIS_PROFILE=soak makes other walks on every run, WALKS of them (2000 by default).
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from .rules import Walk

if os.environ.get("HYPOTHESIS_PROFILE") == "soak":
    number = int(os.environ.get("WALKS", "2000"))
    limits = settings(max_examples=number, stateful_step_count=25, derandomize=False, database=None)
else:
    limits = settings(max_examples=200, stateful_step_count=20)


@pytest.mark.timeout(0)
class TestWalks(Walk.TestCase):
    """Hypothesis makes the walks, and shortens one that fails."""

    settings = limits
