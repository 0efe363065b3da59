"""What `keras_metadata.pb` in a SavedModel folder of Keras 2 tells: the order of inputs and outputs.

Signatures have names only, in alphabetical order; a model's inputs by position are in its own. The file
is a protocol buffer: repeated field 1 holds an object each, whose field 3 is its path and field 5 a JSON
text (source: files written by TensorFlow 2.5 to 2.15).
"""

from __future__ import annotations

import json
import os
from typing import Iterator

LIMIT = 64 * 2**20  # bytes


def _number(data: bytes, at: int) -> tuple:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128 or shift > 63:
            return value, at


def _fields(data: bytes) -> Iterator[tuple]:
    """(number, value) of each field; texts and messages as bytes."""
    at = 0
    while at < len(data):
        key, at = _number(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _number(data, at)
        elif kind == 2:
            size, at = _number(data, at)
            value, at = data[at : at + size], at + size
        else:
            size = {1: 8, 5: 4}.get(kind)
            if size is None:
                return
            value, at = data[at : at + size], at + size
        yield key >> 3, value


def order(folder: str) -> tuple:
    """Names of a model's inputs and of its outputs, in its own order; empty where nothing tells."""
    path = os.path.join(folder, "keras_metadata.pb")
    try:
        if os.path.getsize(path) > LIMIT:
            return (), ()
        with open(path, "rb") as file:
            data = file.read()
        for number, value in _fields(data):
            node = dict(_fields(value)) if number == 1 else {}
            if node.get(3) == b"root":
                return _ends(json.loads(node[5]))
    except (OSError, IndexError, KeyError, ValueError, TypeError, RecursionError):
        pass
    return (), ()


def _ends(metadata: dict) -> tuple:
    config = metadata.get("config") or {}
    return _names(config.get("input_layers")), _names(config.get("output_layers"))


def _names(references: object) -> tuple:
    """Names of layers in `[[name, call, output], ...]`, in order."""
    if isinstance(references, dict):
        references = list(references.values())
    if not isinstance(references, list):
        return ()
    if references and isinstance(references[0], str):
        references = [references]
    return tuple(r[0] for r in references if isinstance(r, list) and r and isinstance(r[0], str))


def sorted_by(names: list, known: tuple) -> list:
    """`names` in the order of `known`, where those are the same names; else unchanged."""
    return list(known) if sorted(known) == sorted(names) else list(names)
