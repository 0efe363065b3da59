"""Copies of models as bytes, cheap enough to be renewed after every training.

A copy has two parts. The frame is a whole `.keras` file; it is made when a model is kept for the first
time and again when something of its make has changed: layers, what is trainable, how it is compiled. The
values are the numbers of all variables in one block; they are what training changes. R keeps both
beside its reference to a model, so that `saveRDS()` and workers take them along.
"""

from __future__ import annotations

import itertools
import json
import warnings
import weakref
from typing import Any, Optional

import keras
import numpy as np

from kerasbridge.errors import FileError, KerasBridgeError
from kerasbridge.runtime.attached import attach, details
from kerasbridge.saving.models import model_from_bytes, model_to_bytes
from kerasbridge.saving.sizes import stored_size

_numbers = itertools.count(1)


class _Entry:
    def __init__(self) -> None:
        self.key = str(next(_numbers))
        self.token = 0
        self.parts: list = []


_entries: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def keep(model: Any, limit: float, have: Optional[dict] = None) -> list[dict]:
    """Copy a model, and those kept models that share variables with it.

    Args:
        limit: bytes of arrays above which no copy is made.
        have: key -> token of the frames that the caller holds.

    Returns:
        A dict for each model, `model` first: `key`; `token` of the frame; `frame`, or None where the
        caller holds it; `values`; `size` in bytes of all arrays; `reason` why there is no copy, or None.
    """
    entry = _entries.setdefault(model, _Entry())
    out = [_copy(model, entry, limit, have or {})]
    for other in _sharing(model):
        out.append(_copy(other, _entries[other], limit, have or {}))
    return out


def sharing(target: Any) -> list[str]:
    """Keys of the kept models that have a variable of `target`, a layer or a model."""
    return [_entries[model].key for model in _sharing(target, itself=True)]


def _sharing(target: Any, itself: bool = False) -> list:
    mine = {id(v) for v in target.weights}
    return [
        model
        for model in list(_entries)
        if (itself or model is not target) and any(id(v) in mine for v in model.weights)
    ]


def _copy(model: Any, entry: _Entry, limit: float, have: dict) -> dict:
    out = {"key": entry.key, "token": None, "frame": None, "values": None, "reason": None}
    out["size"] = 0.0
    try:
        if not model.built:
            raise KerasBridgeError("it had not seen an input shape yet")
        out["size"] = float(stored_size(model))
        if out["size"] > limit:
            raise KerasBridgeError("it is larger than the option `kerasbridge.keep` allows")
        parts = _parts(model)
        if not entry.token or not _same(parts, entry.parts):
            entry.token += 1
            entry.parts = parts
        if have.get(entry.key) != entry.token:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                out["frame"] = bytearray(model_to_bytes(model))
        out["token"] = entry.token
        out["values"] = _values(model)
    except KerasBridgeError as err:
        out["reason"] = err.message
    except Exception as err:  # a model that can't be written must not spoil its training
        lines = str(err).strip().splitlines() or [type(err).__name__]
        out["reason"] = f"it can't be written ({lines[0]})"
    if out["reason"]:
        entry.token = 0
    return out


def _parts(model: Any) -> list:
    """What a frame depends on, object by object (kept, so that no new one gets an old one's place)."""
    parts: list = [getattr(model, name, None) for name in ("optimizer", "loss")]
    parts.append(getattr(model, "compiled", False))
    pending = [model]
    while pending:
        layer = pending.pop()
        parts += [layer, layer.trainable, len(layer.weights)]
        pending += getattr(layer, "layers", ()) or ()
    return parts


def _same(one: list, two: list) -> bool:
    return len(one) == len(two) and all(a is b or _equal(a, b) for a, b in zip(one, two))


def _equal(a: Any, b: Any) -> bool:
    return isinstance(a, (bool, int, str, tuple)) and type(a) is type(b) and a == b


def _variables(model: Any) -> list:
    weights = list(model.weights)
    known = {id(v) for v in weights}
    optimizer = getattr(model, "optimizer", None)
    state = [] if optimizer is None else list(optimizer.variables)
    known.update(id(v) for v in state)
    return [weights, state, [v for v in model.variables if id(v) not in known]]


def _values(model: Any) -> bytearray:
    """A header in JSON (its length first, 8 bytes) and the content of all variables, one by one."""
    table, blocks = [], []
    for group in _variables(model):
        rows = []
        for variable in group:
            array = np.asarray(keras.ops.convert_to_numpy(variable), order="C")
            rows.append([array.dtype.name, list(array.shape)])
            blocks.append(array.reshape(-1).view(np.uint8))
        table.append(rows)
    header = json.dumps({"variables": table, "details": details(model)}).encode()
    out = bytearray(len(header).to_bytes(8, "little") + header)
    for block in blocks:
        out += block.data
    return out


def revive(frame: bytes, values: bytes, custom_objects: Optional[dict] = None) -> Any:
    """The model that `keep` copied.

    Raises:
        FileError: the copy is damaged.
    """
    with warnings.catch_warnings():
        # the frame may be older than the first training, its optimizer without state
        warnings.simplefilter("ignore")
        model = model_from_bytes(bytes(frame), custom_objects=custom_objects)
    values = bytes(values)
    try:
        size = int.from_bytes(values[:8], "little")
        header = json.loads(values[8 : 8 + size])
        table = header["variables"]
        for key, value in header["details"].items():
            attach(model, key, value)
        optimizer = getattr(model, "optimizer", None)
        if optimizer is not None and len(table[1]) > len(optimizer.variables):
            optimizer.build(model.trainable_variables)
        at = 8 + size
        for group, rows in zip(_variables(model), table):
            fits = len(group) == len(rows)
            if not fits and rows is not table[2]:
                raise ValueError("the model has other variables")
            for i, (dtype, shape) in enumerate(rows):
                count = int(np.prod(shape, dtype=np.int64))
                kind = np.dtype(dtype)
                array = np.frombuffer(values, kind, count, at).reshape(shape)
                at += count * kind.itemsize
                if fits and tuple(group[i].shape) == tuple(shape):
                    group[i].assign(array)
                elif rows is not table[2]:
                    raise ValueError("the model has variables of other shapes")
        if at != len(values):
            raise ValueError("its end is missing")
    except (ValueError, KeyError, TypeError, IndexError) as err:
        raise FileError(f"The copy of the model is damaged: {err}.", argument="object") from err
    return model
