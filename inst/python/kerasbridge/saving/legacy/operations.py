"""TensorFlow functions that stood as layers (`TFOpLambda`, `SlicingOpLambda`) as `keras.ops`.

`FUNCTIONS` maps the name in the file, such as "math.multiply", to a function with TensorFlow's names
of arguments. Only these run: a name is never looked up in TensorFlow.
"""

from __future__ import annotations

import re
from typing import Any, Callable

import keras
from keras import ops

from kerasbridge.saving.legacy import graph_operations
from kerasbridge.saving.legacy.context import Context

FUNCTIONS: dict[str, Callable] = {}


def _register(names: str, function: Callable) -> None:
    for name in names.split():
        FUNCTIONS[name] = function


def _unary(names: str, function: Callable) -> None:
    def call(x=None, **other):
        (value,) = [x] if x is not None else list(other.values())
        return function(value)

    _register(names, call)


def _binary(names: str, function: Callable) -> None:
    def call(x=None, y=None, **other):
        rest = list(other.values())
        x = rest.pop(0) if x is None and rest else x
        y = rest.pop(0) if y is None and rest else y
        return function(x, y)

    _register(names, call)


for _name, _function in {
    "math.abs abs __operators__.abs": ops.abs,
    "math.negative negative __operators__.neg": ops.negative,
    "math.exp exp": ops.exp,
    "math.expm1": ops.expm1,
    "math.log": ops.log,
    "math.log1p": ops.log1p,
    "math.sqrt sqrt": ops.sqrt,
    "math.rsqrt": ops.rsqrt,
    "math.square square": ops.square,
    "math.sigmoid sigmoid nn.sigmoid": ops.sigmoid,
    "math.tanh tanh nn.tanh": ops.tanh,
    "math.softplus nn.softplus": ops.softplus,
    "nn.softsign math.softsign": ops.softsign,
    "nn.relu": ops.relu,
    "nn.relu6": ops.relu6,
    "nn.selu": ops.selu,
    "nn.elu": ops.elu,
    "math.sin sin": ops.sin,
    "math.cos cos": ops.cos,
    "math.tan tan": ops.tan,
    "math.asin": ops.arcsin,
    "math.acos": ops.arccos,
    "math.atan": ops.arctan,
    "math.sinh": ops.sinh,
    "math.cosh": ops.cosh,
    "math.floor floor": ops.floor,
    "math.ceil": ops.ceil,
    "math.sign sign": ops.sign,
    "math.reciprocal": ops.reciprocal,
    "math.is_nan": ops.isnan,
    "math.is_finite": ops.isfinite,
    "math.is_inf": ops.isinf,
    "math.logical_not": ops.logical_not,
    "math.erf": ops.erf,
    "math.round round": ops.round,
    "stop_gradient": ops.stop_gradient,
    "zeros_like": ops.zeros_like,
    "ones_like": ops.ones_like,
    "identity": lambda x: ops.add(x, 0),
}.items():
    _unary(_name, _function)

for _name, _function in {
    "math.add add __operators__.add": ops.add,
    "math.subtract subtract __operators__.sub": ops.subtract,
    "math.multiply multiply __operators__.mul": ops.multiply,
    "math.divide math.truediv realdiv divide __operators__.truediv": ops.true_divide,
    "math.floordiv __operators__.floordiv": ops.floor_divide,
    "math.floormod math.mod __operators__.mod": ops.mod,
    "math.pow pow __operators__.pow": ops.power,
    "math.maximum maximum": ops.maximum,
    "math.minimum minimum": ops.minimum,
    "math.squared_difference": lambda x, y: ops.square(ops.subtract(x, y)),
    "math.atan2": ops.arctan2,
    "math.equal __operators__.eq": ops.equal,
    "math.not_equal __operators__.ne": ops.not_equal,
    "math.greater __operators__.gt": ops.greater,
    "math.greater_equal __operators__.ge": ops.greater_equal,
    "math.less __operators__.lt": ops.less,
    "math.less_equal __operators__.le": ops.less_equal,
    "math.logical_and __operators__.and": ops.logical_and,
    "math.logical_or __operators__.or": ops.logical_or,
    "nn.bias_add": ops.add,
}.items():
    _binary(_name, _function)


def _reduction(function: Callable) -> Callable:
    def call(input_tensor, axis=None, keepdims=False):
        return function(input_tensor, axis=_axes(axis), keepdims=bool(keepdims))

    return call


def _axes(axis: Any) -> Any:
    """An axis, or several; one in a list is no list to `squeeze` of Keras 3.0."""
    if isinstance(axis, list):
        return axis[0] if len(axis) == 1 else tuple(axis)
    return axis


for _name, _function in {
    "mean": ops.mean,
    "sum": ops.sum,
    "max": ops.max,
    "min": ops.min,
    "prod": ops.prod,
    "any": ops.any,
    "all": ops.all,
    "std": ops.std,
    "variance": ops.var,
    "logsumexp": ops.logsumexp,
}.items():
    _register(f"math.reduce_{_name} reduce_{_name}", _reduction(_function))


def _matmul(a, b, transpose_a=False, transpose_b=False, **_):
    def swapped(x):
        axes = list(range(len(x.shape)))
        return ops.transpose(x, axes[:-2] + [axes[-1], axes[-2]])

    return ops.matmul(swapped(a) if transpose_a else a, swapped(b) if transpose_b else b)


def _l2_normalize(x, axis=None, epsilon=1e-12, dim=None):
    square = ops.sum(ops.square(x), axis=_axes(dim if axis is None else axis), keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(square, epsilon)))


def _split(value, num_or_size_splits, axis=0, **_):
    if isinstance(num_or_size_splits, list):
        ends, total = [], 0
        for size in num_or_size_splits[:-1]:
            total += size
            ends.append(total)
        return ops.split(value, ends, axis=axis)
    return ops.split(value, num_or_size_splits, axis=axis)


def _gather(params, indices, axis=None, batch_dims=0, **_):
    if batch_dims:
        raise ValueError("tf.gather with batch_dims has no counterpart")
    return ops.take(params, indices, axis=0 if axis is None else axis)


def _where(condition, x=None, y=None):
    if x is None:
        raise ValueError("tf.where with one argument has no counterpart")
    return ops.where(condition, x, y)


def _pad(tensor, paddings, mode="CONSTANT", constant_values=0):
    mode = mode.lower()
    options = {"constant_values": constant_values} if mode == "constant" else {}
    return ops.pad(tensor, paddings, mode=mode, **options)


_METHODS = {
    "bilinear": "bilinear",
    "nearest": "nearest",
    "bicubic": "bicubic",
    "lanczos3": "lanczos3",
}


def _resize(images, size, method="bilinear", preserve_aspect_ratio=False, antialias=False):
    if preserve_aspect_ratio or method not in _METHODS:
        raise ValueError(f"tf.image.resize with method {method!r} has no counterpart")
    return ops.image.resize(images, tuple(size), interpolation=method, antialias=bool(antialias))


def _clip(t=None, clip_value_min=None, clip_value_max=None, value=None):
    return ops.clip(value if t is None else t, clip_value_min, clip_value_max)


def _softmax(logits=None, axis=None, dim=None, x=None):
    axis = axis if axis is not None else dim
    return ops.softmax(x if logits is None else logits, axis=-1 if axis is None else axis)


def _einsum(equation, inputs=None, **_):
    return ops.einsum(equation, *(inputs if isinstance(inputs, list) else [inputs]))


def _cumsum(x, axis=0, exclusive=False, reverse=False):
    if exclusive or reverse:
        raise ValueError("tf.cumsum that is exclusive or reversed has no counterpart")
    return ops.cumsum(x, axis=axis)


FUNCTIONS.update(
    {
        "concat": lambda values, axis=0: ops.concatenate(values, axis=axis),
        "stack": lambda values, axis=0: ops.stack(values, axis=axis),
        "unstack": lambda value, num=None, axis=0: ops.unstack(value, num=num, axis=axis),
        "split": _split,
        "cast": lambda x, dtype: ops.cast(x, _dtype(dtype)),
        "reshape": lambda tensor, shape: ops.reshape(tensor, tuple(shape)),
        "transpose": lambda a, perm=None, conjugate=False: ops.transpose(a, perm),
        "expand_dims": lambda input, axis: ops.expand_dims(input, axis=axis),
        "squeeze": lambda input, axis=None: ops.squeeze(input, axis=_axes(axis)),
        "tile": lambda input, multiples: ops.tile(input, multiples),
        "repeat": lambda input, repeats, axis=None: ops.repeat(input, repeats, axis=axis),
        "reverse": lambda tensor, axis: ops.flip(tensor, axis=_axes(axis)),
        "broadcast_to": lambda input, shape: ops.broadcast_to(input, tuple(shape)),
        "gather": _gather,
        "where": _where,
        "pad": _pad,
        "one_hot": lambda indices, depth, axis=-1: ops.one_hot(indices, depth, axis=axis),
        "clip_by_value": _clip,
        "linalg.matmul": _matmul,
        "matmul": _matmul,
        "einsum": _einsum,
        "norm": lambda tensor, ord="euclidean", axis=None, keepdims=False: ops.norm(
            tensor, ord=None if ord == "euclidean" else ord, axis=_axes(axis), keepdims=keepdims
        ),
        "math.argmax": lambda input, axis=None: ops.argmax(input, axis=axis),
        "argmax": lambda input, axis=None: ops.argmax(input, axis=axis),
        "math.argmin": lambda input, axis=None: ops.argmin(input, axis=axis),
        "math.cumsum": _cumsum,
        "math.add_n": lambda inputs: keras.layers.Add()(inputs),
        "math.l2_normalize": _l2_normalize,
        "nn.softmax": _softmax,
        "nn.log_softmax": lambda logits, axis=-1: ops.log_softmax(
            logits, axis=-1 if axis is None else axis
        ),
        "nn.leaky_relu": lambda features, alpha=0.2: ops.leaky_relu(features, alpha),
        "nn.gelu": lambda features, approximate=False: ops.gelu(features, bool(approximate)),
        "nn.silu": lambda features, beta=1.0: ops.multiply(
            features, ops.sigmoid(features if beta == 1 else ops.multiply(features, beta))
        ),
        "image.resize": _resize,
    }
)
FUNCTIONS["linalg.l2_normalize"] = FUNCTIONS["nn.l2_normalize"] = FUNCTIONS["math.l2_normalize"]
FUNCTIONS["nn.swish"] = FUNCTIONS["nn.silu"]
FUNCTIONS["linalg.norm"] = FUNCTIONS["norm"]
FUNCTIONS["keras.backend.mean"] = FUNCTIONS["math.reduce_mean"]


def _dtype(value: Any) -> Any:
    """A dtype's name; files also have {"class_name": "TypeSpec"...} and 'tf.float32'."""
    if isinstance(value, dict):
        value = value.get("config", value)
        value = value.get("name", value) if isinstance(value, dict) else value
    return str(value).replace("tf.", "").replace("<dtype: '", "").replace("'>", "")


# arguments that say nothing about the values
_EMPTY = ("name", "dtype_hint")


def apply(entry: dict, inputs: Any, options: dict, ctx: Context) -> Any:
    """The tensors that one of TensorFlow's functions gives, by `keras.ops`.

    Raises:
        UnsupportedError: the function is not in the table.
    """
    kind, config = entry["class_name"], entry["config"]
    options = {k: v for k, v in options.items() if not (k in _EMPTY and v is None) and k != "name"}
    if kind == "SlicingOpLambda" or config.get("function") == "__operators__.getitem":
        out = inputs[slices(options["slice_spec"])]
    elif kind == "TFOpLambda":
        name = str(config.get("function"))
        function = FUNCTIONS.get(re.sub(r"^compat\.v[12]\.", "", name))
        if function is None:
            raise ctx.refusal(
                f"TensorFlow's function tf.{name} has no counterpart among Keras' operations."
            )
        out = function(inputs, **options)
    else:
        out = graph_operations.apply(config, inputs, ctx)
    _rename(out, config.get("name") or entry.get("name"))
    return out


def slices(spec: Any) -> tuple:
    """The index that a stored `slice_spec` stands for."""

    def one(part: Any) -> Any:
        if isinstance(part, dict) and {"start", "stop", "step"} <= set(part):
            return slice(part["start"], part["stop"], part["step"])
        if isinstance(part, dict) and part.get("value") == "Ellipsis" or part == "Ellipsis":
            return Ellipsis
        return part

    if isinstance(spec, list):
        return tuple(one(part) for part in spec)
    return (one(spec),)


def _rename(out: Any, name: Any) -> None:
    """Gives the operation the name it had: Keras' own may be that of another layer of the file."""
    first = out[0] if isinstance(out, (list, tuple)) else out
    history = getattr(first, "_keras_history", None)
    if history is not None and isinstance(name, str):
        history.operation.name = name.replace("/", "_")
