"""Builds today's model from an old configuration: Sequential, functional, nested.

The graph is built by calling the layers, in the order the connections allow, and not by rewriting
connections into today's form: an operation of TensorFlow that stood as a layer (`TFOpLambda`) so
becomes the operation of `keras.ops`, and the model can be saved as any other.

Connections are lists `[layer, call, output, options]`; a call is counted from 0 per layer, from 1
for a model used as a layer (its own making was call 0).
"""

from __future__ import annotations

from typing import Any, Optional

import keras

from kerasbridge.errors import KerasBridgeError
from kerasbridge.saving.legacy import operations, values
from kerasbridge.saving.legacy.context import Context, first_line
from kerasbridge.saving.legacy.layer_rules import layer_from, safe_name

MODELS = ("Model", "Functional", "Sequential")
OPERATIONS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")
RECURRENT = (
    "RNN",
    "LSTM",
    "GRU",
    "SimpleRNN",
    "CuDNNLSTM",
    "CuDNNGRU",
    "Bidirectional",
    "ConvLSTM2D",
)


def any_layer(entry: dict, ctx: Context) -> Any:
    """A layer or a model from its entry."""
    kind = entry["class_name"]
    if ctx.custom(entry.get("registered_name"), kind) is None and kind in MODELS:
        config = entry["config"] if isinstance(entry["config"], dict) else {}
        name = entry.get("name") or config.get("name")
        with ctx.at(name or kind, kind):
            return model_from(entry, ctx)
    return layer_from(entry, ctx)


def model_from(entry: dict, ctx: Context) -> Any:
    """The model that an entry describes, with new weights.

    Raises:
        UnsupportedError: something in it has no counterpart today; the error names the layer.
        UnsafeFileError: it holds code that `allow` doesn't permit.
    """
    kind = entry["class_name"]
    config = entry["config"]
    custom = ctx.custom(entry.get("registered_name"), kind)
    if custom is not None and isinstance(custom, type):
        return _subclassed(custom, entry, ctx)
    if kind == "Sequential":
        return _sequential(config, entry, ctx)
    if isinstance(config, dict) and "layers" in config and "output_layers" in config:
        return _functional(config, entry, ctx)
    raise ctx.refusal(
        f"the model is of the class '{kind}', whose code is not in the file.",
        hint=f"Give the class: `custom_objects = list({kind} = <class>)`.",
    )


def _subclassed(cls: type, entry: dict, ctx: Context) -> Any:
    from kerasbridge.saving.legacy.layer_rules import _custom_layer

    config = dict(entry["config"]) if isinstance(entry["config"], dict) else entry["config"]
    if isinstance(config, dict) and "layers" in config and issubclass(cls, keras.Model):
        plain = model_from({**entry, "class_name": "Functional", "registered_name": None}, ctx)
        try:
            model = cls(plain.inputs, plain.outputs, name=plain.name)
        except (TypeError, ValueError):
            return plain
        ctx.parts[id(model)] = ctx.parts[id(plain)]
        return model
    with ctx.at(cls.__name__, entry["class_name"]):
        model = _custom_layer(cls, config, ctx)
        shape = (entry.get("build_config") or {}).get("input_shape")
        if shape is not None and not model.built:
            _build(model, shape)
        return model


def _build(model: Any, shape: Any) -> None:
    """Makes a subclassed model's weights by a first call on zeros of the stored shape."""

    def zeros(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: zeros(value) for key, value in part.items()}
        if part and isinstance(part[0], (list, tuple)):
            return [zeros(value) for value in part]
        return keras.ops.zeros([1 if n is None else n for n in part])

    model(zeros(shape))


# ---- Sequential ------------------------------------------------------------------------------------
def _sequential(config: Any, entry: dict, ctx: Context) -> Any:
    """Until 2.2 the configuration was the bare list of layers, and the input the first one's."""
    config = config if isinstance(config, dict) else {"layers": config}
    entries = list(config["layers"])
    layers, parts = [], []
    for one in entries:
        if one["class_name"] == "InputLayer":
            layers.append(_input(one["config"], ctx))
            parts.append(("InputLayer", None))
            continue
        layer = any_layer(one, ctx)
        layers.append(layer)
        parts.append((one["class_name"], layer))
    if entries and entries[0]["class_name"] != "InputLayer":
        first = _first_input(layers[0], entries[0], config, entry, ctx)
        if first is not None:
            layers.insert(0, first)
    name = config.get("name") or entry.get("name")
    model = keras.Sequential(layers, name=safe_name(name) if name else None)
    ctx.parts[id(model)] = parts
    return model


def _first_input(layer: Any, first: dict, config: dict, entry: dict, ctx: Context) -> Any:
    """The input of a Sequential whose list begins with a layer."""
    own = first["config"] if isinstance(first["config"], dict) else {}
    if own.get("batch_input_shape") is not None:
        dtype = values.policy(own.get("dtype"))
        if not isinstance(dtype, str) or dtype.startswith("mixed"):
            dtype = None
        return keras.Input(batch_shape=own["batch_input_shape"], dtype=dtype)
    if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
        known = layer.inputs[0]
        return keras.Input(batch_shape=known.shape, dtype=known.dtype)
    shape = config.get("build_input_shape") or (entry.get("build_config") or {}).get("input_shape")
    if shape and not isinstance(shape[0], (list, tuple)):
        return keras.Input(batch_shape=shape)
    return None


def _input(config: dict, ctx: Context) -> Any:
    shape = config.get("batch_input_shape", config.get("batch_shape"))
    if shape is None:
        raise ctx.refusal(f"its input '{config.get('name')}' has no shape.")
    name = config.get("name")
    return keras.Input(
        batch_shape=tuple(shape),
        dtype=values.policy(config.get("dtype")),
        sparse=bool(config.get("sparse")),
        name=safe_name(name) if name else None,
    )


# ---- functional ------------------------------------------------------------------------------------
class _Graph:
    """One functional model in the making."""

    def __init__(self, config: dict, ctx: Context):
        self.ctx = ctx
        self.config = config
        self.entries = {e.get("name") or e["config"]["name"]: e for e in config["layers"]}
        self.layers: dict[str, Any] = {}
        self.tensors: dict[tuple, list] = {}  # (layer, call) -> its outputs
        self.first_call = {name: self._first_call(name) for name in self.entries}

    def _first_call(self, name: str) -> int:
        entry = self.entries[name]
        if entry["class_name"] not in MODELS:
            return 0
        used = [call for layer, call in self._uses() if layer == name]
        return 0 if used and min(used) == 0 else 1

    def _uses(self) -> list:
        if not hasattr(self, "_all_uses"):
            found: list = []

            def walk(value: Any) -> None:
                if self.is_reference(value):
                    found.append((value[0], value[1]))
                    value = value[3:]
                if isinstance(value, dict):
                    value = list(value.values())
                if isinstance(value, (list, tuple)):
                    for part in value:
                        walk(part)

            for entry in self.entries.values():
                walk(entry.get("inbound_nodes"))
            walk(self.config.get("output_layers"))
            self._all_uses = found
        return self._all_uses

    def is_reference(self, value: Any) -> bool:
        return (
            isinstance(value, (list, tuple))
            and len(value) in (3, 4)
            and isinstance(value[0], str)
            and value[0] in self.entries
            and all(isinstance(n, int) and not isinstance(n, bool) for n in value[1:3])
        )

    def tensor(self, reference: Any) -> Any:
        """The tensor of a reference; KeyError where it is not made yet."""
        name, call, output = reference[:3]
        return self.tensors[(name, call)][output]

    def filled(self, value: Any) -> Any:
        """A nest of references and plain values, with tensors for references."""
        if self.is_reference(value):
            return self.tensor(value)
        if isinstance(value, dict):
            return {key: self.filled(part) for key, part in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.filled(part) for part in value]
        return value

    def build(self) -> None:
        waiting = []
        for name, entry in self.entries.items():
            nodes = entry.get("inbound_nodes") or []
            if entry["class_name"] == "InputLayer":
                self.tensors[(name, 0)] = [_input({**entry["config"], "name": name}, self.ctx)]
                continue
            if entry["class_name"] not in OPERATIONS:
                self.layers[name] = any_layer({**entry, "name": name}, self.ctx)
            first = self.first_call[name]
            waiting += [(name, first + i, node) for i, node in enumerate(nodes)]
        while waiting:
            left = []
            for item in waiting:
                try:
                    self._call(*item)
                except _NotYet:
                    left.append(item)
            if len(left) == len(waiting):
                with self.ctx.at(left[0][0], self.entries[left[0][0]]["class_name"]):
                    raise self.ctx.refusal("it takes its input from a layer that the file lacks.")
            waiting = left

    def _call(self, name: str, call: int, node: Any) -> None:
        entry = self.entries[name]
        try:
            inputs, options = self._arguments(node)
        except KeyError as err:
            raise _NotYet from err
        with self.ctx.at(name, entry["class_name"]):
            try:
                if entry["class_name"] in OPERATIONS:
                    out = operations.apply(entry, inputs, options, self.ctx)
                else:
                    out = self._call_layer(entry["class_name"], self.layers[name], inputs, options)
            except KerasBridgeError:
                raise
            except Exception as err:  # whatever a layer of the user's may raise
                raise self.ctx.refusal(f"it can't be called: {first_line(err)}") from err
        self.tensors[(name, call)] = flat(out)

    def _arguments(self, node: Any) -> tuple:
        """Inputs and options of a call.

        A node is one connection, a list of connections (options on the first), a dict of them, or a
        constant: `["_CONSTANT_VALUE", -1, value, options]`.
        """
        options: dict = {}

        def one(part: Any) -> Any:
            if isinstance(part, (list, tuple)) and len(part) >= 3 and part[0] == "_CONSTANT_VALUE":
                value = part[2]
            elif self.is_reference(part):
                value = self.tensor(part)
            elif isinstance(part, dict):
                return {key: one(value) for key, value in part.items()}
            elif isinstance(part, (list, tuple)):
                if len(part) >= 3 and isinstance(part[0], str) and isinstance(part[1], int):
                    raise KeyError(part[0])
                return [one(value) for value in part]
            else:
                return part
            if len(part) == 4 and isinstance(part[3], dict):
                for key, extra in part[3].items():
                    options.setdefault(key, self.filled(extra))
            return value

        inputs = one(node)
        if isinstance(inputs, list) and len(inputs) == 1 and node and not self.is_reference(node):
            inputs = inputs[0]
        return inputs, options

    def _call_layer(self, kind: str, layer: Any, inputs: Any, options: dict) -> Any:
        options = {
            k: v for k, v in options.items() if not (k in ("training", "mask") and v is None)
        }
        if kind in RECURRENT and isinstance(inputs, list) and len(inputs) > 1:
            # the states to start from were further inputs
            constants = int(getattr(layer, "_num_constants", 0) or 0)
            states = inputs[1 : len(inputs) - constants]
            options.setdefault("initial_state", states)
            inputs = inputs[0]
        return layer(inputs, **options)

    def ends(self, references: Any) -> Any:
        """Inputs or outputs of the model, in the structure the file has; a list of one is bare."""
        value = self.filled(references)
        if isinstance(value, list) and len(value) == 1:
            return value[0]
        return value


class _NotYet(Exception):
    """A tensor that another call has to make first."""


def flat(value: Any) -> list:
    """The tensors of a nest; dicts in the order of their sorted keys, as TensorFlow has it."""
    if isinstance(value, dict):
        return [t for key in sorted(value) for t in flat(value[key])]
    if isinstance(value, (list, tuple)):
        return [t for part in value for t in flat(part)]
    return [value]


def _functional(config: dict, entry: dict, ctx: Context) -> Any:
    graph = _Graph(config, ctx)
    graph.build()
    try:
        inputs, outputs = graph.ends(config["input_layers"]), graph.ends(config["output_layers"])
    except (KeyError, IndexError) as err:
        raise ctx.refusal("its inputs or outputs name a layer that the file lacks.") from err
    name: Optional[str] = config.get("name") or entry.get("name")
    model = keras.Model(inputs, outputs, name=safe_name(name) if name else None)
    ctx.parts[id(model)] = [
        (e["class_name"], graph.layers.get(layer)) for layer, e in graph.entries.items()
    ]
    return model


# ---- trainable flags ---------------------------------------------------------------------------------
def restore_trainable(layer: Any, entry: dict, ctx: Context) -> None:
    """Sets the flags of nested models as stored.

    Setting a model's flag sets its layers'; theirs are therefore set again afterwards.
    """
    config = entry.get("config")
    inner = config.get("layers") if isinstance(config, dict) else config
    if not isinstance(inner, list) or id(layer) not in ctx.parts:
        return
    if isinstance(config, dict) and config.get("trainable") is False:
        layer.trainable = False
    for part, (_, child) in zip(inner, ctx.parts[id(layer)]):
        if child is None or not isinstance(part.get("config"), (dict, list)):
            continue
        flag = part["config"].get("trainable") if isinstance(part["config"], dict) else None
        if isinstance(flag, bool) and child.trainable is not flag:
            child.trainable = flag
        restore_trainable(child, part, ctx)


def without_flag(model: Any, entry: dict, ctx: Context) -> list:
    """The models inside `model` whose configuration doesn't say whether they are trainable."""
    config = entry.get("config")
    inner = config.get("layers") if isinstance(config, dict) else config
    found = []
    for part, (kind, child) in zip(
        inner if isinstance(inner, list) else [], ctx.parts.get(id(model), [])
    ):
        if kind in MODELS and child is not None:
            flag = part["config"].get("trainable") if isinstance(part["config"], dict) else None
            if flag is None:
                found.append(child)
    return found
