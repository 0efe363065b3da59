"""Gradients between tensors of a functional model, as a layer (TensorFlow)."""

from __future__ import annotations

from typing import Any, Sequence

import keras

from kerasbridge.errors import ArgumentError, UnsupportedError
from kerasbridge.runtime.keras_version import keras_before
from kerasbridge.runtime.variables import variable_class

_TAPE = (
    "Compute the loss inside a tape: with(tf$GradientTape() %as% tape, { ... }), "
    "then tape$gradient(loss, variables)."
)


class _GradientOf(keras.layers.Layer):
    """Gradients of a model's output with respect to its inputs, for inputs of the same shapes."""

    def __init__(self, model: keras.Model, **kwargs: Any):
        super().__init__(**kwargs)
        self.model = model

    def call(self, inputs: list) -> list:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = self.model(inputs)
        gradients = tape.gradient(loss, inputs)
        return [tf.zeros_like(x) if g is None else g for g, x in zip(gradients, inputs)]

    def compute_output_shape(self, input_shape: list) -> list:
        return [tuple(shape) for shape in input_shape]

    def compute_output_spec(self, inputs: list) -> list:
        return [keras.KerasTensor(x.shape, dtype=x.dtype) for x in inputs]


def _compute_once(model: Any, variables: list) -> None:
    """Run a model on zeros. Keras before 3.10 says no earlier that it needs further inputs.

    Raises:
        KeyError: it does.
    """
    zeros = [
        keras.ops.zeros([1 if length is None else length for length in v.shape], v.dtype)
        for v in variables
    ]
    try:
        model(zeros)
    except KeyError:
        raise
    except Exception:  # noqa: B902 - one step along a free axis can be too few for it, which is no matter
        return


def gradients(loss: Any, variables: Sequence) -> list:
    """Gradients of `loss` with respect to `variables`, in the manner of TensorFlow 1.

    Two cases have an answer: tensors of a functional model (`loss` made from `variables` by
    layers and operations; the result can be the output of a model), and tensors inside a
    TensorFlow function that is being traced.

    Args:
        loss: a tensor; of several elements their sum counts.
        variables: tensors that `loss` was computed from.

    Returns:
        One tensor per variable, of its shape.

    Raises:
        UnsupportedError: another backend than TensorFlow, or a loss that holds numbers already.
        ArgumentError: `loss` doesn't depend on `variables`.
    """
    variables = list(variables)
    if keras.config.backend() != "tensorflow":
        raise UnsupportedError(
            f"Gradients between tensors need TensorFlow; the backend is {keras.config.backend()}.",
            hint="Use the gradient functions of that backend.",
        )
    import tensorflow as tf

    if isinstance(loss, keras.KerasTensor):
        if not all(isinstance(v, keras.KerasTensor) for v in variables):
            raise UnsupportedError(
                "The loss is a tensor of a model, but a variable is not.",
                hint=_TAPE,
                argument="variables",
            )
        try:
            model = keras.Model(variables, loss)
            if keras_before(3, 10):
                _compute_once(model, variables)
        except (ValueError, KeyError) as error:
            raise ArgumentError(
                "`loss` can't be computed from `variables` alone.",
                hint="Give the input of the model, or the output of a layer that all paths to "
                "`loss` go through.",
                argument="variables",
            ) from error
        return _GradientOf(model)(variables)
    if tf.is_tensor(loss) and not tf.executing_eagerly():
        inner = [v.value if isinstance(v, variable_class()) else v for v in variables]
        return tf.gradients(loss, inner)
    raise UnsupportedError(
        "The loss is a number by now; how it came about is not recorded.",
        hint=_TAPE,
        argument="loss",
    )
