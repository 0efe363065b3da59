"""What layers and models written in R compute, written down as operations of Keras.

A class written in R is unknown to a process without R. But what `call()` does with tensors is nearly
always a graph of public operations. So when a model is saved, each layer of such a class is followed
once on symbolic tensors, its weights among them, and the graph goes into the file as the configuration of
a functional model, as Keras writes it. `stand_ins.py` makes layers of it that need no R.

A program is a dict:

* `role`: "layer" or "model";
* `config`: the configuration of the layer, by which it is found again;
* `weights`: `name`, `shape`, `dtype`, `trainable` of its own weights, in order;
* `parts`: attribute -> the layers in it, a description or nested lists and dicts of them;
* `graphs`: "training=0 mask=0" and so on -> `graph` (configuration) and `weights` (those that it takes
  after its inputs: the way to a part, empty for the layer itself, and the number there);
* `masks`, `trains`: whether it hands masks on, and whether it has its own `train_step`.
"""

from __future__ import annotations

import inspect
import json
import warnings
from typing import Any, Iterator

import keras
import numpy as np

from kerasbridge.runtime import structures
from kerasbridge.runtime.recording import NotExpressible, Recording, paused, recording
from kerasbridge.runtime.variables import variable_class
from kerasbridge.saving.followed import config_of, followed_model
from kerasbridge.saving.safety.config import audit_config

MAX_BYTES = 4 * 2**20  # of one program as text
_KEPT = {"__init__", "build", "call", "get_config", "from_config", "compute_output_shape"}
STEPS = {"train_step", "test_step", "predict_step"}
_UNKEPT = {"compute_mask", "save_own_variables", "load_own_variables", "compute_output_spec"}


def each_layer(model: Any) -> Iterator[Any]:
    """The model itself and the layers of it, each once, the outer first."""
    seen: set = set()
    pending = [model]
    while pending:
        value = pending.pop()
        if isinstance(value, (list, tuple, dict)):
            pending.extend(value.values() if isinstance(value, dict) else value)
            continue
        if not isinstance(value, keras.Layer) or id(value) in seen:
            continue
        seen.add(id(value))
        yield value
        pending.extend(vars(value).values())


def custom_layers(model: Any) -> Iterator[Any]:
    """The layers of a model, and it itself, whose class is not Keras'."""
    return (layer for layer in each_layer(model) if not type(layer).__module__.startswith("keras."))


def canonical(config: Any) -> str:
    """A configuration as text by which it is found again."""
    return json.dumps(unshared(config), sort_keys=True, allow_nan=True)


def unshared(value: Any) -> Any:
    """A configuration without the numbers by which Keras finds objects that are used twice in a file."""
    if isinstance(value, dict):
        return {key: unshared(item) for key, item in value.items() if key != "shared_object_id"}
    return [unshared(item) for item in value] if isinstance(value, (list, tuple)) else value


def program_of(layer: Any) -> dict:
    """What a layer computes, as plain values.

    Raises:
        NotExpressible: it can't be written down; the text says why.
    """
    held = vars(layer).get("_program")
    if held is not None:  # a stand-in that is saved again
        return held.program
    recorded = None
    try:
        _check_methods(type(layer))
        parts: dict = {}
        described = {name: _part(value, [name], parts) for name, value in _part_attributes(layer)}
        swapped = {id(v): _symbolic(v.shape, _seen_dtype(layer, v)) for v in layer.weights}
        constants = [v for v in vars(layer).values() if keras.ops.is_tensor(v)]
        graphs = {}
        recorder = Recording(swapped, constants)
        with keras.StatelessScope() as scope, recording(recorder) as recorded:
            for training, masked in _variants(layer):
                key = f"training={training:d} mask={masked:d}"
                graphs[key] = _graph(layer, swapped, parts, training, masked)
        if scope.state_mapping:
            raise NotExpressible("it changes its weights while it runs")
        out = {
            "role": "model" if isinstance(layer, keras.Model) else "layer",
            "config": plain_json(keras.saving.serialize_keras_object(layer)["config"]),
            "weights": [_weight(v) for v in _own_weights(layer)],
            "parts": described,
            "graphs": graphs,
            "masks": bool(layer.supports_masking),
            "trains": sorted(STEPS & _methods(type(layer))),
        }
    except NotExpressible:
        raise
    except Exception as err:  # noqa: B902 - R code, Keras and the backend each have their own
        raise NotExpressible(reason_of(recorded, err)) from err
    if len(canonical(out)) > MAX_BYTES:
        raise NotExpressible("it holds large constants")
    return out


def reason_of(recorded: Any, err: Exception) -> str:
    """Why something can't be written down, from what was raised while it was followed."""
    if recorded is not None and recorded.reason:
        return recorded.reason
    said = [line.strip() for line in str(err).replace("\x1b[1m", "").splitlines()]
    said = [line for line in said if line and not line.startswith("Exception encountered")]
    said = said[0] if said else type(err).__name__
    return f"its code does not run on symbolic tensors: {said[:200]}"


def _methods(cls: type) -> set:
    """Names of what R defined, in the class and those above it."""
    made = [c for c in cls.__mro__ if "_r_origin" in vars(c)]
    return {name for c in made for name, value in vars(c).items() if callable(value)}


def _check_methods(cls: type) -> None:
    for name in sorted(_UNKEPT & _methods(cls)):
        raise NotExpressible(f"it has a `{name}()` of its own")
    parameters = list(inspect.signature(cls.call).parameters.values())[1:]
    if not parameters:
        raise NotExpressible("its `call()` takes no inputs")
    for p in parameters[1:]:
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD and p.name not in _FLAGS:
            raise NotExpressible("its `call()` takes several inputs")


_FLAGS = ("training", "mask")


def _variants(layer: Any) -> list:
    """(training, masked) for which `call()` may do different things."""
    takes = inspect.signature(type(layer).call).parameters
    single = isinstance(_inputs(layer), keras.KerasTensor)
    return [
        (training, masked)
        for training in ((False, True) if "training" in takes else (False,))
        for masked in ((False, True) if "mask" in takes and single else (False,))
    ]


# ---- parts and weights --------------------------------------------------------------------------------


def _part_attributes(layer: Any) -> list:
    """(name, value) of attributes that hold layers, in the order in which they were set."""
    own = set(vars(keras.Model() if isinstance(layer, keras.Model) else keras.Layer()))
    space = vars(layer)
    held = {**space, **space.get("_modules", {})}  # PyTorch keeps layers apart from lists of them
    # TensorFlow keeps a list of its own of what it tracks
    names = (name for name in held if name not in own and not name.startswith("_self_"))
    parts = [(name, held[name]) for name in names if any(True for _ in _paths(held[name], []))]
    for name, _ in parts:
        if name.startswith("_"):
            raise NotExpressible(f"it keeps layers in the hidden attribute `{name}`")
    if "_modules" in space:
        order = {id(weight): i for i, weight in enumerate(layer.weights)}
        parts.sort(key=lambda part: min((order.get(i, 0) for i in _weight_ids(part[1])), default=0))
    return parts


def _weight_ids(value: Any) -> list:
    return [id(weight) for _, part in _paths(value, []) for weight in part.weights]


def _part(value: Any, path: list, parts: dict) -> Any:
    """The description of a part; `parts` learns where each layer is."""
    if isinstance(value, keras.Layer):
        if id(value) in parts:
            return {"same": parts[id(value)]}
        if not value.built:
            raise NotExpressible(f"its part `{path[0]}` has not been used yet")
        parts[id(value)] = path
        return {"layer": plain_json(keras.saving.serialize_keras_object(value))}
    if isinstance(value, (list, tuple)):
        return [_part(item, [*path, i], parts) for i, item in enumerate(value)]
    if isinstance(value, dict):
        return {"dict": {k: _part(item, [*path, k], parts) for k, item in value.items()}}
    raise NotExpressible(f"its part `{path[0]}` mixes layers and other things")


def _own_weights(layer: Any) -> list:
    below = {i for _, value in _part_attributes(layer) for i in _weight_ids(value)}
    return [w for w in layer.weights if id(w) not in below]


def _weight(variable: Any) -> dict:
    return {
        "name": variable.name,
        "shape": list(variable.shape),
        "dtype": keras.backend.standardize_dtype(variable.dtype),
        "trainable": getattr(variable, "_r_trainable", bool(variable.trainable)),
    }


def plain_json(value: Any) -> Any:
    """A value as it is after JSON."""
    return json.loads(json.dumps(value))


# ---- the graph ----------------------------------------------------------------------------------------


def _symbolic(shape: Any, dtype: str) -> Any:
    return keras.Input(batch_shape=tuple(shape), dtype=dtype)


def _is_float(dtype: str) -> bool:
    return "float" in dtype


def _seen_dtype(layer: Any, value: Any) -> str:
    """The type in which `call()` sees a tensor or weight: floats in that of the computation."""
    dtype = keras.backend.standardize_dtype(value.dtype)
    return layer.compute_dtype if _is_float(dtype) and layer.autocast else dtype


def _inputs(layer: Any) -> Any:
    """Symbolic tensors, nested as the first argument of `call()`."""
    shape = (layer.get_build_config() or {}).get("input_shape")
    single = isinstance(shape, (list, tuple)) and all(
        a is None or isinstance(a, int) for a in shape
    )
    try:
        given = layer.input
    except (AttributeError, ValueError):  # it was never called on symbolic tensors
        if not single:
            raise NotExpressible("the shape of its input is not known") from None
        return keras.KerasTensor((None, *shape[1:]), dtype=layer.input_dtype)
    # a mask that Keras handed on is counted among the inputs
    return given[0] if single and isinstance(given, (list, tuple)) else given


def _graph(layer: Any, swapped: dict, parts: dict, training: bool, masked: bool) -> dict:
    given = _inputs(layer)
    flat = [_symbolic(t.shape, _seen_dtype(layer, t)) for t in structures.flatten(given)]
    inputs = structures.pack_like(given, flat)
    takes = inspect.signature(type(layer).call).parameters
    further: dict = {"training": training} if "training" in takes else {}
    extra = []
    if masked:
        extra = [_symbolic(flat[0].shape[:-1] or flat[0].shape, "bool")]
        further["mask"] = extra[0]
    with _weights_swapped(layer, swapped):
        outputs = layer.call(inputs, **further)
    own = [swapped[id(w)] for w in layer.weights]
    model = followed_model([*flat, *extra, *own], outputs)
    _check_equal(layer, model, given, further, len(extra))
    config = graph_config(model)
    used = _used(config)
    inner = {o.name: o for o in model.layers if isinstance(o, keras.Layer)}
    for entry in config["layers"]:
        found = inner.get(entry["name"])
        if id(found) in parts:
            entry.pop("build_config", None)
            entry.update(
                module=None, class_name="kerasbridge>Part", registered_name="kerasbridge>Part",
                config={"name": entry["name"], "path": parts[id(found)]},
            )  # fmt: skip
        elif found is not None and found.weights:
            raise NotExpressible("it makes a layer inside `call()`")
    ends = config["input_layers"]
    ends = [ends] if isinstance(ends[0], str) else list(ends)
    first = len(flat) + len(extra)
    kept = [i for i, end in enumerate(ends) if i < first or end[0] in used]
    dropped = {end[0] for i, end in enumerate(ends) if i not in kept}
    config["layers"] = [entry for entry in config["layers"] if entry["name"] not in dropped]
    config["input_layers"] = [ends[i] for i in kept]
    weights = [_place(layer, layer.weights[i - first]) for i in kept if i >= first]
    return {"graph": plain_json(config), "weights": weights}


def graph_config(model: Any) -> dict:
    """The configuration of a functional model that was followed.

    Raises:
        NotExpressible: an operation was handed a function, which a file can't hold.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it holds a lambda
        config = config_of(model)
    if audit_config(config).findings:
        raise NotExpressible("it hands functions to operations")
    return config


def _place(layer: Any, weight: Any) -> list:
    """Where a weight is: the way to the part (none for the layer itself) and its number there."""
    for name, value in _part_attributes(layer):
        for path, part in _paths(value, [name]):
            for i, other in enumerate(part.weights):
                if other is weight:
                    return [path, i]
    return [[], [w is weight for w in _own_weights(layer)].index(True)]


def _paths(value: Any, path: list) -> Iterator[tuple]:
    if isinstance(value, keras.Layer):
        yield path, value
    elif isinstance(value, (list, tuple, dict)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _paths(item, [*path, key])


def _used(config: Any) -> set:
    """Names of layers whose output another layer, or the end of the graph, takes."""
    used: set = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            history = value.get("keras_history")
            if history:
                used.add(history[0])
            for item in value.values():
                walk(item)
        elif isinstance(value, (list, tuple)):
            for item in value:
                walk(item)

    def ends(value: Any) -> None:
        if isinstance(value, (list, tuple)):
            if len(value) == 3 and isinstance(value[0], str):
                used.add(value[0])
            for item in value:
                ends(item)
        elif isinstance(value, dict):
            for item in value.values():
                ends(item)

    walk(config["layers"])
    ends(config["output_layers"])
    return used


def sample(tensor: Any, random: Any, size: int = 2) -> Any:
    """Numbers for a symbolic tensor from a generator of NumPy; `size` is that of each free axis."""
    shape = [size if axis is None else axis for axis in tensor.shape]
    numbers = random.uniform(0.1, 0.9, shape) if _is_float(tensor.dtype) else np.ones(shape)
    return keras.ops.cast(numbers, tensor.dtype)


def check_same(expected: Any, got: Any, loose: float) -> None:
    """Compare what code of R gives with what was written down; `loose` is the tolerance.

    Raises:
        NotExpressible: they differ.
    """
    for one, two in zip(structures.flatten(expected), structures.flatten(got)):
        one, two = (np.asarray(keras.ops.convert_to_numpy(v), "float64") for v in (one, two))
        if one.shape != two.shape or not np.allclose(one, two, loose, loose, equal_nan=True):
            raise NotExpressible("what it computes differs from one call to the next")


class _weights_swapped:
    """Within the block the attributes of a layer hold symbolic tensors instead of its weights."""

    def __init__(self, layer: Any, swapped: dict):
        self._space, self._swapped, self._before = vars(layer), swapped, {}

    def __enter__(self) -> None:
        for name, value in list(self._space.items()):
            if isinstance(value, variable_class()) and id(value) in self._swapped:
                self._before[name] = value
                self._space[name] = self._swapped[id(value)]

    def __exit__(self, *_: Any) -> None:
        self._space.update(self._before)


def _check_equal(layer: Any, model: Any, given: Any, further: dict, extra: int) -> None:
    """The graph gives what the layer gives, on one small input.

    Raises:
        NotExpressible: it doesn't.
    """
    if further.get("training"):
        return  # dropout and the like differ from one call to the next
    shaped = model.inputs[: len(model.inputs) - len(layer.weights)]
    random = np.random.default_rng(1)
    samples = [sample(t, random) for t in shaped]
    weights = [
        keras.ops.cast(keras.ops.convert_to_tensor(w), t.dtype)
        for w, t in zip(layer.weights, model.inputs[len(shaped) :])
    ]
    inputs = structures.pack_like(given, samples[: len(samples) - extra])
    keys = {**further, **({"mask": samples[-1]} if extra else {})}
    with paused(), warnings.catch_warnings():
        # a mask is given on purpose, whether or not the layer hands it on
        warnings.simplefilter("ignore", UserWarning)
        expected = layer(inputs, **keys)
        got = model([*samples, *weights], training=False)
    check_same(expected, got, 1e-2 if "16" in layer.compute_dtype else 1e-5)
