"""What `keras_metadata.pb` in a SavedModel folder of Keras 2 tells: the order of inputs and outputs.

Signatures have names only, in alphabetical order; a model's inputs by position are in its own. The file
is a protocol buffer: repeated field 1 holds an object each, whose field 3 is its path and field 5 a JSON
text (source: files written by TensorFlow 2.5 to 2.15).
"""

from __future__ import annotations

import json
import os

from kerasbridge.saving.safety.wire import fields

LIMIT = 64 * 2**20  # bytes


def order(folder: str) -> tuple:
    """Names of a model's inputs and of its outputs, in its own order; empty where nothing tells."""
    path = os.path.join(folder, "keras_metadata.pb")
    try:
        if os.path.getsize(path) > LIMIT:
            return (), ()
        with open(path, "rb") as file:
            data = file.read()
        for number, value in fields(data):
            node = dict(fields(value)) if number == 1 else {}
            if node.get(3) == b"root":
                return _ends(json.loads(bytes(node[5])))
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
