"""Small model verbs that R needs and Keras spells differently."""

from __future__ import annotations

import inspect
from typing import Any, Optional, Sequence

import keras

from kerasbridge.errors import ArgumentError, UnsupportedError


def sequential(layers: Optional[list] = None, name: Optional[str] = None, trainable: bool = True):
    """A Sequential of the given layers."""
    model = keras.Sequential(layers, name=name)
    _build_where_known(model)
    if not trainable:
        model.trainable = False
    return model


def functional(inputs: Any, outputs: Any, name: Optional[str] = None):
    """A functional model; inputs and outputs are tensors, lists or dicts of tensors."""
    return keras.Model(inputs=inputs, outputs=outputs, name=name)


def add_layer(model, layer, input: Optional[dict] = None):
    """Append `layer` to a Sequential; `input` (arguments of keras.Input) comes before a first layer.

    A layer that does not fit leaves the model as it was.
    """
    described = False
    if input and not model.layers:
        if _has_inputs(model):
            raise ArgumentError(
                "The model has an input already.",
                hint="Give the input shape once: in keras_model_sequential() or on the first layer.",
                argument="input_shape",
            )
        model.add(keras.Input(**input))
        described = True
    elif input:
        raise ArgumentError(
            "Only the first layer of a model takes an input shape.",
            hint=f"Leave it out here: the model has {len(model.layers)} layer(s) already.",
            argument="input_shape",
        )
    names = {existing.name for existing in model.layers}
    if layer.name in names:
        raise ArgumentError(
            f"The model has a layer called '{layer.name}' already.",
            hint="Give the new layer another `name`.",
            argument="name",
        )
    try:
        model.add(layer)
        _build_where_known(model)
    except BaseException:
        if model.layers and model.layers[-1] is layer:
            model.pop()
        if described:
            model.pop(rebuild=False)  # the input
        raise
    return model


def _build_where_known(model) -> None:
    """Build a Sequential whose first layer is a model that knows its input.

    Newer versions of Keras do so themselves; older ones (3.0.5 for one) count no weights until data come.
    """
    first = model.layers[0] if model.layers and not model.built else None
    if isinstance(first, keras.Model) and _has_inputs(first) and len(first.inputs) == 1:
        model.build(tuple(first.inputs[0].shape))


def _has_inputs(model) -> bool:
    try:
        return bool(model.inputs)
    except (AttributeError, ValueError):  # older versions raise where there are none yet
        return False


def pop_layer(model):
    """Remove the last layer of a Sequential and return the model."""
    if not isinstance(model, keras.Sequential):
        raise UnsupportedError(
            "Only a sequential model can lose its last layer.",
            hint="Build a new model on an inner layer: keras_model(model$input, get_layer(model, name)$output).",
            argument="object",
        )
    if not model.layers:
        raise ArgumentError("The model has no layers to remove.", argument="object")
    model.pop()
    return model


def get_layer(model, name: Optional[str] = None, index: Optional[int] = None):
    """A layer by name or by 0-based index."""
    if name is not None:
        for layer in model.layers:
            if layer.name == name:
                return layer
        known = ", ".join(f"'{layer.name}'" for layer in model.layers)
        raise ArgumentError(
            f"The model has no layer called '{name}'.", hint=f"It has: {known}.", argument="name"
        )
    layers = model.layers
    if not -len(layers) <= index < len(layers):
        raise ArgumentError(
            f"The model has {len(layers)} layers; the index is outside of them.",
            hint=f"Use 1 to {len(layers)}, or a negative number to count from the end.",
            argument="index",
        )
    return layers[index]


def _range(model, start, end) -> Sequence:
    """Layers from `start` to `end`, each None, a name or a 0-based index."""

    def position(where, default, argument):
        if where is None:
            return default
        if isinstance(where, str):
            for i, layer in enumerate(model.layers):
                if layer.name == where:
                    return i
            get_layer(model, name=where)
        if not -len(model.layers) <= int(where) < len(model.layers):
            raise ArgumentError(
                f"The model has {len(model.layers)} layers; `{argument}` is outside of them.",
                argument=argument,
            )
        return int(where) % len(model.layers)

    first = position(start, 0, "from")
    last = position(end, len(model.layers) - 1, "to")
    return model.layers[first : last + 1]


def freeze(model, start=None, end=None, which: Optional[list] = None, trainable: bool = False):
    """Set `trainable` on a range of layers (all of them by default), or on the layers `which`."""
    if which is not None:
        layers = [
            get_layer(model, name=w) if isinstance(w, str) else get_layer(model, index=int(w))
            for w in which
        ]
    elif start is None and end is None:
        model.trainable = trainable
        return model
    else:
        layers = _range(model, start, end)
    for layer in layers:
        layer.trainable = trainable
    return model


def _all_layers(model):
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from _all_layers(layer)


def reset_states(model):
    """Forget the state of every stateful layer, also in nested models."""
    for layer in _all_layers(model) if hasattr(model, "layers") else [model]:
        if getattr(layer, "stateful", False):
            reset = getattr(layer, "reset_state", None) or getattr(layer, "reset_states", None)
            if reset is not None:
                reset()
    return model


def _shape(value) -> str:
    return "(" + ", ".join("NA" if d is None else str(d) for d in value) + ")"


def _tensors(value):
    """The tensors of a nest, in order (older versions have no public function for it)."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)
    else:
        yield value


def _output_shape(layer) -> str:
    try:
        output = layer.output
    except (AttributeError, ValueError):
        return "?"
    return ", ".join(_shape(t.shape) for t in _tensors(output))


def _sources(model) -> dict:
    """Layer name -> names of the layers it takes its input from (functional models only)."""
    try:
        config = model.get_config()
    except Exception:  # a custom layer without get_config() must not spoil printing
        return {}
    found: dict = {}

    def walk(value, names):
        if isinstance(value, dict):
            history = value.get("keras_history")
            if history is None and isinstance(value.get("config"), dict):
                history = value["config"].get("keras_history")
            if history:
                if history[0] not in names:
                    names.append(history[0])
                return
            for v in value.values():
                walk(v, names)
        elif isinstance(value, (list, tuple)):
            for v in value:
                walk(v, names)

    layers = config.get("layers", []) if isinstance(config, dict) else []
    for entry in layers:
        names: list = []
        walk(entry.get("inbound_nodes", []), names)
        found[entry.get("name") or entry.get("config", {}).get("name")] = names
    return found


def _layer_rows(model, rows: dict, nested: bool, depth: int = 0) -> None:
    import keras

    sources = _sources(model)
    for layer in model.layers:
        rows["name"].append(layer.name)
        rows["type"].append(type(layer).__name__)
        rows["shape"].append(_output_shape(layer))
        rows["params"].append(float(layer.count_params()) if layer.built else float("nan"))
        rows["trainable"].append(bool(layer.trainable))
        rows["from"].append(", ".join(sources.get(layer.name, [])))
        rows["depth"].append(depth)
        if nested and isinstance(layer, keras.Model):
            _layer_rows(layer, rows, nested, depth + 1)


def describe_model(model, expand_nested: bool = False) -> dict:
    """What R prints of a model: one row a layer, parameter counts, how it was compiled.

    Columns (lists of equal length): name, type, shape, params, trainable, from, depth. The layers of
    models inside `model` follow them with a greater depth if `expand_nested`; their parameters are
    counted in the model's row too.
    """
    columns = ("name", "type", "shape", "params", "trainable", "from", "depth")
    rows: dict = {column: [] for column in columns}
    _layer_rows(model, rows, expand_nested)

    def count(weights):
        total = 0
        for weight in weights:
            size = 1
            for dim in weight.shape:
                size *= dim
            total += size
        return float(total)

    optimizer = getattr(model, "optimizer", None)
    loss = getattr(model, "loss", None)
    return {
        "name": model.name,
        "class": type(model).__name__,
        "layers": rows,
        "built": bool(model.built),
        "trainable": count(model.trainable_weights) if model.built else None,
        "non_trainable": count(model.non_trainable_weights) if model.built else None,
        "compiled": bool(getattr(model, "compiled", False)),
        "optimizer": type(optimizer).__name__ if optimizer is not None else None,
        "loss": loss if isinstance(loss, str) else None,
    }


def docstring(topic: Any) -> str:
    """The docstring of a public Keras name (given as text) or of an object, with its signature."""
    from kerasbridge.bridge.calls import resolve

    if isinstance(topic, str):
        title, value = topic, resolve(topic)
    else:
        value = topic if inspect.isroutine(topic) or inspect.isclass(topic) else type(topic)
        title = value.__name__
    try:
        signature = str(inspect.signature(value))
    except (TypeError, ValueError):
        signature = ""
    text = inspect.getdoc(value) or "(The installed Keras has no text for it.)"
    return f"{title}{signature}\n\n{text}"
