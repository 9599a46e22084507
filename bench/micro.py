"""``python -m bench.micro``: what reading, binding and writing one request cost, without a model.

Prints microseconds of CPU time, the least of many runs: what the machine does beside can only add.
"""

from __future__ import annotations

import json
import sys
import time
import timeit
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from serinus_server.protocols.codec import Codec, Request
from serinus_server.protocols.mlflow import MlflowCodec
from serinus_server.protocols.predict import PredictCodec
from serinus_server.runtimes.base import Column, Signature
from serinus_server.service.model import Identity
from serinus_server.service.payload import Prediction
from serinus_server.service.plan import plan_for

_TYPES = {
    "doubles": ["double"] * 30,
    "mixed": ["double"] * 12 + ["long"] * 8 + ["string"] * 6 + ["boolean"] * 4,
}
_RUNS, _SECONDS = 15, 0.02  # of each measurement


def main() -> None:
    """Measure every form of a table of 30 columns, of 1 row and of 32."""
    _say(f"{'columns':8} {'rows':>4}  {'form':18} {'read':>6} {'bind':>6} {'write':>6}   µs")
    for label, types in _TYPES.items():
        columns = tuple(Column(f"feature_{n}", kind) for n, kind in enumerate(types))
        model: Any = SimpleNamespace(
            signature=Signature(columns), identity=Identity("bench", "1", "bench")
        )
        bind = plan_for(model.signature).bind
        for rows in (1, 32):
            prediction = Prediction(np.random.default_rng(1).normal(size=rows), rows)
            for form, codec, body in _requests(columns, rows):
                request = Request(body, "application/json")
                question = codec.decode(model, request)
                costs = (
                    _cost(partial(codec.decode, model, request)),
                    _cost(partial(bind, question.payload)),
                    _cost(partial(codec.encode, model, question, prediction)),
                )
                numbers = " ".join(f"{cost:6.1f}" for cost in costs)
                _say(f"{label:8} {rows:4}  {form:18} {numbers}")


def _requests(columns: tuple[Column, ...], count: int) -> Iterator[tuple[str, Codec, bytes]]:
    random = np.random.default_rng(0)
    make: dict[str, Callable[[], Any]] = {
        "double": lambda: float(random.normal()),
        "long": lambda: int(random.integers(0, 1000)),
        "string": lambda: "Tromsø",
        "boolean": lambda: bool(random.random() < 0.5),
    }
    rows = [{str(c.name): make[c.type]() for c in columns} for _ in range(count)]
    names = list(rows[0])
    split = {"columns": names, "data": [list(row.values()) for row in rows]}
    by_name = {name: [row[name] for row in rows] for name in names}
    yield "/predict", PredictCodec(), json.dumps(rows).encode()
    for form, value in (
        ("dataframe_records", rows),
        ("dataframe_split", split),
        ("inputs", by_name),
    ):
        yield form, MlflowCodec(), json.dumps({form: value}).encode()


def _cost(work: Callable[[], object]) -> float:
    """Microseconds of one call."""
    number = max(3, int(_SECONDS / (timeit.timeit(work, number=3) / 3)))
    best = min(timeit.repeat(work, number=number, repeat=_RUNS, timer=time.thread_time))
    return best / number * 1e6


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
