"""Variables are made before a step is compiled, or made again: whatever ends the first step, the next one can run.

TensorFlow gives variables that a step makes while it is traced their values after the trace, and Keras marks an
optimizer as built before it has made all of its variables. Ctrl-C or an error in between would leave a model that
no later training could use. So the model and its optimizer are built here, a press of Ctrl-C waits until that is
done, and an optimizer that was built in a step which never ran is replaced.
"""

from __future__ import annotations

import contextlib
import weakref
from typing import Any, Iterator

import keras
import numpy as np

from kerasbridge.runtime import presses
from kerasbridge.training.compiling import overrides

_whole: weakref.WeakSet = weakref.WeakSet()  # optimizers that were built here


def _builds_here(model: Any) -> bool:
    """Whether what is built now is the same as what Keras would build in the first step."""
    if keras.config.backend() != "tensorflow":
        return False
    import tensorflow as tf

    usual = tf.distribute.get_strategy()
    return getattr(model, "distribute_strategy", usual) is usual and not tf.inside_function()


def build_model(model: Any, x: Any) -> None:
    """Build a model that isn't built yet for batches of such arrays or tensors, as the first step would.

    What keeps one of several layers in a row from being built is raised; of others that step says it.
    """
    if getattr(model, "built", True) or not _builds_here(model):
        return
    symbols = _symbols(x)
    if symbols is None:
        return
    single = isinstance(symbols, keras.KerasTensor)
    if isinstance(model, keras.Sequential):
        # it keeps the shape that it tried; one with memory needs that of the batch
        if single and not any(getattr(layer, "stateful", False) for layer in model.layers):
            with presses.held():
                model.build(symbols.shape)
        return
    with presses.held(), contextlib.suppress(Exception):
        if not _has_own_build(model):
            model.compute_output_spec(symbols)
        else:  # as Keras calls it: the shapes, nested as the inputs are
            model.build(_shapes(symbols))


def _has_own_build(model: Any) -> bool:
    """Whether a class of the model outside Keras defines `build` (Keras wraps that of every layer)."""
    classes = [cls for cls in type(model).__mro__ if "build" in vars(cls)]
    return classes[0].__module__.split(".")[0] != "keras"


def _symbols(x: Any) -> Any:
    """A nest of arrays as symbolic tensors of any number of rows; None where a part is something else."""
    if isinstance(x, dict):
        parts = {name: _symbols(part) for name, part in x.items()}
        return None if any(part is None for part in parts.values()) else parts
    if isinstance(x, (list, tuple)):
        several = [_symbols(part) for part in x]
        return None if any(part is None for part in several) else type(x)(several)
    plain = isinstance(x, np.ndarray) or keras.ops.is_tensor(x)
    shape = tuple(x.shape) if plain and getattr(x, "shape", None) is not None else ()
    if len(shape) < 2:
        return None
    return keras.KerasTensor((None, *shape[1:]), keras.backend.standardize_dtype(x.dtype))


def _shapes(symbols: Any) -> Any:
    if isinstance(symbols, dict):
        return {name: _shapes(part) for name, part in symbols.items()}
    if isinstance(symbols, (list, tuple)):
        return type(symbols)(_shapes(part) for part in symbols)
    return symbols.shape


def build_optimizer(model: Any) -> None:
    """Build the optimizer of a model that is built, unless its own step may use it for other variables."""
    optimizer = getattr(model, "optimizer", None)
    if not isinstance(optimizer, keras.optimizers.Optimizer) or optimizer.built or not model.built:
        return
    if _builds_here(model) and not overrides(model, "train_step"):
        with presses.held():
            try:
                optimizer.build(model.trainable_variables)
            except BaseException:
                _renew_optimizer(model)
                raise
            _whole.add(optimizer)


@contextlib.contextmanager
def first_step_whole(model: Any, kind: str) -> Iterator[None]:
    """However the block ends, the next step of this kind ("train", "test" or "predict") can run.

    Where the first one was not finished, what was compiled for it is dropped, and optimizers that were built in
    it are replaced by new ones of the same settings, learning rate and count of steps.
    """
    attribute = f"{kind}_function"
    new = getattr(model, attribute, None) is None
    optimizers = _optimizers(model)
    building = {name: one for name, one in optimizers.items() if not one.built}
    if not new and not building:
        yield
        return
    steps = _steps(optimizers)
    sizes = {name: len(one.variables) for name, one in building.items()}
    try:
        yield
    except BaseException:
        if _steps(optimizers) == steps:
            with presses.held():
                if new:
                    setattr(model, attribute, None)
                for name, one in building.items():
                    begun = one.built or len(one.variables) != sizes[name]
                    if begun and one not in _whole and getattr(model, name) is one:
                        _renew_optimizer(model, name)
        raise


def _optimizers(model: Any) -> dict:
    """The optimizers of a model by attribute; those with a step of their own may have several."""
    kind = keras.optimizers.Optimizer
    return {name: value for name, value in vars(model).items() if isinstance(value, kind)}


def _steps(optimizers: dict) -> list:
    return [int(keras.ops.convert_to_numpy(one.iterations)) for one in optimizers.values()]


def _renew_optimizer(model: Any, name: str = "optimizer") -> None:
    before = getattr(model, name)
    strategy = getattr(model, "distribute_strategy", None)
    with contextlib.suppress(Exception):  # of one that can't be made from its settings
        with strategy.scope() if strategy is not None else contextlib.nullcontext():
            after = type(before).from_config(before.get_config())
        copy_state(before, after)
        setattr(model, name, after)
        model.train_function = None


def copy_state(source: Any, target: Any, factor: float = 1.0) -> None:
    """State of one optimizer to another; `factor` turns the count of steps of one into the other's."""
    values = {_path(one): one for one in source.variables}
    for variable in target.variables:
        found = values.get(_path(variable))
        if found is None:  # what only one of them has: sums of gradients
            continue
        value = keras.ops.convert_to_numpy(found)
        variable.assign(int(value * factor) if _path(variable) == "iteration" else value)


def _path(variable: Any) -> str:
    return variable.path.split("/", 1)[-1]
