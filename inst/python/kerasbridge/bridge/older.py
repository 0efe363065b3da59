"""Small verbs behind names of the older R package that no single Keras function answers."""

from __future__ import annotations

from typing import Any, Callable, Optional, Sequence

import keras
from keras import ops

from kerasbridge.errors import ArgumentError, UnsupportedError


def make_variable(
    value: Any,
    dtype: Optional[str] = None,
    name: Optional[str] = None,
    constraint: Any = None,
):
    """A variable that holds `value`; inside a function that the backend traces a tensor."""
    dtype = dtype or keras.config.floatx()
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        if tf.inside_function():
            return ops.convert_to_tensor(value, dtype=dtype)
    elif keras.config.backend() == "jax":
        import jax

        if isinstance(value, jax.core.Tracer):
            return ops.cast(value, dtype)
    elif str(getattr(value, "device", "")) == "meta":  # shapes alone, on PyTorch
        return ops.cast(value, dtype)
    value = ops.convert_to_numpy(value)
    # PyTorch takes gradients of floats alone
    trainable = keras.config.backend() != "torch" or "float" in dtype
    variable = keras.Variable(value, dtype=dtype, name=name, trainable=trainable)
    if constraint is not None:
        variable.constraint = keras.constraints.get(constraint)
    return variable


def shape_tensor(x: Any):
    """The shape as an int32 tensor, also when it is known only while a graph runs."""
    shape = ops.shape(x)
    if any(axis is None for axis in shape):
        raise UnsupportedError(
            "The shape has axes whose length isn't known yet.",
            hint="Use k_int_shape(), which gives NULL for them.",
            argument="x",
        )
    if all(isinstance(axis, int) for axis in shape):
        return ops.convert_to_tensor(list(shape), dtype="int32")
    return ops.stack([ops.cast(axis, "int32") for axis in shape])


def is_placeholder(x: Any) -> bool:
    """Whether `x` is the input of a functional model, made by keras.Input."""
    if not isinstance(x, keras.KerasTensor):
        return False
    return any(source is x for source in keras.utils.get_source_inputs(x))


def is_sparse(x: Any) -> bool:
    """Whether `x` is a sparse tensor, also a symbolic one."""
    return bool(getattr(x, "sparse", False)) or type(x).__name__ in ("SparseTensor", "BCOO")


def print_tensor(x: Any, message: str = ""):
    """Print a tensor's value while a traced function runs, to standard error; returns `x`."""
    if keras.config.backend() != "tensorflow" or isinstance(x, keras.KerasTensor):
        raise UnsupportedError(
            "A tensor without values can be printed only inside a function that TensorFlow runs.",
            hint="Call it inside a loss, a metric or a layer, or on a tensor that has values.",
            argument="x",
        )
    import tensorflow as tf

    with tf.control_dependencies([tf.print(message, x)]):
        return tf.identity(x)


def sparse_labels(labels: Any, label_lengths: Any):
    """The first `label_lengths[i]` labels of each row i as a TensorFlow sparse tensor (int32)."""
    if keras.config.backend() != "tensorflow":
        raise UnsupportedError("Sparse labels exist with TensorFlow only.")
    import tensorflow as tf

    labels = tf.cast(tf.convert_to_tensor(labels), "int32")
    lengths = tf.reshape(tf.cast(tf.convert_to_tensor(label_lengths), "int32"), (-1, 1))
    places = tf.where(tf.range(tf.shape(labels)[1])[None, :] < lengths)
    shape = tf.cast(tf.shape(labels), "int64")
    return tf.SparseTensor(places, tf.gather_nd(labels, places), shape)


def node(layer: Any, index: int, what: str):
    """What a layer took in or gave out at its call number `index` (from 0).

    Args:
        layer: a layer that was called on tensors of a functional model.
        index: which call.
        what: "input", "output", or one of them with "_shape" or "_mask" behind.

    Raises:
        ArgumentError: the layer hasn't been called that often.
    """
    # Keras has no public way to any call of a layer but the first
    nodes = getattr(layer, "_inbound_nodes", None) or []
    if not -len(nodes) <= index < len(nodes):
        raise ArgumentError(
            f"Layer '{layer.name}' has been called {len(nodes)} time(s) on tensors of a model.",
            hint="node_index counts those calls from 1.",
            argument="node_index",
        )
    side, _, part = what.partition("_")
    tensors = nodes[index].input_tensors if side == "input" else nodes[index].output_tensors
    if part == "shape":
        values: list = [[-1 if axis is None else axis for axis in t.shape] for t in tensors]
    elif part == "mask":
        values = [getattr(t, "_keras_mask", None) for t in tensors]
    else:
        values = list(tensors)
    return values[0] if len(values) == 1 else values


class FunctionModel(keras.Model):
    """A model whose forward pass is one function, given after its layers were attached to it."""

    def __init__(self, name: Optional[str] = None):
        super().__init__(name=name)
        self._function: Optional[Callable] = None
        self._takes: Sequence = ()

    def set_function(self, function: Callable, takes: Sequence) -> None:
        """`function(inputs, ...)`; of mask and training it gets those named in `takes`."""
        self._function = function
        self._takes = tuple(takes)

    def call(self, inputs: Any, mask: Any = None, training: Any = None) -> Any:
        given = {"mask": mask, "training": training}
        return self._function(inputs, **{k: v for k, v in given.items() if k in self._takes})

    def get_config(self) -> dict:
        raise UnsupportedError(
            "A model made by keras_model_custom() can't be saved whole: its code is an R function.",
            hint="Save its weights with save_model_weights(), or define it with Model().",
        )


def function_model(name: Optional[str] = None) -> FunctionModel:
    """An empty FunctionModel."""
    return FunctionModel(name=name)
