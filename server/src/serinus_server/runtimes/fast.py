"""What every fast runtime is: a shorter way to the reference's answers, and the reference itself.

A fast way is only taken where its answers are surely those of ``mlflow.pyfunc``. Whatever it does
not know (a missing column, a NaN, another dtype, any error of its own) it leaves to the reference,
which then gives the answer or raises the error that people know from MLflow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from serinus_server.runtimes.base import Signature
from serinus_server.runtimes.mlflow_pyfunc import PyFuncRuntime

Ask: TypeAlias = Callable[[Any], Any]
AskParts: TypeAlias = Callable[[Any, Sequence[int]], Any]


class Doubt(Exception):
    """This input is not for the fast way: ask the reference."""


@dataclass(frozen=True, slots=True)
class Hints:
    """What a model's structure tells about inputs that are worth trying.

    ``values`` has, by a column's name or position, the values at which the answer may change: the
    thresholds of trees, the categories of encoders. ``width`` is the number of columns of an
    array, where the signature does not tell it. ``patience`` are the seconds that the fewest
    questions may take where the reference is known to be slow and the fast way to be worth it.
    """

    values: Mapping[str | int, Sequence[Any]] = field(default_factory=dict)
    width: int | None = None
    patience: float = 0.0


class FastRuntime:
    """Answers by ``ask``, and by the reference where ``ask`` raises anything.

    ``ask_parts`` answers several requests at once, as `Runtime.predict_parts` says; it is only
    used where the fast way turns out not to be row-wise. `choose` sets ``row_wise`` and ``quick_rows``.
    """

    def __init__(
        self, name: str, reference: PyFuncRuntime, ask: Ask, ask_parts: AskParts | None = None
    ) -> None:
        self.name = name
        self.row_wise = False
        self.quick_rows = 0
        self._reference = reference
        self._ask = ask
        self._ask_parts = ask_parts
        self.predict_parts: AskParts | None = None if ask_parts is None else self._predict_parts

    @property
    def signature(self) -> Signature:
        return self._reference.signature

    @property
    def flavor(self) -> str:
        return self._reference.flavor

    def predict(self, model_input: Any, params: Mapping[str, Any] | None) -> Any:
        """The reference's answer, as `Runtime.predict` says."""
        if not params:
            try:
                return self._ask(model_input)
            except Exception:  # noqa: BLE001, S110 - the reference knows the right error
                pass
        return self._reference.predict(model_input, params)

    def _predict_parts(self, stacked: Any, sizes: Sequence[int]) -> Any:
        assert self._ask_parts is not None  # noqa: S101
        return self._ask_parts(stacked, sizes)
