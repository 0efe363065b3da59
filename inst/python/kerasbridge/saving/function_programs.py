"""What functions and small objects written in R compute, written down as operations of Keras.

Activations, losses, metrics, regularizers, constraints, initializers, schedules and functions of lambda
layers, as plain functions of R or (all but metrics) as objects of a class. They are followed for the forms of calls that
they remember (`runtime/seen.py`). A program is a dict:

* `role`: "function", or what the class is in a model: "loss", "regularizer" ...;
* `config`: the configuration of the object, None for a function;
* `cases`: a form of a call each, with `graph`, the configuration of a functional model (see
  `programs.py`), or, where the call takes no tensor as in an initializer, `steps` and `result` as
  `runtime/recording.py` notes them.

`stand_in_functions.py` makes functions and objects of it that need no R.
"""

from __future__ import annotations

import contextlib
import types
from typing import Any, Iterator, Optional

import keras
import numpy as np

from kerasbridge.runtime import seen, structures
from kerasbridge.runtime.recording import (
    NotExpressible,
    Operations,
    Recording,
    paused,
    recording,
)
from kerasbridge.saving.followed import followed_model
from kerasbridge.saving.programs import (
    MAX_BYTES,
    canonical,
    check_same,
    graph_config,
    plain_json,
    reason_of,
    sample,
)

ROLES = ("loss", "regularizer", "constraint", "initializer", "schedule")
_HOLDERS = (keras.Loss, keras.Metric, keras.Optimizer, keras.Initializer, keras.Regularizer)
_SKIPPED = {"_self_tracked_trackables", "_tracker", "_inbound_nodes", "_outbound_nodes"}


class Found:
    """A function that is not Keras', or a small object of R, in a model.

    Attributes:
        value: it.
        forms: forms of calls that its place in the model tells.
        likely: others, for one that was never called: a loss of the model's outputs.
    """

    def __init__(self, value: Any):
        self.value = value
        self.forms: dict = {}
        self.likely: dict = {}

    @property
    def name(self) -> str:
        target = type(self.value) if _role(self.value) else self.value
        return keras.saving.get_registered_name(target).split(">")[-1]

    def configuration(self) -> str:
        """The same for objects with the same configuration."""
        if _role(self.value) is None:
            return ""
        return canonical(plain_json(keras.saving.serialize_keras_object(self.value)["config"]))


def small_parts(model: Any) -> list:
    """The functions of a model that are not Keras', and its small objects of R, as `Found`, the outer first."""
    found: dict = {}
    compiled: dict = {}
    settings = getattr(getattr(model, "_compile_config", None), "config", None)
    _walk([model], found)
    _walk([settings, getattr(model, "optimizer", None)], compiled)
    for variable in getattr(model, "variables", ()) if found else ():
        for held in (getattr(variable, "constraint", None), getattr(variable, "regularizer", None)):
            if id(held) in found:
                seen.remember(found[id(held)].forms, (variable,), {})
    if any(not _seen(one) for key, one in found.items() if key not in compiled):
        _run_once(model)
    for key, one in compiled.items():
        found.setdefault(key, one).likely = _forms_of_outputs(model, one.value)
    return list(found.values())


def _seen(found: Found) -> bool:
    if not _is_function(found.value) and not _role(found.value):
        return True
    return bool(
        found.forms or vars(found.value).get("_r_forms") or vars(found.value).get("_program")
    )


def _run_once(model: Any) -> None:
    """Run a model that was never called on zeros, so that its activations see their arguments.

    Keras makes a model of shapes alone where it can.
    """
    with contextlib.suppress(Exception), paused(), keras.StatelessScope():
        inputs = [keras.ops.zeros([a or 2 for a in t.shape], t.dtype) for t in model.inputs]
        model(inputs if len(inputs) > 1 else inputs[0], training=False)


def _walk(pending: list, found: dict) -> None:
    visited: set = set()
    while pending:
        value = pending.pop()
        if (
            value is None
            or isinstance(value, (str, int, float, np.ndarray))
            or id(value) in visited
        ):
            continue
        visited.add(id(value))
        if isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, (list, tuple)):
            pending.extend(value)
        elif _is_function(value) or _role(value) or _is_of_python(value):
            found[id(value)] = Found(value)
        elif isinstance(value, types.SimpleNamespace):  # arguments of an object of R
            pending.append(vars(value))
        elif isinstance(value, (keras.Layer, *_HOLDERS)):
            pending.extend(v for k, v in vars(value).items() if k not in _SKIPPED)


def _is_function(value: Any) -> bool:
    return not isinstance(value, type) and (
        hasattr(value, "_r_key") or hasattr(value, "_r_forms") and not _role(value)
    )


def _is_of_python(value: Any) -> bool:
    return isinstance(value, types.FunctionType) and not str(value.__module__).startswith("keras.")


def _role(value: Any) -> Optional[str]:
    """The role of an object whose class is written in R, or None."""
    if not hasattr(type(value), "_r_origin"):
        return None
    bases = {
        "loss": keras.Loss,
        "regularizer": keras.Regularizer,
        "constraint": keras.constraints.Constraint,
        "initializer": keras.Initializer,
        "schedule": keras.optimizers.schedules.LearningRateSchedule,
    }
    return next((role for role, base in bases.items() if isinstance(value, base)), None)


def _forms_of_outputs(model: Any, value: Any) -> dict:
    out: dict = {}
    if _role(value) == "schedule":
        seen.remember(out, (keras.KerasTensor((), dtype="int64"),), {})
        return out
    try:
        outputs = list(model.outputs)
    except (AttributeError, ValueError, TypeError):  # a model of a class, not called yet
        return out
    for tensor in outputs:
        seen.remember(out, (tensor, tensor), {})
    return out


# ---- one program --------------------------------------------------------------------------------------------


def program_of_function(found: list) -> dict:
    """The program of one function or object.

    Args:
        found: `Found`s of the same function, or of objects with the same configuration.

    Raises:
        NotExpressible: it can't be written down; the text says why.
    """
    value = found[0].value
    held = vars(value).get("_program")
    if held is not None:  # a stand-in that is saved again
        return held.program
    role = _role(value)
    forms: dict = {}
    for one in found:
        for source in (vars(one.value).get("_r_forms", {}), one.forms):
            forms.update({key: form for key, form in source.items() if len(forms) < 2 * seen.MOST})
    if not forms:
        for one in found:
            forms.update(one.likely)
    if not forms:
        raise NotExpressible("it has not been used yet; predict or train once before saving")
    config = (
        None if role is None else plain_json(keras.saving.serialize_keras_object(value)["config"])
    )
    asked = canonical([config, sorted(forms)])
    kept = vars(value).get("_r_written")
    if kept is None or kept[0] != asked:
        cases: list = []
        for form in forms.values():
            if not any(fits(case, *wanted(form)) == 2 for case in cases):
                cases.append(_case(value, role, form))
        kept = (asked, {"role": role or "function", "config": config, "cases": cases})
        object.__setattr__(value, "_r_written", kept)
    if len(canonical(kept[1])) > MAX_BYTES:
        raise NotExpressible("it holds large constants")
    return kept[1]


def wanted(form: dict) -> tuple:
    """(shapes and types of the tensors, the other values) of a form, for `fits`."""
    rest: list = []

    def walk(value: Any) -> None:
        if isinstance(value, dict) and set(value) == {"tensor"} or value is None:
            return
        if isinstance(value, dict):
            rest.extend([key, walk(item)] for key, item in value.items())
        else:
            rest.append(value)

    for value in [*form["args"], *(form["kwargs"][name] for name in sorted(form["kwargs"]))]:
        walk(value)
    return form["inputs"], rest


def fits(case: dict, inputs: list, rest: list) -> int:
    """How well a case fits a call: 2 (in every axis), 1 (as far as sizes are known), 0 (not at all)."""
    own, own_rest = wanted(case)
    if len(own) != len(inputs) or own_rest != rest:
        return 0
    if any(len(mine[0]) != len(other[0]) for mine, other in zip(own, inputs)):
        return 0
    pairs = [pair for mine, other in zip(own, inputs) for pair in zip(mine[0], other[0])]
    if any(a is not None and b is not None and a != b for a, b in pairs):
        return 0
    return 2 if all(a is None or a == b for a, b in pairs) else 1


def _case(value: Any, role: Optional[str], form: dict) -> dict:
    recorder: Any = None
    try:
        if form["inputs"]:
            recorder = Recording({}, [], closed_over=True)
            return _graph(value, role, form, recorder)
        recorder = Operations()
        return {**form, **_steps(value, role, form, recorder)}
    except NotExpressible:
        raise
    except Exception as err:  # noqa: B902 - R code, Keras and the backend each have their own
        raise NotExpressible(reason_of(recorder, err)) from err


def _call(value: Any, role: Optional[str], form: dict, tensors: list) -> Any:
    def filled(item: Any) -> Any:
        if isinstance(item, dict):
            if set(item) == {"tensor"}:
                return tensors[item["tensor"]]
            return {key: filled(one) for key, one in item.items()}
        return tuple(filled(one) for one in item) if isinstance(item, list) else item

    function = value.call if role == "loss" else value
    if role == "initializer" and hasattr(type(value).__call__, "_r_untyped"):
        function = types.MethodType(type(value).__call__._r_untyped, value)
    return function(*filled(form["args"]), **filled(form["kwargs"]))


def _graph(value: Any, role: Optional[str], form: dict, recorder: Recording) -> dict:
    exact = [list(shape) for shape, _ in form["inputs"]]
    together = len({tuple(shape[:1]) for shape in exact}) == 1  # one first axis: that of the cases
    first = [[None, *shape[1:]] if together and shape else shape for shape in exact]
    free = [[*[None] * (len(s) - 1), s[-1]] if len(s) > 1 else t for s, t in zip(exact, first)]
    for shapes in [free, first] if free != first else [free]:
        if shapes == exact:
            break
        try:
            return _followed(value, role, form, shapes, recorder)
        except Exception as err:  # noqa: B902 - as above; the sizes of the axes may matter
            if isinstance(err, NotExpressible) and recorder.reason:
                raise
    return _followed(value, role, form, exact, recorder)


def _followed(value: Any, role: Optional[str], form: dict, shapes: list, recorder: Any) -> dict:
    types_ = [dtype for _, dtype in form["inputs"]]
    inputs = [keras.Input(batch_shape=tuple(s), dtype=d) for s, d in zip(shapes, types_)]
    with recording(recorder):
        outputs = _call(value, role, form, inputs)
    if not any(isinstance(out, keras.KerasTensor) for out in structures.flatten(outputs)):
        raise NotExpressible("what it gives does not depend on its arguments")
    model = followed_model(inputs, outputs)
    if model.weights:
        raise NotExpressible("it uses layers with weights")
    random = np.random.default_rng(1)
    loose = 1e-2 if any("16" in dtype for dtype in types_) else 1e-5
    for size in (2, 3):
        samples = [sample(tensor, random, size) for tensor in inputs]
        with paused():
            expected = _call(value, role, form, samples)
            got = model(samples, training=False)
        check_same(expected, got, loose)
    inputs_ = [[list(shape), dtype] for shape, dtype in zip(shapes, types_)]
    return {**form, "inputs": inputs_, "graph": plain_json(graph_config(model))}


def _steps(value: Any, role: Optional[str], form: dict, recorder: Operations) -> dict:
    with recording(recorder):
        result = recorder.written(_call(value, role, form, []))
    return {"steps": recorder.steps, "result": result}


def cases_of(program: dict) -> Iterator[Any]:
    """What Keras will build of a program, for the audit."""
    for case in program["cases"]:
        yield case.get("graph")
        yield [step["object"] for step in case.get("steps", ()) if "object" in step]
