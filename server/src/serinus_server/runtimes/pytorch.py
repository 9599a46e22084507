"""PyTorch models: ``forward`` is called directly, without MLflow's DataFrame around it.

Inference mode runs the same kernels as ``torch.no_grad``, and keeps fewer books. The number of
threads is PyTorch's own, from ``OMP_NUM_THREADS`` (see `threads`): it divides large layers only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from serinus_server.runtimes.base import Table
from serinus_server.runtimes.fast import Doubt, FastRuntime, Hints
from serinus_server.runtimes.inputs import Arrays, Numbers
from serinus_server.runtimes.mlflow_pyfunc import PyFuncRuntime


def candidates(reference: PyFuncRuntime) -> Iterator[FastRuntime]:
    """The model in inference mode, if it is on the CPU."""
    raw = reference.model.get_raw_model()
    if any(part.device.type != "cpu" for part in (*raw.parameters(), *raw.buffers())):
        return
    arrays, numbers = Arrays(reference.signature), Numbers(reference.signature)

    def ask(model_input: Any) -> Any:
        is_table = type(model_input) is Table
        if is_table:
            # In the order in memory that pandas has: kernels may sum other orders differently.
            array = numbers.of(model_input).astype(np.float32, order="F")
        else:
            array = arrays.one(model_input)
            if not array.flags.writeable:  # PyTorch knows no read-only tensors, and warns
                array = array.copy()
        with torch.inference_mode():
            answer = raw(torch.from_numpy(array))
        if not isinstance(answer, torch.Tensor):
            raise Doubt
        if not is_table:
            return answer.numpy()
        import pandas as pd

        return pd.DataFrame(answer.numpy())

    yield FastRuntime("pytorch", reference, ask)


def prepare(reference: PyFuncRuntime) -> str | None:
    """Why the model should be asked nothing generated, or None: other code may keep a state."""
    raw = reference.model.get_raw_model()
    if not isinstance(raw, torch.nn.Module):
        return f"{type(raw).__name__} is no module of PyTorch"
    for module in raw.modules():
        kind = type(module)
        if not kind.__module__.startswith("torch."):
            return (
                f'{kind.__name__} is code of its own; serialization_format="pt2" makes it a graph'
            )
    return None


def hints(_: PyFuncRuntime) -> Hints:
    """None: a network has no thresholds."""
    return Hints()
