"""Names under which Keras finds classes and functions that aren't its own."""

from __future__ import annotations

from typing import Any, Optional

import keras
import numpy as np

from kerasbridge.errors import ArgumentError, UnsupportedError


def register_object(
    target: Any,
    name: Optional[str] = None,
    package: str = "Custom",
    source: Optional[str] = None,
    origin: Optional[str] = None,
) -> Any:
    """Register a class or function as `package>name`; returns it.

    Args:
        source: R code that makes it, kept in saved files.
        origin: where it comes from in words, kept there too.
    """
    if origin is not None:
        target._r_origin, target._r_source = origin, source
    return keras.saving.register_keras_serializable(package=package, name=name)(target)


def set_custom_objects(objects: Optional[dict] = None, clear: bool = True) -> dict:
    """Set names for the whole session; returns those that were set before.

    Registered classes (`package>name`) are not touched: models made of them must stay loadable.
    """
    known = keras.saving.get_custom_objects()
    before = {name: value for name, value in known.items() if ">" not in name}
    if clear:
        for name in before:
            del known[name]
    known.update(objects or {})
    return before


def _check_compiled(model: Any) -> None:
    if not getattr(model, "compiled", False):
        raise ArgumentError(
            "The model is not compiled: its state includes that of the optimizer.",
            hint="Compile it first, or use get_weights() and set_weights().",
            argument="object",
        )


def _check_has_state_tree(model: Any) -> None:
    if not hasattr(model, "get_state_tree"):
        raise UnsupportedError(
            f"Keras {keras.__version__}, which is installed, has no state trees.",
            hint="They came with Keras 3.6; get_weights() and set_weights() do without.",
        )


def get_state_tree(model: Any) -> dict:
    """All state of a compiled model by name, as arrays."""
    _check_compiled(model)
    _check_has_state_tree(model)
    return model.get_state_tree(value_format="numpy_array")


def set_state_tree(model: Any, state: dict) -> None:
    """Set all state; the tree is that of `get_state_tree`."""
    _check_compiled(model)
    _check_has_state_tree(model)
    model.set_state_tree(_with_scalars(state, model.get_state_tree()))


def _with_scalars(state: Any, known: Any) -> Any:
    """The tree with single values of R, vectors of one, as the scalars that they are in the model."""
    if isinstance(state, dict) and isinstance(known, dict):
        return {name: _with_scalars(value, known.get(name)) for name, value in state.items()}
    if getattr(known, "shape", None) == () and np.size(state) == 1:
        return np.reshape(state, ())
    return state
