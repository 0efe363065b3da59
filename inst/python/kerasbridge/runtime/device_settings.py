"""What was asked of graphics cards, memory and precision: kept until Keras starts, then applied.

A backend reads most of these settings once, when it first computes. So they are written down here
without starting anything, and `kerasbridge.runtime.starting` applies them between the import of the
backend and its first computation. What comes too late is an error that says what started the backend.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from typing import Any, Optional, Sequence, Union

from kerasbridge.errors import ArgumentError, TooLateError, UnsupportedError
from kerasbridge.runtime import smi

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS.update({"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40})
POLICIES = ("float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")


@dataclass
class Wishes:
    """Settings that were asked for; None is "as the backend has it".

    Attributes:
        memory: "grow", or the most bytes to take of each card.
        visible: positions of the cards to use, counted from 0; an empty list uses none.
        virtual: number of virtual devices to make of the processor.
        xla: whether steps are compiled by XLA where `compile` doesn't say it.
    """

    memory: Union[str, int, None] = None
    visible: Optional[list] = None
    virtual: Optional[int] = None
    precision: Optional[str] = None
    xla: Optional[bool] = None


wishes = Wishes()
_started: list = []  # [backend, what started it]; empty until the backend computes


def bytes_of(text: Union[str, int, float], argument: str = "memory") -> int:
    """4000000000 for "4GB", 4294967296 for "4GiB"; a number is bytes.

    Raises:
        ArgumentError: it is no amount of memory.
    """
    if isinstance(text, (int, float)) and not isinstance(text, bool) and text > 0:
        return int(text)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?I?B|)\s*", str(text).upper())
    if match is None or float(match.group(1)) <= 0 or isinstance(text, bool):
        raise ArgumentError(
            f"`{argument}` must be an amount such as '4GB' or '512MB', not {text!r}.",
            argument=argument,
        )
    return int(float(match.group(1)) * _UNITS[match.group(2)])


def configure(
    memory: Union[str, int, float, None] = None,
    visible: Optional[Sequence[int]] = None,
    virtual: Optional[int] = None,
    precision: Optional[str] = None,
    xla: Optional[bool] = None,
) -> dict:
    """Write the settings down, or apply them at once where that can still be done.

    Args:
        memory: "grow" (take memory as it is needed) or an amount such as "4GB" for each card.
        visible: positions of cards from 0; [] hides all of them.
        virtual: make so many virtual devices of the processor.
        precision: a name of `keras.config.set_dtype_policy`, for layers made from now on.
        xla: the default of `jit_compile` in `compile`.

    Returns:
        All settings as they stand, by name.

    Raises:
        ArgumentError: a value that can't be.
        TooLateError: the backend has computed already and can't change this any more.
        UnsupportedError: the backend has no such setting.
    """
    asked = _checked(memory, visible, virtual, precision, xla)
    fixed = {k: v for k, v in asked.items() if k in ("memory", "visible", "virtual")}
    changed = {k: v for k, v in fixed.items() if v != getattr(wishes, k)}
    if _started and changed:
        _refuse_late(changed)
    before = {name: getattr(wishes, name) for name in asked}
    for name, value in asked.items():
        setattr(wishes, name, value)
    try:
        if _started:
            _apply_any_time()
        else:
            set_variables(os.environ)
            if "tensorflow" in sys.modules and "keras" in sys.modules:
                _apply_first(sys.modules["keras"].config.backend())
    except BaseException:
        for name, value in before.items():
            setattr(wishes, name, value)
        raise
    return as_values()


def _checked(memory: Any, visible: Any, virtual: Any, precision: Any, xla: Any) -> dict:
    asked: dict = {}
    if memory is not None:
        asked["memory"] = "grow" if str(memory).lower() == "grow" else bytes_of(memory)
    if visible is not None:
        asked["visible"] = [int(one) for one in visible]
        if any(one < 0 for one in asked["visible"]) or len(set(visible)) != len(visible):
            raise ArgumentError(
                "`visible` must be positions of graphics cards, each once.", argument="visible"
            )
    if virtual is not None:
        if int(virtual) != virtual or not 1 <= virtual <= 64:
            raise ArgumentError(
                "`virtual` must be a whole number from 1 to 64.", argument="virtual"
            )
        asked["virtual"] = int(virtual)
    if precision is not None:
        if precision not in POLICIES:
            raise ArgumentError(
                f"`precision` must be one of {', '.join(POLICIES)}, not {precision!r}.",
                argument="precision",
            )
        asked["precision"] = precision
    if xla is not None:
        asked["xla"] = bool(xla)
    return asked


def as_values() -> dict:
    """The settings that stand, without those that nobody has asked for."""
    return {name: value for name, value in vars(wishes).items() if value is not None}


def _has_card(backend: Optional[str]) -> bool:
    if backend == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))
    if backend == "jax":
        import jax

        return any(device.platform == "gpu" for device in jax.devices())
    if backend == "torch":
        import torch

        return torch.cuda.is_available()
    return True


def _refuse_late(changed: dict) -> None:
    backend, by = _started
    if list(changed) == ["visible"] and changed["visible"] == [] and not _has_card(backend):
        return  # there is nothing to hide
    names = " and ".join(f"`{name}`" for name in changed)
    shown = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}.get(backend, backend)
    raise TooLateError(
        f"{names} can't be set any more: {shown} was started by {by} and reads it only then.",
        hint="Start a new session and put this call first, before anything that makes a model or a tensor.",
        argument=next(iter(changed)),
        details={"started_by": by, "backend": backend, "settings": sorted(changed)},
    )


def set_variables(environ: Any) -> None:
    """What a backend reads from environment variables, for those that aren't set by a person."""
    if wishes.visible is not None:
        environ["CUDA_VISIBLE_DEVICES"] = _visible_variable(environ, wishes.visible)
    if wishes.memory == "grow":
        environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
        environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    _set_share(environ)
    if wishes.virtual is not None:
        flag = "--xla_force_host_platform_device_count"
        flags = [f for f in environ.get("XLA_FLAGS", "").split() if not f.startswith(flag)]
        environ["XLA_FLAGS"] = " ".join([*flags, f"{flag}={wishes.virtual}"])


_SHARE = "XLA_PYTHON_CLIENT_MEM_FRACTION"
_share: dict = {}  # limit in bytes -> what JAX reads for it, as it was set last


def _set_share(environ: Any) -> None:
    """The limit of memory as a share of the largest card, which is how JAX takes it.

    Nothing is set where no card is known, or where the backend is another; what was set for a limit that
    counts no more is taken back.
    """
    limit = wishes.memory if isinstance(wishes.memory, int) else None
    if environ.get("KERAS_BACKEND", "jax") != "jax":  # not said: keras.json may name JAX
        limit = None
    if environ.get(_SHARE) in _share.values() and limit not in _share:
        del environ[_SHARE]
    if limit is None or limit in _share and _SHARE in environ:
        return
    known = [size for size in map(smi.size, smi.ask(environ)[2]) if size]
    _share.clear()
    if known:
        _share[limit] = f"{min(1.0, limit / max(known)):.6f}"
        environ[_SHARE] = _share[limit]


_before: list = []  # CUDA_VISIBLE_DEVICES as it was before the first setting


def _visible_variable(environ: Any, visible: list) -> str:
    """CUDA_VISIBLE_DEVICES for these positions among the cards that it showed before."""
    if not _before:
        _before.append(environ.get("CUDA_VISIBLE_DEVICES"))
    if not visible:
        return "-1"
    if _before[0] is None:
        return ",".join(str(one) for one in visible)
    shown = [part.strip() for part in _before[0].split(",") if part.strip() not in ("", "-1")]
    if max(visible) >= len(shown):
        raise ArgumentError(
            f"`visible` names card {max(visible) + 1}; CUDA_VISIBLE_DEVICES shows {len(shown)}.",
            argument="visible",
        )
    return ",".join(shown[one] for one in visible)


def before_import() -> None:
    """Called by `start` before Keras is imported."""
    set_variables(os.environ)


def after_import(backend: str, by: str, outside: bool = False) -> None:
    """Called by `start` when the backend is imported and has not computed yet.

    Args:
        by: what started it.
        outside: whether code outside of this package imported it, which may have computed.
    """
    try:
        _apply_first(backend)
        if outside and backend == "jax" and isinstance(wishes.memory, int):
            _look_at_jax(wishes.memory)
        _apply_any_time()
    finally:
        _started[:] = [backend, by]


def started_by() -> Optional[str]:
    """What started the backend; None before that."""
    return _started[1] if _started else None


def _apply_any_time() -> None:
    import keras

    if wishes.precision is not None:
        keras.config.set_dtype_policy(wishes.precision)


def _apply_first(backend: str) -> None:
    if backend == "tensorflow":
        import tensorflow

        apply_tensorflow(tensorflow)
    elif backend == "torch":
        _apply_torch()


def _look_at_jax(limit: int) -> None:
    """Raise `TooLateError` where JAX has taken more of a card than the limit, before it was set."""
    import jax

    for device in jax.local_devices():
        held = (
            None if device.platform == "cpu" else (device.memory_stats() or {}).get("bytes_limit")
        )
        if held is not None and held > 1.1 * limit:
            raise TooLateError(
                "JAX has taken its share of the card already, started by code outside of this package.",
                hint="Start a new session and put the setting first.",
                argument="memory",
                details={"started_by": "code outside of kerasbridge", "backend": "jax"},
            )


def apply_tensorflow(tf: Any) -> None:
    """Set memory, visible cards and virtual devices with the module `tensorflow`.

    Raises:
        TooLateError: TensorFlow has computed already, outside of this package.
    """
    config = tf.config
    if wishes.memory is None and wishes.virtual is None and wishes.visible != []:
        return  # visible cards are a matter of CUDA_VISIBLE_DEVICES
    try:
        cards = config.list_physical_devices("GPU")
        if wishes.visible == []:
            config.set_visible_devices([], "GPU")
            cards = []
        for card in cards:
            if wishes.memory == "grow":
                config.experimental.set_memory_growth(card, True)
            elif wishes.memory is not None:
                limit = config.LogicalDeviceConfiguration(memory_limit=wishes.memory / 2**20)
                config.set_logical_device_configuration(card, [limit])
        if wishes.virtual is not None:
            (processor,) = config.list_physical_devices("CPU")[:1]
            config.set_logical_device_configuration(
                processor, [config.LogicalDeviceConfiguration()] * wishes.virtual
            )
    except RuntimeError as error:
        raise TooLateError(
            "TensorFlow has computed already, started by code outside of this package.",
            hint="Start a new session and put the setting first.",
            details={"started_by": "code outside of kerasbridge", "backend": "tensorflow"},
        ) from error


def _apply_torch() -> None:
    if wishes.virtual is not None and wishes.virtual > 1:
        raise UnsupportedError(
            "PyTorch makes no virtual devices of a processor.",
            hint="Use the backend tensorflow or jax to try out several devices.",
            argument="virtual",
        )
    if isinstance(wishes.memory, int):
        import torch

        for index in range(torch.cuda.device_count()):
            total = torch.cuda.get_device_properties(index).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, wishes.memory / total), index)
