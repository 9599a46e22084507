"""A whole model as a short program: take the matrix, transform it, ask the last step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from serinus_server.runtimes.sklearn.matrix import Matrix
from serinus_server.runtimes.sklearn.steps import Step


class Head(Protocol):
    """The last step of a model."""

    name: str

    def __call__(self, matrix: Matrix) -> Matrix:
        """The answers to one request."""


class Make(Protocol):
    """The first step: makes a matrix of an input, or raises Doubt."""

    def __call__(self, model_input: Any) -> Matrix: ...


class Program:
    """Answers as the model does; `ask_parts` only where the head tells requests apart."""

    def __init__(self, make: Make, steps: Sequence[Step], head: Head) -> None:
        self._make = make
        self._steps = tuple(steps)
        self._head = head

    def ask(self, model_input: Any) -> Any:
        """The answers to one request."""
        return self._head(self._matrix(model_input))

    def ask_parts(self, stacked: Any, sizes: Sequence[int]) -> Any:
        """The answers to several requests, as `Runtime.predict_parts` says."""
        return self._head.parts(self._matrix(stacked), sizes)  # type: ignore[attr-defined]

    def _matrix(self, model_input: Any) -> Matrix:
        matrix = self._make(model_input)
        for step in self._steps:
            matrix = step(matrix)
        return matrix
