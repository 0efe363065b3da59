"""Layers and models that do what one written in R did, from the program in the file. No R is needed."""

from __future__ import annotations

import copy
import types
from typing import Any, Iterator

import keras

from kerasbridge.errors import FileError, UnsupportedError
from kerasbridge.runtime import structures
from kerasbridge.saving.followed import read_model
from kerasbridge.saving.programs import STEPS, canonical, unshared
from kerasbridge.saving.safety.texts import damaged

PART = "kerasbridge>Part"


class _Held:
    """What a stand-in knows but Keras is not to track."""

    def __init__(self, program: dict, config: dict):
        self.program, self.config = program, unshared(config)
        self.graphs: dict = {}
        self.parts: dict = {}


class Part(keras.layers.Layer):
    """In a graph: a layer that belongs to the stand-in around it."""

    def __init__(self, part: Any, name: str):
        super().__init__(name=name, dtype=part.dtype_policy)
        self._part = types.SimpleNamespace(layer=part)
        self.supports_masking = True

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return self._part.layer(*args, **kwargs)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return self._part.layer.compute_mask(inputs, previous_mask)


class _StandIn:
    """Mixed into `keras.Layer` or `keras.Model`."""

    def __init__(self, program: dict, config: dict):
        base = {k: config[k] for k in ("name", "trainable", "dtype") if k in config}
        if isinstance(base.get("dtype"), dict):
            base["dtype"] = keras.saving.deserialize_keras_object(base["dtype"])
        super().__init__(**base)
        self._program = _Held(program, config)
        self.supports_masking = program["masks"]
        for name, described in program["parts"].items():
            setattr(self, name, self._made(described, [name]))
        # now, not when they are first called: a backend that traces would keep their constants
        for key, stored in program["graphs"].items():
            self._program.graphs[key] = self._graph(stored["graph"])

    def _made(self, described: Any, path: list) -> Any:
        if isinstance(described, list):
            return [self._made(item, [*path, i]) for i, item in enumerate(described)]
        if "dict" in described:
            return {k: self._made(v, [*path, k]) for k, v in described["dict"].items()}
        if "same" in described:
            return self._program.parts[canonical(described["same"])]
        layer = keras.saving.deserialize_keras_object(copy.deepcopy(described["layer"]))
        self._program.parts[canonical(path)] = layer
        return layer

    def build(self, input_shape: Any = None) -> None:
        own = [
            self.add_weight(
                shape=tuple(weight["shape"]), dtype=weight["dtype"], name=weight["name"],
                trainable=weight["trainable"], initializer="zeros",
            )
            for weight in self._program.program["weights"]
        ]  # fmt: skip
        self._program.own = own
        self.built = True

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        graphs = self._program.program["graphs"]
        training = bool(training) and "training=1 mask=0" in graphs
        masked = mask is not None and f"training={training:d} mask=1" in graphs
        key = f"training={training:d} mask={masked:d}"
        given = [*structures.flatten(inputs), *([mask] if masked else [])]
        own = [self._weight(*place) for place in graphs[key]["weights"]]
        return self._program.graphs[key]([*given, *map(keras.ops.convert_to_tensor, own)])

    def _weight(self, path: list, number: int) -> Any:
        held = self._program
        return (held.parts[canonical(path)].weights if path else held.own)[number]

    def _graph(self, config: dict) -> Any:
        held = self._program

        class Here(Part):
            @classmethod
            def from_config(cls, config: dict) -> Part:
                return Part(held.parts[canonical(config["path"])], config["name"])

        with keras.saving.CustomObjectScope({PART: Here}):
            return read_model(config)

    def get_config(self) -> dict:
        return dict(self._program.config)

    @classmethod
    def from_config(cls, config: dict) -> Any:
        programs = cls._programs
        found = programs.get(canonical(config))
        if found is None:
            raise other_arguments(cls._role, config.get("name"))
        return cls(found, config)


def other_arguments(role: str, name: Any) -> FileError:
    """The error of a stand-in that is asked for with arguments which no program was written for."""
    return FileError(
        f"{role} '{name}' is written in R: needs R.",
        hint="The file holds what it computes with the arguments that it was saved with, not with others.",
        argument="config",
    )


def _needs_r(name: str, role: str) -> Any:
    def step(self: Any, *_: Any, **__: Any) -> Any:
        raise UnsupportedError(
            f"{role} '{self.name}' is written in R: needs R.",
            hint=f"Its `{name}()` was not saved as operations of Keras; predictions work.",
        )

    return step


def stand_in(item: dict, source: str) -> Any:
    """The class or function that stands in for one of a manifest's custom objects; None without a program.

    Raises:
        FileError: the programs are not what `programs.py` writes.
    """
    programs = item.get("programs")
    if not programs:
        return None
    if isinstance(programs, list) and isinstance(programs[0], dict) and "cases" in programs[0]:
        return _small(item, source)
    _check(programs, item, source)
    role = programs[0]["role"]
    base = keras.Model if role == "model" else keras.layers.Layer
    space = {
        "__module__": "kerasbridge.R",
        "_role": role,
        "_programs": {canonical(p["config"]): p for p in programs},
        "_r_origin": item.get("origin"),
        "_r_source": item.get("source"),
        **{step: _needs_r(step, role) for step in programs[0]["trains"]},
    }
    return types.new_class(item["name"], (_StandIn, base), {}, lambda names: names.update(space))


def _small(item: dict, source: str) -> Any:
    """A function, or the class of a loss, regularizer ..., in place of one written in R."""
    from kerasbridge.saving import stand_in_functions

    programs, name = item["programs"], str(item.get("name"))
    role = programs[0].get("role")
    for program in programs:
        same = isinstance(program, dict) and program.get("role") == role and name.isidentifier()
        stand_in_functions.check_program(program if same else {}, item, source)
    if role == "function":
        return stand_in_functions.stand_in_function(item)
    return stand_in_functions.stand_in_class(item)


_FIELDS = {
    "role": str,
    "config": dict,
    "weights": list,
    "parts": dict,
    "graphs": dict,
    "masks": bool,
    "trains": list,
}


def _check(programs: Any, item: dict, source: str) -> None:
    """Only the form: what the parts and graphs name is audited with the configuration of the model."""
    good = isinstance(programs, list) and str(item.get("name")).isidentifier()
    for program in programs if good else ():
        good = isinstance(program, dict) and all(
            isinstance(program.get(key), kind) for key, kind in _FIELDS.items()
        )
        good = good and program["role"] in ("layer", "model") and set(program["trains"]) <= STEPS
        good = good and all(
            str(name).isidentifier() and not str(name).startswith("_") for name in program["parts"]
        )
        if not good:
            break
    if not good:
        raise damaged(source, "kerasbridge.json", f"the program of '{item.get('name')}'")


def configurations(item: dict) -> Iterator[Any]:
    """The parts of a custom object's programs that Keras will build, for the audit."""
    from kerasbridge.saving.function_programs import cases_of

    for program in item["programs"]:
        if "cases" in program:
            yield from cases_of(program)
            continue
        yield program["parts"]
        yield from (stored.get("graph") for stored in program["graphs"].values())
