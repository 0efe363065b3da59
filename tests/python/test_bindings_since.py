"""tools/bindings/since.py: from which version on a name or an argument is there."""

from __future__ import annotations

import csv
import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("since", ROOT / "tools" / "bindings" / "since.py")
since = importlib.util.module_from_spec(spec)
spec.loader.exec_module(since)


def test_what_was_always_there_is_not_listed():
    facts = [("3.0.5", {"k.f": [["a"], ["a"]]}), ("3.1.1", {"k.f": [["a"], ["a"]]})]
    assert since.rows(facts) == []


def test_new_name_and_new_argument_carry_their_minor_version():
    facts = [
        ("3.0.5", {"k.f": [["a"], ["a"]]}),
        ("3.9.2", {"k.f": [["a"], ["a"]], "k.g": [["x"], ["x"]]}),
        ("3.10.0", {"k.f": [["a", "b"], ["a", "b"]], "k.g": [["x", "y"], ["x", "y"]]}),
    ]
    assert since.rows(facts) == [("k.f", "b", "3.10"), ("k.g", "", "3.9"), ("k.g", "y", "3.10")]


def test_argument_that_an_older_version_took_for_its_parent_is_not_new():
    facts = [
        ("3.0.5", {"k.C": [["units"], ["name", "units"]]}),
        ("3.1.1", {"k.C": [["name", "units"], ["name", "units"]]}),
    ]
    assert since.rows(facts) == []


def test_what_came_and_went_counts_from_its_return():
    versions = ["3.0.5", "3.1.1", "3.2.1", "3.3.3"]
    assert since.first_of([True, False, True, True], versions) == "3.2"
    assert since.first_of([True, True, True, True], versions) == ""


def test_versions_sort_as_numbers():
    assert sorted(["3.10.0", "3.9.2", "3.0.5"], key=since.key) == ["3.0.5", "3.9.2", "3.10.0"]


def test_stored_table_names_only_symbols_that_have_a_row():
    tables = ROOT / "tools" / "bindings" / "tables"
    known = set(since.read_paths(tables / "symbols"))
    with open(tables / "since.csv", newline="", encoding="utf-8") as file:
        stored = list(csv.DictReader(file))
    assert len(stored) > 400
    assert {row["symbol"] for row in stored} <= known
    assert all(re.fullmatch(r"3\.([1-9]|1[0-5])", row["since"]) for row in stored)
    by_key = {(row["symbol"], row["argument"]): row["since"] for row in stored}
    # checked by hand against the release notes' wheels
    assert by_key["keras.optimizers.Lamb", ""] == "3.5"
    assert by_key["keras.layers.Embedding", "weights"] == "3.3"


def test_arguments_take_the_names_of_an_older_keras(monkeypatch):
    import keras
    import pytest
    from kerasbridge.bridge import calls
    from kerasbridge.errors import UnsupportedError

    def resize(image, size):
        pass

    def gru(units, **kwargs):
        pass

    given = {"images": 1, "size": 2}
    assert calls._fit_arguments(resize, "keras.ops.image.resize", given) == {"image": 1, "size": 2}
    assert calls._fit_arguments(lambda images, size: 0, "keras.ops.image.resize", given) == given
    monkeypatch.setattr(keras, "__version__", "3.0.5")
    with pytest.raises(UnsupportedError, match="no argument `fill_mode`") as info:
        calls._fit_arguments(resize, "keras.ops.image.resize", {"fill_mode": "x"})
    assert info.value.hint == "It came with Keras 3.3."
    with pytest.raises(UnsupportedError, match="Keras 3.0.5, .* no argument `use_cudnn`") as info:
        calls._fit_arguments(gru, "keras.layers.GRU", {"units": 1, "use_cudnn": True})
    assert info.value.hint == "It came with Keras 3.2."
    monkeypatch.setattr(keras, "__version__", "3.15.1")
    assert calls._fit_arguments(gru, "keras.layers.GRU", {"use_cudnn": True}) == {"use_cudnn": True}
