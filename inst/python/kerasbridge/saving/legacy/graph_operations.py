"""Operations of TensorFlow's graphs that stood as layers (`TensorFlowOpLayer`) as `keras.ops`.

Until TensorFlow 2.3 the functional API kept such an operation as its NodeDef: the name of the operation,
attributes, and the inputs that are constants by their position. `OPERATIONS` maps the name to a
function of the inputs, in their order, and the attributes. Only these run.
Source: the operations' definitions in TensorFlow's API (tf.raw_ops).
"""

from __future__ import annotations

import base64
from typing import Any, Callable

import numpy as np
from keras import ops

from kerasbridge.saving.legacy.context import Context

OPERATIONS: dict[str, Callable] = {}

_TYPES = {
    "DT_HALF": "float16", "DT_BFLOAT16": "bfloat16", "DT_FLOAT": "float32", "DT_DOUBLE": "float64",
    "DT_INT8": "int8", "DT_INT16": "int16", "DT_INT32": "int32", "DT_INT64": "int64",
    "DT_UINT8": "uint8", "DT_UINT16": "uint16", "DT_UINT32": "uint32", "DT_BOOL": "bool",
}  # fmt: skip


def _elementwise() -> None:
    one = {
        "Abs": ops.abs, "Neg": ops.negative, "Exp": ops.exp, "Expm1": ops.expm1, "Log": ops.log,
        "Log1p": ops.log1p, "Sqrt": ops.sqrt, "Rsqrt": ops.rsqrt, "Square": ops.square,
        "Sigmoid": ops.sigmoid, "Tanh": ops.tanh, "Softplus": ops.softplus, "Softsign": ops.softsign,
        "Relu": ops.relu, "Relu6": ops.relu6, "Selu": ops.selu, "Elu": ops.elu, "Sin": ops.sin,
        "Cos": ops.cos, "Tan": ops.tan, "Asin": ops.arcsin, "Acos": ops.arccos, "Atan": ops.arctan,
        "Sinh": ops.sinh, "Cosh": ops.cosh, "Floor": ops.floor, "Ceil": ops.ceil, "Sign": ops.sign,
        "Reciprocal": ops.reciprocal, "Inv": ops.reciprocal, "IsNan": ops.isnan, "IsInf": ops.isinf,
        "IsFinite": ops.isfinite, "LogicalNot": ops.logical_not, "Erf": ops.erf, "Round": ops.round,
        "StopGradient": ops.stop_gradient, "ZerosLike": ops.zeros_like, "OnesLike": ops.ones_like,
        "Softmax": lambda x: ops.softmax(x, axis=-1), "LogSoftmax": lambda x: ops.log_softmax(x, axis=-1),
        "Identity": lambda x: ops.add(x, 0),
    }  # fmt: skip
    two = {
        "Add": ops.add, "AddV2": ops.add, "Sub": ops.subtract, "Mul": ops.multiply,
        "RealDiv": ops.true_divide, "FloorDiv": ops.floor_divide, "FloorMod": ops.mod,
        "Pow": ops.power, "Maximum": ops.maximum, "Minimum": ops.minimum, "Atan2": ops.arctan2,
        "Equal": ops.equal, "NotEqual": ops.not_equal, "Greater": ops.greater,
        "GreaterEqual": ops.greater_equal, "Less": ops.less, "LessEqual": ops.less_equal,
        "LogicalAnd": ops.logical_and, "LogicalOr": ops.logical_or, "BiasAdd": ops.add,
        "SquaredDifference": lambda x, y: ops.square(ops.subtract(x, y)),
    }  # fmt: skip
    for name, function in one.items():
        OPERATIONS[name] = lambda inputs, _, f=function: f(*inputs[:1])
    for name, function in two.items():
        OPERATIONS[name] = lambda inputs, _, f=function: f(*inputs[:2])


def _reductions() -> None:
    for name, function in {
        "Mean": ops.mean, "Sum": ops.sum, "Max": ops.max, "Min": ops.min, "Prod": ops.prod,
        "Any": ops.any, "All": ops.all,
    }.items():  # fmt: skip
        OPERATIONS[name] = lambda inputs, attributes, f=function: f(
            inputs[0], axis=_whole(inputs[1]), keepdims=attributes.get("keep_dims", False)
        )


def _whole(value: Any) -> Any:
    """Whole numbers of a constant: one, or a tuple."""
    array = np.asarray(value)
    return int(array) if array.ndim == 0 else tuple(int(v) for v in array.ravel())


def _matmul(inputs: list, attributes: dict) -> Any:
    def swapped(x: Any) -> Any:
        axes = list(range(len(x.shape)))
        return ops.transpose(x, axes[:-2] + [axes[-1], axes[-2]])

    sides = []
    for x, keys in zip(inputs, (("transpose_a", "adj_x"), ("transpose_b", "adj_y"))):
        sides.append(swapped(x) if any(attributes.get(key) for key in keys) else x)
    return ops.matmul(*sides)


def _strided_slice(inputs: list, attributes: dict) -> Any:
    """`x[begin:end:strides]`; bit i of a mask says something else of axis i."""
    begin, end, strides = (np.asarray(v).ravel().tolist() for v in inputs[1:4])

    def bit(mask: str, i: int) -> bool:
        return bool(attributes.get(mask, 0) >> i & 1)

    index: list = []
    for i, (first, last, step) in enumerate(zip(begin, end, strides)):
        if bit("ellipsis_mask", i):
            index.append(Ellipsis)
        elif bit("new_axis_mask", i):
            index.append(None)
        elif bit("shrink_axis_mask", i):
            index.append(int(first))
        else:
            index.append(
                slice(
                    None if bit("begin_mask", i) else int(first),
                    None if bit("end_mask", i) else int(last),
                    int(step),
                )
            )
    return inputs[0][tuple(index)]


def _squeeze(inputs: list, attributes: dict) -> Any:
    axes = attributes.get("squeeze_dims") or attributes.get("axis")
    if axes:  # one axis in a tuple is more than Keras 3.0 takes
        axes = axes[0] if len(axes) == 1 else tuple(axes)
    return ops.squeeze(inputs[0], axis=None if axes == [] else axes)


def _pad(inputs: list, _: dict) -> Any:
    widths = [[int(v) for v in pair] for pair in np.asarray(inputs[1]).tolist()]
    value = float(np.asarray(inputs[2])) if len(inputs) > 2 else 0.0
    return ops.pad(inputs[0], widths, mode="constant", constant_values=value)


def _mirror_pad(inputs: list, attributes: dict) -> Any:
    widths = [[int(v) for v in pair] for pair in np.asarray(inputs[1]).tolist()]
    return ops.pad(inputs[0], widths, mode=str(attributes["mode"]).lower())


def _gather(inputs: list, attributes: dict) -> Any:
    if attributes.get("batch_dims"):
        raise ValueError("it gathers within batches, which has no counterpart")
    return ops.take(*inputs[:2], axis=_whole(inputs[2]) if len(inputs) > 2 else 0)


def _cumsum(inputs: list, attributes: dict) -> Any:
    if attributes.get("exclusive") or attributes.get("reverse"):
        raise ValueError("it is exclusive or reversed, which has no counterpart")
    return ops.cumsum(inputs[0], axis=_whole(inputs[1]))


def _one_hot(inputs: list, attributes: dict) -> Any:
    on, off = (float(np.asarray(v)) for v in inputs[2:4])
    hot = ops.one_hot(inputs[0], _whole(inputs[1]), axis=attributes.get("axis", -1))
    return hot if (on, off) == (1, 0) else ops.add(ops.multiply(hot, on - off), off)


def _add_n(inputs: list, _: dict) -> Any:
    total = inputs[0]
    for more in inputs[1:]:
        total = ops.add(total, more)
    return total


_elementwise()
_reductions()
OPERATIONS.update(
    {
        "AddN": _add_n,
        "ArgMax": lambda x, _: ops.argmax(x[0], axis=_whole(x[1])),
        "ArgMin": lambda x, _: ops.argmin(x[0], axis=_whole(x[1])),
        "BatchMatMul": _matmul,
        "BatchMatMulV2": _matmul,
        "Cast": lambda x, attributes: ops.cast(x[0], attributes["DstT"]),
        "ClipByValue": lambda x, _: ops.clip(x[0], np.asarray(x[1]), np.asarray(x[2])),
        "ConcatV2": lambda x, _: ops.concatenate(x[:-1], axis=_whole(x[-1])),
        "Cumsum": _cumsum,
        "ExpandDims": lambda x, _: ops.expand_dims(x[0], axis=_whole(x[1])),
        "GatherV2": _gather,
        "LeakyRelu": lambda x, attributes: ops.leaky_relu(x[0], attributes.get("alpha", 0.2)),
        "MatMul": _matmul,
        "MirrorPad": _mirror_pad,
        "OneHot": _one_hot,
        "Pack": lambda x, attributes: ops.stack(x, axis=attributes.get("axis", 0)),
        "Pad": _pad,
        "PadV2": _pad,
        "Reshape": lambda x, _: ops.reshape(x[0], np.asarray(x[1]).ravel().tolist()),
        "ReverseV2": lambda x, _: ops.flip(x[0], axis=_whole(x[1])),
        "Select": lambda x, _: ops.where(*x[:3]),
        "SelectV2": lambda x, _: ops.where(*x[:3]),
        "Split": lambda x, attributes: ops.split(x[1], attributes["num_split"], axis=_whole(x[0])),
        "Squeeze": _squeeze,
        "StridedSlice": _strided_slice,
        "Tile": lambda x, _: ops.tile(x[0], np.asarray(x[1]).ravel().tolist()),
        "Transpose": lambda x, _: ops.transpose(x[0], np.asarray(x[1]).ravel().tolist()),
        "Unpack": lambda x, attributes: ops.unstack(
            x[0], num=attributes.get("num"), axis=attributes.get("axis", 0)
        ),
    }
)


def _attribute(stored: Any) -> Any:
    """The value of an attribute as JSON of a NodeDef has it: whole numbers as texts, texts in base 64."""
    ((kind, value),) = stored.items() if len(stored) == 1 else [(None, stored)]
    if kind == "i":
        return int(value)
    if kind == "s":
        return base64.b64decode(value).decode("utf-8", "replace")
    if kind == "type":
        return _TYPES.get(value, value)
    if kind == "list":
        return [_attribute({inner: item}) for inner, items in value.items() for item in items]
    return value


def _constant(value: Any, dtype: str) -> np.ndarray:
    """An array as JSON has it: lists of numbers, or a dict with its type."""
    if isinstance(value, dict):
        held = value.get("config", value)
        return np.asarray(held["value"], held.get("dtype"))
    array = np.asarray(value)
    return array.astype(dtype) if array.dtype.kind == "f" else array


def apply(config: dict, inputs: Any, ctx: Context) -> Any:
    """The tensors that a stored operation gives.

    Args:
        config: with `node_def` and `constants`, position -> value.

    Raises:
        UnsupportedError: the operation is not in the table, or its NodeDef is not JSON.
    """
    node = config.get("node_def")
    if not isinstance(node, dict):
        raise ctx.refusal("its operation is stored as bytes, as TensorFlow 2.0 did.")
    name = str(node.get("op"))
    if name not in OPERATIONS:
        raise ctx.refusal(
            f"TensorFlow's operation {name} has no counterpart among Keras' operations."
        )
    attributes = {key: _attribute(stored) for key, stored in (node.get("attr") or {}).items()}
    given = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    for position, value in sorted((int(k), v) for k, v in (config.get("constants") or {}).items()):
        given.insert(position, _constant(value, attributes.get("T", "float32")))
    return OPERATIONS[name](given, attributes)
