"""Architectures as text and files: what is wrong with one is said of the text or the file."""

from __future__ import annotations

import json

import keras
import pytest
from kerasbridge.errors import ArgumentError, FileError, UnsafeFileError
from kerasbridge.saving import (
    load_config,
    load_model,
    model_from_json,
    model_from_yaml,
    model_to_json,
    save_config,
)


@pytest.fixture
def tree():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="wide")])
    return json.loads(model_to_json(model))


def dense(tree):
    layer = tree["config"]["layers"][-1]
    layer.pop("build_config", None)
    return layer["config"]


@pytest.mark.parametrize("ending", [".json", ".yaml"])
def test_a_round_trip_and_a_change_by_hand(tree, tmp_path, ending):
    path = tmp_path / f"a{ending}"
    save_config(model_from_json(json.dumps(tree)), path)
    if ending == ".yaml":
        path.write_text(path.read_text().replace("units: 4", "units: 5"))
    assert load_config(path).output_shape == (None, 5 if ending == ".yaml" else 4)


def test_a_model_larger_than_the_computer_is_refused_before_it_takes_memory(tree, tmp_path):
    dense(tree)["units"] = 2 * 10**12
    with pytest.raises(UnsafeFileError, match=r"`json_string` is refused.*over [\d,]{16,} bytes"):
        model_from_json(json.dumps(tree))
    path = tmp_path / "a.json"
    path.write_text(json.dumps(tree))
    with pytest.raises(UnsafeFileError, match=r"a\.json' is refused") as info:
        load_config(path)
    assert info.value.argument == "filepath"


@pytest.mark.parametrize("value", ["x", None, -3, [1], {"a": 1}, 1.5])
def test_what_keras_can_not_make_is_one_class_of_error(tree, tmp_path, value):
    dense(tree)["units"] = value
    with pytest.raises(
        ArgumentError, match="`json_string` describes no model that Keras can make: ."
    ) as info:
        model_from_json(json.dumps(tree))
    assert info.value.argument == "json_string"
    path = tmp_path / "a.json"
    path.write_text(json.dumps(tree))
    with pytest.raises(FileError, match=r"a\.json' describes no model"):
        load_config(path)


def test_a_key_that_stands_twice_is_said(tmp_path):
    with pytest.raises(ArgumentError, match="`json_string` has the key 'a' twice"):
        model_from_json('{"class_name": "Sequential", "config": {"a": 1, "a": 2}}')
    with pytest.raises(ArgumentError, match="`yaml` has the key 'units' twice"):
        model_from_yaml("class_name: Sequential\nconfig:\n  units: 1\n  units: 2\n")
    text = tmp_path / "a.json"
    text.write_text("{}")
    with pytest.raises(FileError, match="not a model file") as info:
        load_model(text)
    assert "load_model_config()" in info.value.hint
    for ending, says in (
        (".index", "load_model_weights_tf()"),
        (".rds", "readRDS()"),
        (".bin", ".h5"),
    ):
        other = tmp_path / f"a{ending}"
        other.write_text("x")
        with pytest.raises(FileError, match="not a model file") as info:
            load_model(other)
        assert says in info.value.hint
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\nb: 2\n")
    with pytest.raises(FileError, match=r"a\.yaml' does not describe a model"):
        load_config(path)


def test_classes_of_keras_need_no_module():
    text = """
    class_name: Sequential
    config:
      name: by_hand
      layers:
      - {class_name: InputLayer, config: {batch_shape: [null, 3]}}
      - {class_name: Dense, config: {units: 2, activation: relu}}
    """
    model = model_from_yaml(text)
    assert model.name == "by_hand" and model.count_params() == 8
    assert model.layers[0].activation is keras.activations.relu


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("class_name: !!python/object/apply:os.getcwd []\n", "something else than plain values"),
        ("class_name: Sequential\nconfig: &a\n  layers: [*a]\n", "contains itself"),
        ("[" * 5000, "nested too deep"),
        (
            "a0: &a0 [x, x]\n"
            + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40)),
            "aliases are expanded",
        ),
    ],
)
def test_yaml_is_plain_values(text, words):
    with pytest.raises(UnsafeFileError, match=words):
        model_from_yaml(text)
