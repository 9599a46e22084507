"""The examples in the docstrings of the core are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from serinus import core

MODULES = sorted(module.name for module in pkgutil.iter_modules(core.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"serinus.core.{name}")).failed == 0


def test_there_are_examples() -> None:
    sequential = importlib.import_module("serinus.core.sequential")
    assert doctest.testmod(sequential).attempted > 0
