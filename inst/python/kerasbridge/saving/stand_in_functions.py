"""Functions and small objects that do what those written in R did, from the program in the file."""

from __future__ import annotations

import copy
import re
import types
from typing import Any, Callable

import keras
import numpy as np

from kerasbridge.errors import FileError, UnsupportedError
from kerasbridge.runtime import r_functions, seen, structures
from kerasbridge.saving.followed import read_model
from kerasbridge.saving.function_programs import ROLES, fits, wanted
from kerasbridge.saving.programs import canonical, unshared
from kerasbridge.saving.safety.texts import damaged
from kerasbridge.saving.stand_ins import other_arguments

_SYMBOL = re.compile(r"^keras\.(ops|random)(\.[a-z][a-z0-9_]*)+$")
_BASES: dict = {
    "loss": keras.Loss,
    "regularizer": keras.Regularizer,
    "constraint": keras.constraints.Constraint,
    "initializer": keras.Initializer,
    "schedule": keras.optimizers.schedules.LearningRateSchedule,
}
_MOST = 2**26  # numbers in what one step of an initializer may make


class Program:
    """A program, ready to run.

    Args:
        program: see `function_programs.py`; its form was checked.
        title: "loss 'Far'" and the like, for messages.
    """

    def __init__(self, program: dict, title: str):
        self.program, self.title = program, title
        self._models: dict = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        form = seen.form_of(args, kwargs)
        tensors = [v for v in structures.flatten([args, kwargs]) if hasattr(v, "shape")]
        found = None
        if form is not None:
            asked = wanted(form)
            ranked = sorted(self.program["cases"], key=lambda case: -fits(case, *asked))
            found = ranked[0] if fits(ranked[0], *asked) else None
        if found is None:
            raise UnsupportedError(
                f"{self.title} is written in R: needs R.",
                hint="The file holds what it computes for the shapes and arguments that it was saved with, "
                "not for others.",
            )
        if "graph" not in found:
            return self._run(found)
        return self._models[id(found)]([keras.ops.convert_to_tensor(tensor) for tensor in tensors])

    def prepare(self) -> None:
        """Make the graphs: not when they are first called, where a backend that traces keeps their constants.

        The file must have been audited before.
        """
        for case in self.program["cases"]:
            if "graph" in case:
                self._models[id(case)] = read_model(case["graph"])

    def _run(self, case: dict) -> Any:
        results: list = []

        def filled(value: Any) -> Any:
            if isinstance(value, list):
                return [filled(item) for item in value]
            if not isinstance(value, dict):
                return value
            if "result" in value:
                step, item = value["result"]
                return results[step] if item is None else results[step][item]
            if "array" in value:
                return np.asarray(value["array"], value["dtype"])
            return {key: filled(item) for key, item in value["dict"].items()}

        for step in case["steps"]:
            args, kwargs = filled(step["args"])
            results.append(_function(step)(*args, **kwargs))
            if np.prod(np.shape(results[-1]) or (1,)) > _MOST:
                raise FileError(
                    f"{self.title}: a step makes over {_MOST:,} numbers.", argument="filepath"
                )
        return filled(case["result"])


def _function(step: dict) -> Callable:
    if "object" in step:
        return keras.saving.deserialize_keras_object(copy.deepcopy(step["object"]))
    value: Any = keras
    for part in step["symbol"].split(".")[1:]:
        value = getattr(value, part)
    return value


def stand_in_function(item: dict) -> Callable:
    """The function that stands in for one of a manifest's custom objects; `_program.prepare()` readies it."""
    program = Program(item["programs"][0], f"function '{item['name']}'")

    def function(*args: Any, **kwargs: Any) -> Any:
        return program(*args, **kwargs)

    function.__name__ = function.__qualname__ = item["name"]
    function.__module__ = "builtins"
    function._program = program
    about = {"origin": item.get("origin"), "source": item.get("source")}
    # the name may get a number, if another file of this session has a function of that name
    r_functions.describe(function, canonical([program.program, about]), lambda: about)
    return function


class _StandIn:
    """Mixed into a class of Keras."""

    def __init__(self, program: dict, config: dict):
        if self._role == "loss":
            super().__init__(
                **{k: config[k] for k in ("name", "reduction", "dtype") if k in config}
            )
        else:
            super().__init__()
        self._program = Program(program, f"{self._role} '{type(self).__name__}'")
        self._program.prepare()
        self._config = unshared(config)

    def get_config(self) -> dict:
        return copy.deepcopy(self._config)

    @classmethod
    def from_config(cls, config: dict) -> Any:
        found = cls._programs.get(canonical(config))
        if found is None:
            raise other_arguments(cls._role, cls.__name__)
        return cls(found, config)


def _loss(self: Any, y_true: Any, y_pred: Any) -> Any:
    if len(y_pred.shape) == len(y_true.shape) + 1 and y_pred.shape[-1] == 1:
        y_true = keras.ops.expand_dims(y_true, -1)
    return self._program(y_true, y_pred)


def _initializer(self: Any, shape: Any, dtype: Any = None, **_: Any) -> Any:
    takes = wanted(self._program.program["cases"][0])[1]
    dtype = keras.backend.standardize_dtype(dtype)
    given = {"dtype": dtype} if any(isinstance(value, str) for value in takes) else {}
    return keras.ops.convert_to_tensor(self._program(tuple(shape), **given), dtype=dtype)


def stand_in_class(item: dict) -> type:
    """The class that stands in for one of a manifest's custom objects."""
    role = item["programs"][0]["role"]
    calls = {"loss": ("call", _loss), "initializer": ("__call__", _initializer)}
    name, method = calls.get(
        role, ("__call__", lambda self, *args, **kwargs: self._program(*args, **kwargs))
    )
    space = {
        "__module__": "kerasbridge.R",
        "_role": role,
        "_programs": {canonical(p["config"]): p for p in item["programs"]},
        "_r_origin": item.get("origin"),
        "_r_source": item.get("source"),
        name: method,
    }
    return types.new_class(
        item["name"], (_StandIn, _BASES[role]), {}, lambda names: names.update(space)
    )


def check_program(program: dict, item: dict, source: str) -> None:
    """Look at the form of a program: what its graphs name is audited with the configuration of the model.

    Raises:
        FileError: it is not what `function_programs.py` writes.
    """
    role, cases = program.get("role"), program.get("cases")
    good = isinstance(cases, list) and bool(cases) and all(isinstance(case, dict) for case in cases)
    good = good and (
        isinstance(program.get("config"), dict) if role in ROLES else role == "function"
    )
    for case in cases if good else ():
        inputs = case.get("inputs")
        good = good and isinstance(case.get("args"), list) and isinstance(case.get("kwargs"), dict)
        good = good and isinstance(inputs, list) and all(
            isinstance(one, list) and len(one) == 2 and isinstance(one[0], list) for one in inputs
        )  # fmt: skip
        steps = case.get("steps")
        good = good and (
            isinstance(case.get("graph"), dict)
            or isinstance(steps, list)
            and all(_good_step(step, number) for number, step in enumerate(steps))
            and _good_value(case.get("result"), len(steps))
        )
    if not good:
        raise damaged(source, "kerasbridge.json", f"the program of '{item.get('name')}'")


def _good_step(step: Any, number: int) -> bool:
    if (
        not isinstance(step, dict)
        or not isinstance(step.get("args"), list)
        or len(step["args"]) != 2
    ):
        return False
    named = isinstance(step.get("symbol"), str) and bool(_SYMBOL.match(step["symbol"]))
    return (named or isinstance(step.get("object"), dict)) and _good_value(step["args"], number)


def _good_value(value: Any, steps: int) -> bool:
    """Plain values, arrays, and results of earlier steps; no list of sizes that make a giant."""
    if isinstance(value, list):
        sizes = [v for v in value if isinstance(v, int) and not isinstance(v, bool)]
        small = abs(float(np.prod(np.asarray([v or 1 for v in sizes], "float64")))) <= _MOST
        return small and all(_good_value(item, steps) for item in value)
    if not isinstance(value, dict):
        return value is None or isinstance(value, (bool, int, float, str))
    if set(value) == {"result"}:
        place = value["result"]
        return (
            isinstance(place, list)
            and len(place) == 2
            and all(isinstance(n, int) for n in place if n is not None)
            and place[0] is not None
            and 0 <= place[0] < steps
        )
    if set(value) == {"array", "dtype"}:
        return isinstance(value["array"], (list, int, float, bool)) and isinstance(
            value["dtype"], str
        )
    inner = value.get("dict")
    return (
        set(value) == {"dict"}
        and isinstance(inner, dict)
        and all(_good_value(v, steps) for v in inner.values())
    )
