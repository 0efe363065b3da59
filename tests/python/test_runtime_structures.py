"""Nested structures, flat and back, with the library that Keras has and the one that Keras 3.0 has."""

from __future__ import annotations

import sys
import types

import pytest

keras = pytest.importorskip("keras")
from kerasbridge.runtime import structures  # noqa: E402

NESTED = {"b": (1, [2, None]), "a": 3}


def test_leaves_come_in_the_order_of_sorted_keys_and_go_back():
    leaves = structures.flatten(NESTED)
    assert leaves == [3, 1, 2, None]
    assert structures.pack_like(NESTED, [10 * (x or 9) for x in leaves]) == {
        "b": (10, [20, 90]),
        "a": 30,
    }
    assert structures.flatten(7) == [7]
    assert structures.pack_like(7, [8]) == 8


@pytest.mark.skipif(not hasattr(keras, "tree"), reason="this Keras has no keras.tree to hide")
def test_without_keras_tree_its_predecessor_is_asked(monkeypatch):
    asked = []
    older = types.ModuleType("tree")
    older.flatten = lambda structure: asked.append(structure) or ["flat"]
    older.unflatten_as = lambda structure, leaves: asked.append(leaves) or "packed"
    monkeypatch.setitem(sys.modules, "tree", older)
    monkeypatch.delattr(keras, "tree")
    assert structures.flatten(NESTED) == ["flat"]
    assert structures.pack_like(NESTED, (1, 2)) == "packed"
    assert asked == [NESTED, [1, 2]]
