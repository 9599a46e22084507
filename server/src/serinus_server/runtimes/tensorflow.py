"""Keras models on TensorFlow: their graph is called directly.

``keras.Model.predict`` builds a data pipeline, callbacks and a progress bar for every call, which
takes tens of milliseconds. Here the same graph, compiled as ``predict`` compiles it, is called on
the same batches of 32 rows. Threads: ``TF_NUM_INTRAOP_THREADS`` (see `threads`).

Models that are no Keras models have no fast way: MLflow calls their function as directly as we could.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from serinus_server.runtimes.base import Signature, Tensor
from serinus_server.runtimes.fast import Doubt, FastRuntime, Hints
from serinus_server.runtimes.inputs import Arrays
from serinus_server.runtimes.mlflow_pyfunc import PyFuncRuntime

_PATIENCE = 15.0  # seconds, for 20 calls and two graphs on a busy machine
_BATCH = 32  # rows, as keras.Model.predict has it by default


def candidates(reference: PyFuncRuntime) -> Iterator[FastRuntime]:
    """The model's graph, if ``predict`` calls that on TensorFlow."""
    model = reference.model.get_raw_model()
    if keras.backend.backend() == "tensorflow" and not model.run_eagerly:
        yield FastRuntime("keras-graph", reference, _graph(model, reference.signature))


def prepare(reference: PyFuncRuntime) -> str | None:
    """Keep Keras from printing a bar for every call.

    Why the model should be asked nothing generated, or None: other code, a TensorFlow module, and
    layers that say so may keep a state.
    """
    keras.utils.disable_interactive_logging()
    model = reference.model.get_raw_model()
    if not isinstance(model, keras.Model):
        return "it is no model of Keras"
    for layer in model._flatten_layers():  # noqa: SLF001 - no public way to those inside others
        kind = type(layer)
        if not kind.__module__.startswith("keras.") or kind is keras.layers.Lambda:
            return f"{kind.__name__} is code of its own"
        if getattr(layer, "stateful", False):
            return f"{layer.name} keeps a state"
    return None


def hints(_: PyFuncRuntime) -> Hints:
    """No thresholds, but patience: ``predict`` takes 50 ms."""
    return Hints(patience=_PATIENCE)


def _graph(model: Any, signature: Signature) -> Callable[[Any], Any]:
    """``model.predict`` without what is around its graph."""
    specs = _specs(signature)
    # One graph for any number of rows, as `predict` has after its second call.
    graph = tf.function(
        lambda given: model(given, training=False), jit_compile=model.jit_compile
    ).get_concrete_function(specs)
    single = isinstance(specs, tf.TensorSpec)
    arrays = Arrays(signature)

    def call(given: Any) -> Any:
        if single:
            return graph(tf.constant(given))
        return graph({name: tf.constant(array) for name, array in given.items()})

    def ask(model_input: Any) -> Any:
        if single:
            rows = len(arrays.one(model_input))
        else:
            rows, *others = {len(array) for array in arrays.named(model_input).values()}
            if others:
                raise Doubt
        if rows <= _BATCH:
            return tf.nest.map_structure(lambda tensor: tensor.numpy(), call(model_input))
        answers = [
            call(
                model_input[start : start + _BATCH]
                if single
                else {name: array[start : start + _BATCH] for name, array in model_input.items()}
            )
            for start in range(0, rows, _BATCH)
        ]
        return tf.nest.map_structure(
            lambda *tensors: np.concatenate([tensor.numpy() for tensor in tensors]), *answers
        )

    return ask


def _specs(signature: Signature) -> Any:
    """What the graph takes: of any number of rows, and of any other length that is -1.

    Raises:
        Doubt: the signature does not say it.
    """
    tensors = [spec for spec in signature.inputs if isinstance(spec, Tensor)]
    if not tensors or not all(tensor.shape and tensor.dtype.kind in "biuf" for tensor in tensors):
        raise Doubt
    specs = {
        tensor.name: tf.TensorSpec(
            [None, *(None if length < 0 else length for length in tensor.shape[1:])], tensor.dtype
        )
        for tensor in tensors
    }
    return specs.get(None, specs)
