"""The four ways in: `start`, `call`, `method` and `do`."""

from __future__ import annotations

import inspect
import os
import platform
import sys
from typing import Any, Optional

from kerasbridge import layers
from kerasbridge.bridge import holding, interrupts, verbs
from kerasbridge.bridge.classes import class_names
from kerasbridge.bridge.convert import without_tuple_names
from kerasbridge.bridge.outcome import crossing, outcome
from kerasbridge.environment.settings import read_settings
from kerasbridge.errors import KerasBridgeError, UnsupportedError
from kerasbridge.runtime import attached, recording, seeds, threads
from kerasbridge.runtime import starting as runtime
from kerasbridge.runtime.variables import variable_class

_OWN = "kerasbridge.layers."
# classes of Keras that write files, and those derived from them that write them whole or not at all
_DURABLE = ("BackupAndRestore", "CSVLogger", "ModelCheckpoint")
# public names whose place is taken by a function here that looks first, or writes whole files
_SAFER = {
    "keras.export.ExportArchive": "kerasbridge.saving.writers:export_archive",
    "keras.utils.get_file": "kerasbridge.saving.downloads:get_file",
    "keras.utils.plot_model": "kerasbridge.saving.writers:plot_model",
    "keras.utils.save_img": "kerasbridge.saving.writers:save_img",
}


@outcome
def start(
    backend: Optional[str] = None,
    r_version: Optional[str] = None,
    output: Any = None,
    by: str = "",
) -> dict:
    """Start Keras; returns versions and the class names that R hangs its methods on.

    `output`: an `Output` that a person looks at, told when the start takes long; or None. `by`: the R
    function that starts it.
    """
    likely = None
    if backend is None and "keras" not in sys.modules:
        likely = _look_at_settings()
    keras = runtime.start(backend, None if output is None else output.write, by=by, likely=likely)
    if r_version:
        attached.session["r"] = r_version
    holding.install()
    interrupts.answer(crossing)
    return {
        "keras": keras.__version__,
        "backend": keras.config.backend(),
        "backend_version": _backend_version(keras.config.backend()),
        "python": platform.python_version(),
        "classes": class_names(keras),
    }


def _look_at_settings() -> str:
    """The backend of Keras' settings; one that there is not is refused, naming what asked for it (keras.json, a variable)."""
    found = read_settings()
    try:
        runtime.check_backend(found.backend)
    except KerasBridgeError as error:
        hint = f"{found.source} asks for it. {error.hint}"
        raise type(error)(error.message, hint=hint, argument="backend") from None
    return found.backend


def _backend_version(backend: str) -> str:
    module = sys.modules.get(backend)
    return str(getattr(module, "__version__", ""))


def resolve(symbol: str) -> Any:
    """The public Keras object called `symbol`, such as "keras.layers.Dense".

    "kerasbridge.layers.Name" is a layer or metric that ships with this package.

    Raises:
        UnsupportedError: the installed Keras has no such name.
    """
    keras = runtime.start()
    if symbol.startswith(_OWN):
        return getattr(layers, symbol[len(_OWN) :])
    if symbol in _SAFER:
        return verbs.load(_SAFER[symbol])
    value: Any = keras
    for part in symbol.split(".")[1:]:
        try:
            value = getattr(value, part)
        except AttributeError:
            raise UnsupportedError(
                f"Keras {keras.__version__}, which is installed, has no `{symbol}`.",
                hint=_since(symbol) or "A newer Keras may have it.",
                details={"symbol": symbol, "installed": keras.__version__},
            ) from None
    return value


def _since(symbol: str, argument: str = "") -> Optional[str]:
    from kerasbridge.bridge import since

    version = since.version_of(symbol, argument)
    return f"It came with Keras {version}." if version else None


# today's name of an argument -> its name before: image operations until Keras 3.3, ConvNeXt models until
# 3.3, `initialize()` in 3.0, `regularizers.serialize()` in 3.0 (looked up 2026-11-25)
_BEFORE = {
    "images": "image",
    "inputs": "input",
    "name": "model_name",
    "process_id": "proceed_id",
    "regularizer": "initializer",
}


def _fit_arguments(function: Any, symbol: str, kwargs: dict) -> dict:
    """The arguments under the names that the installed version of `function` has for them.

    Raises:
        UnsupportedError: it has no such argument; the hint says which version brought it.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return kwargs
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    out = {}
    for name, value in kwargs.items():
        before = _BEFORE.get(name)
        if name not in parameters and before in parameters and before not in kwargs:
            out[before] = value
            continue
        if name not in parameters and (not takes_any or _is_newer(symbol, name)):
            import keras

            raise UnsupportedError(
                f"`{symbol}` of Keras {keras.__version__}, which is installed, has no argument `{name}`.",
                hint=_since(symbol, name) or f"It takes: {', '.join(parameters)}.",
                argument=name,
            )
        out[name] = value
    return out


def _is_newer(symbol: str, argument: str) -> bool:
    """Whether the argument is known to have come after the installed Keras."""
    import keras

    from kerasbridge.bridge import since

    version = since.version_of(symbol, argument)
    return bool(version) and _numbers(version) > _numbers(keras.__version__)


def _numbers(version: str) -> tuple:
    return tuple(int(part) for part in version.split(".")[:2])


# functions that take the tensors of a model being described from this version on (tried 2026-11-25)
_SYMBOLIC_SINCE = {"keras.ops.stop_gradient": "3.6"}


def _check_symbolic(symbol: str, values: list) -> None:
    """
    Raises:
        UnsupportedError: the installed Keras takes only tensors with values; the hint says which one does not.
    """
    import keras

    version = _SYMBOLIC_SINCE.get(symbol)
    if version is None or _numbers(keras.__version__) >= _numbers(version):
        return
    if any(isinstance(value, keras.KerasTensor) for value in values):
        raise UnsupportedError(
            f"`{symbol}` of Keras {keras.__version__}, which is installed, takes no symbolic tensors.",
            hint=f"Keras {version} and later do; in a layer (`layer_lambda()`, `Layer()`) it works here too.",
        )


@outcome
def call(symbol: str, args: Optional[list] = None, kwargs: Optional[dict] = None) -> Any:
    """Call the public Keras name `symbol`."""
    function = resolve(symbol)
    if symbol.startswith("keras.callbacks.") and symbol.split(".")[-1] in _DURABLE:
        from kerasbridge import training

        function = getattr(training, symbol.split(".")[-1])
    kwargs = _fit_arguments(function, symbol, dict(kwargs or {}))
    if symbol in _SYMBOLIC_SINCE:
        _check_symbolic(symbol, [*(args or ()), *kwargs.values()])
    if symbol.startswith("keras.random.") and symbol.split(".")[-1].islower():
        if kwargs.get("seed") is None and seeds.of_draws() is not None:
            kwargs["seed"] = seeds.of_draws()
    if symbol.startswith("keras.applications."):
        _look_at_weights(kwargs)
    if symbol.startswith("keras.distribution.") and runtime.backend_name() == "torch":
        raise UnsupportedError(
            f"`{symbol}` is for TensorFlow and JAX; the backend is torch.",
            hint="Choose another with use_backend() in a new session.",
        )
    if symbol.startswith("keras.ops.") and runtime.backend_name() != "tensorflow":
        from kerasbridge.bridge import backend_ops

        function = backend_ops.replacement(symbol, runtime.backend_name()) or function
    recorded = recording.current()
    if recorded is None:
        return without_tuple_names(function(*(args or ()), **kwargs))
    args, kwargs = recorded.arguments(symbol, [list(args or ()), kwargs])
    return without_tuple_names(recorded.result(function(*args, **kwargs)))


def _look_at_weights(arguments: dict) -> None:
    """Look at the file of weights that an application is to take, before Keras opens it."""
    path = arguments.get("weights")
    named = isinstance(path, str) and path != "imagenet"
    if named and os.path.isfile(os.path.expanduser(path)):
        from kerasbridge.saving.door import check_file

        check_file(path, "weights")


def _settle_for(values: Any) -> None:
    """Let a training step that runs on the other thread end before Keras' objects are touched."""
    if threads.busy():
        import keras

        own = (keras.Layer, keras.Optimizer, variable_class())
        if any(isinstance(value, own) for value in values):
            threads.settle()


def _gradients_as_tensors(function: Any, args: list) -> list:
    """Arguments of an optimizer's `apply()`: on PyTorch Keras takes no numbers for gradients, elsewhere it does."""
    if runtime.backend_name() == "torch" and args and getattr(function, "__name__", "") == "apply":
        import keras

        if isinstance(getattr(function, "__self__", None), keras.Optimizer):
            made = [g if g is None else keras.ops.convert_to_tensor(g) for g in args[0]]
            return [made, *args[1:]]
    return args


@outcome
def method(
    target: Any, name: str, args: Optional[list] = None, kwargs: Optional[dict] = None
) -> Any:
    """Call a method of an object, or the object itself when `name` is "__call__"."""
    _settle_for([target])
    function = target if name == "__call__" else getattr(target, name)
    args = _gradients_as_tensors(function, list(args or ()))
    recorded = recording.current()
    if not isinstance(recorded, recording.Operations):
        return function(*args, **dict(kwargs or {}))
    recorded.called(target, args, dict(kwargs or {}))
    return recorded.result(function(*(args or ()), **dict(kwargs or {})))


@outcome
def do(verb: str, kwargs: Optional[dict] = None) -> Any:
    """Run a verb of the engine (see `verbs.py`)."""
    arguments = dict(kwargs or {})
    _settle_for(arguments.values())
    if verb == "densenet":
        _look_at_weights(arguments)
    return verbs.lookup(verb)(**arguments)


def has(symbol: str) -> bool:
    """Whether the installed Keras has the public name `symbol`."""
    try:
        resolve(symbol)
    except UnsupportedError:
        return False
    return True


def symbol(path: str) -> Any:
    """The public Keras name itself, not called (a function given as an argument)."""
    return resolve(path)


def whole_number(digits: str) -> int:
    """An int beyond R's integer range, sent as text."""
    return int(digits)
