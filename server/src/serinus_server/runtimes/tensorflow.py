"""Keras and TensorFlow models: the graph is called directly.

``keras.Model.predict`` builds a data pipeline, callbacks and a progress bar for every call, which
takes tens of milliseconds. Here the same graph, compiled as ``predict`` compiles it, is called on
the same batches of 32 rows. Threads: ``TF_NUM_INTRAOP_THREADS`` (see `threads`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from mlflow.tensorflow import _TF2ModuleWrapper

from serinus_server.runtimes.base import Signature, Tensor
from serinus_server.runtimes.fast import Doubt, FastRuntime, Hints
from serinus_server.runtimes.inputs import Arrays
from serinus_server.runtimes.mlflow_pyfunc import PyFuncRuntime

_BATCH = 32  # rows, as keras.Model.predict has it by default


def candidates(reference: PyFuncRuntime) -> Iterator[FastRuntime]:
    """The model's graph; none for TensorFlow 1 and exported models."""
    raw = reference.model.get_raw_model()
    if isinstance(raw, keras.Model):
        if _is_usual(raw):
            yield FastRuntime("keras-graph", reference, _graph(raw, reference.signature))
    elif isinstance(reference.model._model_impl, _TF2ModuleWrapper):  # noqa: SLF001 - tells how it is called
        yield FastRuntime("tensorflow-module", reference, _module(raw, reference.signature))


def hints(_: PyFuncRuntime) -> Hints:
    """None: a network has no thresholds. Also keeps Keras from printing a bar for every call."""
    keras.utils.disable_interactive_logging()
    return Hints()


def _is_usual(model: Any) -> bool:
    """Whether ``predict`` does what it does for every model of Keras's own, on TensorFlow."""
    kind = type(model)
    return (
        keras.backend.backend() == "tensorflow"
        and not model.run_eagerly
        and kind.predict is keras.Model.predict
        and kind.predict_step is keras.Model.predict_step
        and kind.make_predict_function is keras.Model.make_predict_function
    )


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


def _module(model: Any, signature: Signature) -> Callable[[Any], Any]:
    """A ``tf.Module`` as MLflow calls it."""
    arrays = Arrays(signature)

    def ask(model_input: Any) -> Any:
        answer = model(tf.convert_to_tensor(arrays.one(model_input)))
        return answer.numpy() if isinstance(answer, tf.Tensor) else answer

    return ask
