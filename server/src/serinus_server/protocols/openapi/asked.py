"""What the three protocols' requests look like for one model: filled in by kind of signature."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from serinus_server.protocols.openapi.values import Schema


@dataclass(frozen=True, slots=True)
class Wanted:
    """The schemas of a model's input; None or missing where the input has no such form."""

    components: dict[str, Schema]  # what the others refer to
    predict: Schema | None  # a whole body of /predict
    forms: dict[str, Schema]  # of MLflow's forms, what stands under their names
    tensors: Schema | None  # `inputs` of Open Inference V2
    csv: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One input in the same places as in ``Wanted``: by title for /predict, by form for MLflow."""

    predict: dict[str, Any] = field(default_factory=dict)
    forms: dict[str, Any] = field(default_factory=dict)
    tensors: list[dict[str, Any]] | None = None
    csv: str | None = None


NOTHING = Asked()
