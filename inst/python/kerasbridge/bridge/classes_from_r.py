"""Python classes whose methods are R functions.

R describes a class by plain values: its name, base, methods (each a callable
`f(self, args, kwargs)` and the parameters of the R function), properties and fields. What is built
here is an ordinary subclass of a Keras class: Keras inspects, traces, saves and loads it like any other.
"""

from __future__ import annotations

import functools
import inspect
import keyword
import types
from typing import Any, Callable, Optional

import numpy as np

from kerasbridge.bridge.from_r import RCodeError, happened_in, happened_in_hook
from kerasbridge.bridge.hooks import hook
from kerasbridge.errors import ArgumentError, UnsupportedError
from kerasbridge.runtime import recording, seen
from kerasbridge.runtime.variables import variable_class

# kind -> the public class that a class of this kind descends from, the more special first
_KINDS = {
    "model": "keras.Model",
    "layer": "keras.Layer",
    "loss": "keras.Loss",
    "metric": "keras.Metric",
    "callback": "keras.callbacks.Callback",
    "constraint": "keras.constraints.Constraint",
    "regularizer": "keras.Regularizer",
    "initializer": "keras.Initializer",
    "schedule": "keras.optimizers.schedules.LearningRateSchedule",
    "optimizer": "keras.Optimizer",
}

# kinds whose base has a constructor without arguments: it runs before R's `initialize`
_EARLY = {"callback", "constraint", "regularizer", "initializer", "schedule", "plain"}


def class_kind(base: Any) -> str:
    """What kind of Keras class `base` is: a key of the table above, or "plain"."""
    from kerasbridge.bridge.calls import resolve

    if not isinstance(base, type):
        raise ArgumentError("The class to inherit from is not a class.", argument="inherit")
    for kind, path in _KINDS.items():
        if issubclass(base, resolve(path)):
            return kind
    return "plain"


def whole_shape(shape: Any) -> tuple:
    """A shape as R sends it (one number, doubles, an array) as a tuple of ints; None stays None."""
    if shape is None:
        return ()
    axes = [shape] if np.isscalar(shape) else list(shape)
    out = []
    for axis in axes:
        if axis is not None and (isinstance(axis, str) or float(axis) != int(axis) or axis < 0):
            raise ArgumentError(f"`shape` must hold whole numbers, not {axis!r}.", argument="shape")
        out.append(None if axis is None else int(axis))
    return tuple(out)


class FromR:
    """Base of every class made here: construction and configuration."""

    _r_early = False

    def __init__(self, *args: Any, **kwargs: Any):
        if self.__dict__.get("_r_ready"):
            return
        pending = self.__dict__.get("_r_pending", {})
        object.__setattr__(self, "_r_ready", True)
        super().__init__(*args, **{**pending, **kwargs})

    def get_config(self) -> dict:
        """The arguments of the constructor beside those of the Keras class."""
        try:
            config = dict(super().get_config())
        except (NotImplementedError, AttributeError):
            config = {}
        held = self.__dict__.get("_r_arguments")
        for name, value in (held.given if held else {}).items():
            config[name] = _plain(value, name, type(self).__name__)
        return config

    @classmethod
    def from_config(cls, config: dict) -> Any:
        import keras

        def made(value: Any) -> Any:
            if isinstance(value, dict) and {"class_name", "config"} <= set(value):
                return keras.saving.deserialize_keras_object(value)
            return value

        return cls(**{name: made(value) for name, value in config.items()})


def _plain(value: Any, name: str, owner: str) -> Any:
    import keras

    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item, name, owner) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item, name, owner) for key, item in value.items()}
    if isinstance(value, types.FunctionType) and not value.__module__.startswith("keras"):
        if keras.saving.get_registered_object(keras.saving.get_registered_name(value)) is None:
            raise NotImplementedError(
                f"The argument `{name}` of '{owner}' is a function, which can't be written as plain values."
            )
    return keras.saving.serialize_keras_object(value)


class _Weighted(FromR):
    """Layers, models, metrics: weights by R's shapes."""

    def _shaped(self, args: tuple, kwargs: dict) -> dict:
        given = list(args)
        if given and isinstance(given[0], str):  # the older order: name first
            kwargs["name"] = given.pop(0)
        for name in ("shape", "initializer", "dtype"):
            if given:
                kwargs[name] = given.pop(0)
        if given:
            raise ArgumentError("Give the further arguments of a weight by name.")
        if "shape" in kwargs:
            kwargs["shape"] = whole_shape(kwargs["shape"])
        return kwargs

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        made = super().add_weight(**self._shaped(args, kwargs))
        made._r_trainable = bool(made.trainable)  # as made, whatever is frozen later
        return made

    def add_variable(self, *args: Any, **kwargs: Any) -> Any:
        return super().add_variable(**self._shaped(args, kwargs))


class _Layered(_Weighted):
    """Layers and models: what they compute can be written down with a saved model."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with recording.paused():  # a layer in a layer that is recorded is one operation
            return super().__call__(*args, **kwargs)

    def add_loss(self, loss: Any) -> None:
        recording.refuse("it adds to the loss (add_loss)")
        super().add_loss(loss)


class _Calling(FromR):
    """Callbacks: R writes `self$model$stop_training <- TRUE`, which also sets `self.model` to itself."""

    @property
    def model(self) -> Any:
        return super().model

    @model.setter
    def model(self, value: Any) -> None:
        if value is not self.model:
            self.set_model(value)


_MIXINS = {"layer": _Layered, "model": _Layered, "metric": _Weighted, "callback": _Calling}


def _signature(parameters: list, takes_all: bool = False) -> inspect.Signature:
    """Signature from the R formals: dicts with name, kind ("named" or "dots"), optional, default.

    `takes_all`: what is given by position beyond the names goes into the dots, too.
    """
    kinds = inspect.Parameter
    out = [kinds("self", kinds.POSITIONAL_OR_KEYWORD)]
    optional = False
    after_dots = False
    for p in parameters:
        if p["kind"] == "dots":
            after_dots = True
            if takes_all:
                out.append(kinds("further", kinds.VAR_POSITIONAL))
            continue
        name = p["name"].replace(".", "_")
        if not name.isidentifier() or keyword.iskeyword(name) or name == "self":
            continue
        optional = optional or p["optional"]
        default = p.get("default") if optional else kinds.empty
        out.append(
            kinds(
                name,
                kinds.KEYWORD_ONLY if after_dots else kinds.POSITIONAL_OR_KEYWORD,
                default=default,
            )
        )
    if after_dots:
        out.append(kinds("kwargs", kinds.VAR_KEYWORD))
    return inspect.Signature(out)


# methods that are written down with a saved model, see `saving/function_programs.py`
_WRITTEN_DOWN = {("loss", "call")} | {
    (kind, "__call__") for kind in ("constraint", "regularizer", "initializer", "schedule")
}


_IN_R = {"__init__": "initialize", "__call__": "call"}


def _place(instance: Any, name: str, owner: str, kind: str) -> str:
    own = instance.__dict__.get("_name") or instance.__dict__.get("name")
    title = f"'{own}' ({owner})" if isinstance(own, str) and own != owner else f"'{owner}'"
    return f"the {kind if kind != 'plain' else 'class'} {title}, `{_IN_R.get(name, name)}()`"


def _method(
    name: str, function: Callable, signature: inspect.Signature, owner: str, kind: str
) -> Callable:
    """A method with these parameters that hands what it was given to `function`.

    Keras reads the parameters of methods, also through wrappers that lose a `__signature__`, so the
    function must really have them: it is compiled from a line of source, as `collections.namedtuple`
    does. A parameter left at its default is not handed on: the R function has its own.
    """
    parameters = list(signature.parameters.values())[1:]
    named = [p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    defaults = {f"_default_{p.name}": p.default for p in named if p.default is not p.empty}
    written = ["self"]
    starred = False
    for p in parameters:
        if p.kind is p.VAR_KEYWORD:
            written.append("**kwargs")
            continue
        if p.kind is p.VAR_POSITIONAL:
            written.append(f"*{p.name}")
            starred = True
            continue
        if p.kind is p.KEYWORD_ONLY and not starred:
            written.append("*")
            starred = True
        written.append(p.name + (f"=_default_{p.name}" if p.default is not p.empty else ""))

    takes_more = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    remembers = (kind, name) in _WRITTEN_DOWN

    def hand_on(instance: Any, given: dict) -> Any:
        further = (
            given.pop("kwargs", {}) if any(p.kind is p.VAR_KEYWORD for p in parameters) else {}
        )
        kept = {
            p.name: given[p.name]
            for p in named
            if p.default is p.empty or given[p.name] is not p.default
        }
        positional = []
        for p in named:
            if p.default is not p.empty or p.kind is p.KEYWORD_ONLY:
                break
            positional.append(kept.pop(p.name))
        positional.extend(given.get("further", ()) if takes_more else ())
        if remembers:
            if "_r_forms" not in instance.__dict__:
                object.__setattr__(instance, "_r_forms", {})
            seen.remember(instance._r_forms, tuple(positional), {**kept, **further})
        try:
            return function(instance, tuple(positional), {**kept, **further})
        except RCodeError as error:
            place = _place(instance, name, owner, kind)
            if kind == "callback" and name.startswith("on_"):
                happened_in_hook(error, place, name, *positional[:1] or (None,))
            else:
                happened_in(error, place)
            raise

    collect = ", ".join(f"{p.name!r}: {p.name}" for p in parameters)
    source = f"def method({', '.join(written)}):\n    return hand_on(self, {{{collect}}})\n"
    space: dict[str, Any] = {"hand_on": hand_on, **defaults}
    exec(source, space)  # noqa: S102 - the names are checked identifiers
    method = space["method"]
    method.__name__ = name
    method.__qualname__ = f"{owner}.{name}"
    return method


def _label(method: Any, name: str, signature: inspect.Signature, owner: str) -> None:
    method.__name__ = name
    method.__qualname__ = f"{owner}.{name}"
    method.__signature__ = signature


def _initializer(
    function: Callable, signature: inspect.Signature, owner: str, kind: str
) -> Callable:
    """`__init__`: what R's `initialize` doesn't take goes to the Keras class, and all is remembered."""
    parameters = list(signature.parameters.values())[1:]
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
    names = {p.name for p in parameters}

    def __init__(self, *args, **kwargs):
        own = {k: v for k, v in kwargs.items() if takes_all or k in names}
        pending = dict(self.__dict__.get("_r_pending", {}))
        pending.update({k: v for k, v in kwargs.items() if k not in own})
        object.__setattr__(self, "_r_pending", pending)
        if "_r_arguments" not in self.__dict__:
            bound = signature.bind_partial(self, *args, **own).arguments
            bound.pop("self", None)
            bound.update(bound.pop("kwargs", {}))
            # not as a dict: Keras would look for layers in it when it saves
            held = types.SimpleNamespace(given=dict(bound))
            object.__setattr__(self, "_r_arguments", held)
        if self._r_early and not self.__dict__.get("_r_ready"):
            FromR.__init__(self)
        try:
            function(self, tuple(args), own)
        except RCodeError as error:
            happened_in(error, _place(self, "__init__", owner, kind))
            raise
        if not self.__dict__.get("_r_ready"):
            raise ArgumentError(
                f"`initialize()` of '{owner}' did not call `super$initialize()`.",
                hint="Call it first, with `...` if `initialize()` has it.",
            )

    _label(__init__, "__init__", signature, owner)
    return __init__


def class_from_r(
    name: str,
    base: type,
    methods: Optional[list] = None,
    properties: Optional[dict] = None,
    fields: Optional[dict] = None,
    package: str = "R",
    early: bool = False,
    source: Optional[str] = None,
    origin: str = "written in R",
) -> type:
    """Build and register a class.

    Args:
        name: class name.
        base: class to descend from, a Keras class or one made here.
        methods: dicts with `name`, `function` (called with self, positional and named arguments) and
            `parameters`; `numbers` (name of a variable -> number) where that is all that is assigned.
        properties: name -> function called with (self, (), {}) to get and (self, (value,), {}) to set.
        fields: name -> value, set on the class.
        package: word before the name in saved files, `package>name`.
        early: run the Keras constructor before R's `initialize` (classes in the older style).
        source: R code that makes the class anew; it is kept in saved files.
        origin: where that code is from, in words; kept there too.

    Raises:
        ArgumentError: `name` can't be the name of a class.
    """
    import keras

    if not isinstance(name, str) or not name.isidentifier():
        raise ArgumentError(f"'{name}' can't be the name of a class.", argument="classname")
    kind = class_kind(base)
    namespace: dict[str, Any] = dict(fields or {})
    for spec in methods or []:
        is_hook = kind == "callback" and spec["name"].startswith("on_")
        signature = _signature(list(spec["parameters"]), takes_all=is_hook)
        if spec["name"] == "__init__":
            namespace["__init__"] = _initializer(spec["function"], signature, name, kind)
        elif spec["name"] == "from_config":
            made = _method("from_config", spec["function"], signature, name, kind)
            namespace["from_config"] = classmethod(made)
        else:
            made = _method(spec["name"], spec["function"], signature, name, kind)
            if kind == "initializer" and spec["name"] == "__call__":
                made = _typed(made, signature)
            if (kind, spec["name"]) in {("loss", "call"), ("metric", "update_state")}:
                made = _same_rank(made)
            if spec.get("numbers"):
                made = _assigning(made, dict(spec["numbers"]))
            if is_hook:
                made = hook(made, spec["name"], _takes(signature))
            namespace[spec["name"]] = made
    for label, function in (properties or {}).items():
        namespace[label] = _property(label, function)
    bases = (base,) if issubclass(base, FromR) else (_MIXINS.get(kind, FromR), base)
    plain_base = base is object or f"{base.__name__}" in {p.split(".")[-1] for p in _KINDS.values()}
    if early or kind in _EARLY and (plain_base or getattr(base, "_r_early", False)):
        namespace["_r_early"] = True
    namespace["__module__"] = f"kerasbridge.{package}" if package == "R" else package
    namespace["_r_package"] = package
    namespace["_r_origin"], namespace["_r_source"] = origin, source
    made_class = types.new_class(name, bases, {}, lambda space: space.update(namespace))
    if kind != "plain":
        keras.saving.register_keras_serializable(package=package, name=name)(made_class)
    return made_class


def _assigning(made: Callable, numbers: dict) -> Callable:
    """A method that assigns numbers to variables without R; R has its way where they are none."""

    @functools.wraps(made)
    def method(self):
        variables = [getattr(self, name, None) for name in numbers]
        if not all(isinstance(v, variable_class()) for v in variables):
            return made(self)
        for variable, number in zip(variables, numbers.values()):
            variable.assign(number)
        return None

    return method


def _typed(made: Callable, signature: inspect.Signature) -> Callable:
    """An initializer whose result has the type that was asked for."""
    names = set(signature.parameters)
    takes_all = "kwargs" in names

    def __call__(self, shape, dtype=None, **kwargs):
        import keras

        further = {"dtype": dtype, **kwargs}
        further = {k: v for k, v in further.items() if takes_all or k in names}
        value = made(self, shape, **further)
        out = keras.ops.convert_to_tensor(value, dtype=dtype)
        if tuple(out.shape) != tuple(shape):
            raise ArgumentError(
                f"The initializer '{type(self).__name__}' returned the shape {tuple(out.shape)} "
                f"instead of {tuple(shape)}.",
                argument="initializer",
            )
        return out

    __call__.__signature__ = signature
    __call__._r_untyped = made
    return __call__


def _takes(signature: inspect.Signature) -> Optional[int]:
    """How many arguments beside self; None if it takes what comes."""
    parameters = list(signature.parameters.values())[1:]
    open_ended = any(p.kind is not p.POSITIONAL_OR_KEYWORD for p in parameters)
    return None if open_ended else len(parameters)


def _same_rank(made: Callable) -> Callable:
    """Targets (rows,) beside predictions (rows, 1) get the second axis, as in the losses of Keras.

    Without it a difference of the two would spread to (rows, rows) and be wrong without a word.
    """

    @functools.wraps(made)
    def method(self, y_true, y_pred, *args, **kwargs):
        import keras

        true_shape, pred_shape = getattr(y_true, "shape", None), getattr(y_pred, "shape", None)
        if true_shape is not None and pred_shape is not None:
            if len(pred_shape) == len(true_shape) + 1 and pred_shape[-1] == 1:
                y_true = keras.ops.expand_dims(y_true, -1)
        return made(self, y_true, y_pred, *args, **kwargs)

    return method


def _property(label: str, function: Callable) -> property:
    def get(self):
        return function(self, (), {})

    def put(self, value):
        function(self, (value,), {})

    return property(get, put, doc=label)


def super_attribute(owner: type, instance: Any, name: str) -> Any:
    """What `super(owner, instance).name` is: a bound method or a value."""
    try:
        return getattr(super(owner, instance), name)
    except AttributeError:
        raise UnsupportedError(
            f"No class above '{owner.__name__}' has a method `{name}()`.", argument="super"
        ) from None


def parameters_of(target: Any) -> list:
    """Parameters of a class's constructor: dicts with name, kind and optional."""
    try:
        found = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return [{"name": "...", "kind": "dots", "optional": True}]
    out = []
    for p in found:
        if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
            out.append({"name": "...", "kind": "dots", "optional": True})
        else:
            out.append({"name": p.name, "kind": "named", "optional": p.default is not p.empty})
    return out


def plain_class() -> type:
    """The root of classes that descend from nothing of Keras."""
    return object
