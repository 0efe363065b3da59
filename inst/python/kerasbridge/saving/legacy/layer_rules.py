"""Rules for layers: the configuration of an old layer as arguments of today's.

`RULES` holds one function for each difference, by class name; each takes the old configuration and
changes it in place. After them the general rules apply: options named after initializers,
activations and so on become objects, wrapped layers and cells are made first, and an option that
today's class doesn't take must have the value that changes nothing (`HARMLESS`).
"""

from __future__ import annotations

import contextlib
import inspect
from functools import cache
from typing import Any, Callable

import keras

from kerasbridge.errors import KerasBridgeError, UnsupportedError
from kerasbridge.saving.legacy import lambdas, values
from kerasbridge.saving.legacy.context import Context, first_line

ANY = object()

# option that some class has lost -> the values under which it has no effect (ANY: never an effect)
HARMLESS: dict[str, Any] = {
    "implementation": ANY,  # how a recurrent layer multiplies, not what
    "time_major": (False, None),
    "groups": (1, None),
    "input_length": ANY,
    "input_dtype": ANY,
    "fused": ANY,
    "virtual_batch_size": (None,),
    "renorm": (False, None),
    "adjustment": (None,),
    "ragged": (False, None),
    "sparse": (False, None),
    "dilation_rate": (1, [1], [1, 1], [1, 1, 1], None),
    "output_padding": (None,),
    "data_format": ("channels_last", None),
    "query_shape": ANY,
    "key_shape": ANY,
    "value_shape": ANY,
    "output_shape_type": ANY,
    "kernel_initializer": ANY,  # depthwise layers wrote options of a kernel they don't have
    "kernel_regularizer": (None,),
    "kernel_constraint": (None,),
    "beta_initializer": ANY,
    "vocabulary_size": ANY,
    "encoding": ("utf-8", None),
    "has_input_vocabulary": ANY,
    "idf_weights": (None,),
    "mask_value": (None,),
    "salt": (None,),
    "count_weights": ANY,
    "autocast": ANY,
    "experimental_autocast": ANY,
    "batch_size": ANY,
    "ragged_validation": ANY,
    "fill_value": (0, 0.0, None),
    "keepdims": (False, None),
    "offset": (0, 0.0, None),
    "nan_to_num": ANY,
    "zero_output_for_mask": (False, None),
    "unit_forget_bias": ANY,  # only how a bias is first filled
    "dynamic": (False, None),
    "name_scope": ANY,
    "crop_to_aspect_ratio": (False, None),
    "num_constants": (0, None),
    "causal": (False, None),
    "softmax_robust_masking": (False, None),
}

# old class -> today's class under another name
RENAMED = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "CuDNNLSTM": "LSTM",
    "CuDNNGRU": "GRU",
    "LSTMV2": "LSTM",
    "GRUV2": "GRU",
    "LSTMCellV2": "LSTMCell",
    "GRUCellV2": "GRUCell",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "Convolution2DTranspose": "Conv2DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
    "AtrousConvolution2D": "Conv2D",
    "MaxPool1D": "MaxPooling1D",
    "MaxPool2D": "MaxPooling2D",
    "AvgPool2D": "AveragePooling2D",
}

# not layers of Keras 2, or things that read other files: never made by name
NEVER = {"TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}

RULES: dict[str, list] = {}
Rule = Callable[[dict, Context], None]


def rule(*class_names: str) -> Callable[[Rule], Rule]:
    """Registers a rule for classes by their name in the file; "*" is every class."""

    def register(function: Rule) -> Rule:
        for name in class_names:
            RULES.setdefault(name, []).append(function)
        return function

    return register


# ---- rules for every layer -------------------------------------------------------------------------
@rule("*")
def no_input_shape(config: dict, ctx: Context) -> None:
    """`batch_input_shape` on a first layer is the model's input, which is made before."""
    for key in ("batch_input_shape", "batch_shape", "input_shape"):
        config.pop(key, None)


@rule("*")
def a_name_without_slashes(config: dict, ctx: Context) -> None:
    if isinstance(config.get("name"), str):
        config["name"] = safe_name(config["name"])


# ---- convolution -----------------------------------------------------------------------------------
@rule("LocallyConnected1D", "LocallyConnected2D")
def own_class_for_local_convolution(config: dict, ctx: Context) -> None:
    config.setdefault("implementation", 1)


@rule("SeparableConv1D", "SeparableConv2D", "DepthwiseConv2D", "DepthwiseConv1D")
def no_kernel_of_its_own(config: dict, ctx: Context) -> None:
    """These inherited options of a kernel that they don't have."""
    for key in ("kernel_initializer", "kernel_regularizer", "kernel_constraint", "filters_in"):
        config.pop(key, None)
    if config.get("filters", 0) is None:
        config.pop("filters")


# ---- normalization ---------------------------------------------------------------------------------
@rule(
    "BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2", "SyncBatchNormalization"
)
def one_axis(config: dict, ctx: Context) -> None:
    """The axis was a list of one for a while."""
    axis = config.get("axis")
    if isinstance(axis, (list, tuple)):
        if len(axis) != 1:
            raise ctx.refusal(f"it normalizes over {len(axis)} axes; today's takes one.")
        config["axis"] = axis[0]


@rule("Normalization")
def statistics_in_the_weights(config: dict, ctx: Context) -> None:
    """Statistics given by the user were written as arrays."""
    for key in ("mean", "variance"):
        value = config.get(key)
        if isinstance(value, dict) and "value" in value:
            config[key] = value["value"]


# ---- activations -----------------------------------------------------------------------------------
@rule("LeakyReLU")
def alpha_is_the_slope(config: dict, ctx: Context) -> None:
    if "alpha" in config:
        alpha = values._number(config.pop("alpha"))
        config["negative_slope"] = 0.3 if alpha is None else alpha


@rule("ELU", "ThresholdedReLU", "ReLU")
def numbers_written_as_arrays(config: dict, ctx: Context) -> None:
    for key in ("alpha", "theta", "max_value", "negative_slope", "threshold"):
        if key in config:
            config[key] = values._number(config[key])


# ---- recurrent layers ------------------------------------------------------------------------------
@rule("GRU", "GRUCell")
def reset_before_by_default(config: dict, ctx: Context) -> None:
    """Files from before the option multiply by the reset gate first."""
    config.setdefault("reset_after", False)


@rule("CuDNNGRU", "CuDNNLSTM")
def cudnn_fixed_functions(config: dict, ctx: Context) -> None:
    """The GPU-only layers had no choice of functions: tanh inside, sigmoid at the gates."""
    config.update(activation="tanh", recurrent_activation="sigmoid")


@rule("CuDNNGRU")
def cudnn_resets_after(config: dict, ctx: Context) -> None:
    config["reset_after"] = True


@rule("LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM2D", "ConvLSTM1D", "ConvLSTM3D", "ConvLSTM2DCell")
def no_input_size(config: dict, ctx: Context) -> None:
    for key in ("input_dim", "input_length"):
        config.pop(key, None)


# ---- attention -------------------------------------------------------------------------------------
@rule("Attention", "AdditiveAttention")
def causal_is_an_argument_of_the_call(config: dict, ctx: Context) -> None:
    if config.get("causal"):
        raise ctx.refusal("its option `causal` is an argument of the call today.")


# ---- preprocessing ---------------------------------------------------------------------------------
@rule("CategoryEncoding")
def tokens_by_number(config: dict, ctx: Context) -> None:
    if "max_tokens" in config:
        config["num_tokens"] = config.pop("max_tokens")


@rule("CategoryEncoding", "StringLookup", "IntegerLookup", "TextVectorization")
def binary_is_multi_hot(config: dict, ctx: Context) -> None:
    """TensorFlow 2.3 to 2.5 had other words for the outputs, and `max_values` for `max_tokens`."""
    words = {"binary": "multi_hot", "tf-idf": "tf_idf"}
    if config.get("output_mode") in words:
        config["output_mode"] = words[config["output_mode"]]
    if "max_values" in config:
        config["max_tokens"] = config.pop("max_values")
    for old, new in (("num_oov_tokens", "num_oov_indices"), ("oov_value", "oov_token")):
        if old in config:
            config[new] = config.pop(old)


@rule("StringLookup", "IntegerLookup", "TextVectorization")
def vocabulary_in_the_file(config: dict, ctx: Context) -> None:
    """A vocabulary that lies in another file is not read."""
    if isinstance(config.get("vocabulary"), str):
        raise ctx.refusal(
            f"its vocabulary is to be read from another file, '{config['vocabulary']}'.",
            hint="Only words inside the model's file are read.",
            unsafe=True,
        )


@rule("Discretization")
def bins_are_boundaries(config: dict, ctx: Context) -> None:
    if "bins" in config:
        config["bin_boundaries"] = config.pop("bins")


@rule("TextVectorization")
def functions_by_name(config: dict, ctx: Context) -> None:
    for key in ("standardize", "split"):
        value = config.get(key)
        if isinstance(value, dict) or (isinstance(value, str) and ctx.custom(value)):
            name = value["config"] if isinstance(value, dict) else value
            found = ctx.custom(name)
            if found is None:
                raise ctx.refusal(f"its function `{key}` '{name}' is not part of Keras.")
            config[key] = found


# ---- core ------------------------------------------------------------------------------------------
@rule("Lambda")
def function_of_a_lambda(config: dict, ctx: Context) -> None:
    lambdas.rewrite(config, ctx)


@rule("Embedding")
def embedding_input(config: dict, ctx: Context) -> None:
    for key in ("input_length", "dropout", "weights"):
        config.pop(key, None)


@rule("Dropout", "Dense", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")
def keras_1_words(config: dict, ctx: Context) -> None:
    """`p` and `output_dim`, which 2.0 files converted from Keras 1 still have."""
    for old, new in (("p", "rate"), ("output_dim", "units"), ("init", "kernel_initializer")):
        if old in config and new not in config:
            config[new] = config.pop(old)


def safe_name(name: str) -> str:
    """A name that today's Keras takes: "/" stands for nesting there."""
    return name.replace("/", "_")


# ---- making the layer ------------------------------------------------------------------------------
@cache
def accepted(cls: type) -> frozenset:
    """Names of the options that a class takes, its bases' included."""
    found = set()
    for base in cls.__mro__:
        if base is object or "__init__" not in vars(base):
            continue
        try:
            parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
        except (TypeError, ValueError):
            continue
        found |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return frozenset((found | {"name", "dtype", "trainable"}) - {"self"})


def layer_class(class_name: str, ctx: Context) -> Any:
    """Today's class for a class name of the file: Keras' own, or one of this package."""
    from kerasbridge import layers as own

    name = RENAMED.get(class_name, class_name)
    if name in NEVER:
        raise ctx.refusal("a layer of this kind runs a program from outside the file.", unsafe=True)
    cls = getattr(keras.layers, name, None)
    if not (isinstance(cls, type) and issubclass(cls, keras.layers.Layer)):
        cls = getattr(own, name) if name in own.__all__ else None
    if isinstance(cls, type) and issubclass(cls, keras.layers.Layer):
        return cls
    missing = {class_name: ctx.layer, **_further_missing(ctx)}
    others = [
        f"'{kind}' (layer '{layer}')" for kind, layer in missing.items() if kind != class_name
    ]
    given = ", ".join(f"{kind} = <class>" for kind in missing)
    raise ctx.refusal(
        f"there is no class '{class_name}' in Keras {keras.__version__}."
        + (f" Nor is there: {', '.join(others)}." if others else ""),
        hint=f"If {'they are classes' if others else 'it is a class'} of your own, say `custom_objects = list({given})`, "
        "or import or run what defines and registers it before loading; a file of Keras 2 holds no code. "
        "If it was part of Keras 2, convert the file where Keras 2 is: convert_model().",
    )


def _further_missing(ctx: Context) -> dict:
    """Classes of the whole model that there is no class for: class -> name of the first such layer."""
    found: dict = {}
    pending: list = [ctx.tree]
    ctx.tree = None  # asked once
    while pending:
        value = pending.pop(0)
        if isinstance(value, (list, tuple)):
            pending.extend(value)
        elif isinstance(value, dict):
            kind, config = value.get("class_name"), value.get("config")
            nested = isinstance(config, dict) and "layers" in config
            if (
                isinstance(kind, str)
                and isinstance(config, dict)
                and "name" in config
                and not nested
            ):
                with contextlib.suppress(KerasBridgeError):
                    if ctx.custom(value.get("registered_name"), kind) is None:
                        try:
                            layer_class(kind, ctx)
                        except UnsupportedError:
                            found.setdefault(kind, config["name"])
            pending.extend(value.values())
    return found


def layer_from(entry: dict, ctx: Context) -> Any:
    """The layer that an entry `{"class_name", "config"}` of the file describes."""
    class_name = entry["class_name"]
    config = dict(entry["config"] or {})
    name = entry.get("name") or config.get("name") or class_name
    with ctx.at(name, class_name):
        custom = ctx.custom(entry.get("registered_name"), class_name)
        if custom is not None and isinstance(custom, type):
            return _custom_layer(custom, config, ctx)
        return _own_layer(class_name, config, ctx)


def _custom_layer(cls: Any, config: dict, ctx: Context) -> Any:
    no_input_shape(config, ctx)
    a_name_without_slashes(config, ctx)
    if "dtype" in config:
        config["dtype"] = values.policy(config["dtype"])
    try:
        with keras.saving.custom_object_scope(ctx.custom_objects):
            return cls.from_config(config)
    except (TypeError, ValueError, KeyError) as err:
        raise ctx.refusal(
            f"your class {cls.__name__} refuses its configuration: {first_line(err)}",
            hint=f"Options in the file: {', '.join(config) or 'none'}. The class needs an __init__ that "
            "takes them, with `**kwargs` for name, trainable and dtype.",
        ) from err


def _own_layer(class_name: str, config: dict, ctx: Context) -> Any:
    short = class_name.rpartition(">")[2]
    cls = layer_class(short, ctx)
    for one in RULES.get("*", []) + RULES.get(short, []):
        one(config, ctx)
    options = {key: _value(key, value, ctx) for key, value in config.items()}
    takes = accepted(cls)
    trainable = options.pop("trainable", True)
    for key in [key for key in options if key not in takes]:
        _check_harmless(key, config[key], ctx)
        del options[key]
    options = {k: v for k, v in options.items() if not (k == "dtype" and v is None)}
    try:
        layer = cls(**options)
    except (TypeError, ValueError) as err:
        raise ctx.refusal(f"it can't be made: {first_line(err)}") from err
    if trainable is False:
        layer.trainable = False
    return layer


def _check_harmless(key: str, value: Any, ctx: Context) -> None:
    harmless = HARMLESS.get(key, (None,))
    if harmless is ANY or value in harmless:
        return
    raise ctx.refusal(f"its option `{key} = {value!r:.60}` has no counterpart today.")


def _value(key: str, value: Any, ctx: Context) -> Any:
    """The value of an option; wrapped layers and cells become layers."""
    if key in ("layer", "backward_layer", "cell") and values.is_object(value):
        from kerasbridge.saving.legacy.graph import any_layer

        return any_layer(value, ctx)
    if key == "cells" and isinstance(value, list):
        return [layer_from(cell, ctx) for cell in value]
    return values.by_name(key, value, ctx)
