"""Safetensors of other programs: names of many kinds, nested models, and what can't be told apart."""

from __future__ import annotations

import time

import keras
import numpy as np
import pytest
from kerasbridge.errors import FileError
from kerasbridge.saving import load_weights
from safetensors.numpy import save_file

L = keras.layers


def nested(deep="deep", e="e"):
    """A model in a model in a model, an LSTM both ways, and auto-numbered layers of one shape."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    low = keras.Sequential([keras.Input((4,)), L.Dense(4, name=e), L.Dense(4)], name=deep)
    inner = keras.Sequential([keras.Input((8,)), L.Dense(4, name="d"), low], name="inner")
    return keras.Sequential(
        [
            keras.Input((5, 3)),
            L.Bidirectional(L.LSTM(4), name="enc"),
            inner,
            L.BatchNormalization(),
            L.Dense(4),
            L.Dense(4),
        ],
        name="top",
    )


def write(path, model, name):
    """A file of the model's weights, weight `i` holding `i` everywhere; name(i, weight) is its name."""
    arrays = {name(i, w): np.full(w.shape, i, "float32") for i, w in enumerate(model.weights)}
    assert len(arrays) == len(model.weights)
    save_file(arrays, path)
    return path


def right(model):
    return all((w == i).all() for i, w in enumerate(model.get_weights()))


def tf_name(i, weight):
    """As TensorFlow's Keras wrote them: without the models that a layer is in, and numbered."""
    parts = weight.path.split("/")
    return "/".join(parts[1:] if parts[0] == "top" else parts[-2:]) + ":0"


EXACT = {
    "paths": lambda i, w: w.path,
    "TensorFlow": tf_name,
    "dots": lambda i, w: w.path.replace("/", "."),
    "a model around it": lambda i, w: "wrapper.model." + w.path.replace("/", "."),
}


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("kind", EXACT)
def test_names_of_many_kinds_are_those_of_one_weight(tmp_path, kind, by_name):
    model = nested()
    path = write(tmp_path / "w.safetensors", model, EXACT[kind])
    report = load_weights(model, path, by_name=by_name)
    assert right(model) and not report.notes
    assert set(report.status) == {"loaded"}
    assert {"enc", "inner/d", "inner/deep/e", "inner/deep/dense"} < set(report.layer)


@pytest.mark.parametrize("first", [0, 9])
def test_numbers_count_where_names_agree_by_chance_or_not_at_all(tmp_path, first):
    model = nested()
    path = tmp_path / "w.safetensors"
    # dense_1 of the file is dense of the model: by name alone the layers would be exchanged
    plain = {"dense": 1, "dense_1": 2, "dense_2": 3}

    def moved(i, w):
        parts = w.path.split("/")
        return "/".join(f"dense_{plain[p] + first}" if p in plain else p for p in parts)

    write(path, model, moved)
    report = load_weights(model, path)
    assert right(model)
    assert len(report.notes) == 1 and f"'top/dense_{2 + first}/kernel' into" in report.notes[0]
    # only numbers, in the order of the weights: 10 comes after 9
    write(path, model, lambda i, w: f"{i + first}")
    model.set_weights([w * 0 - 1 for w in model.get_weights()])
    report = load_weights(model, path)
    assert right(model) and "20 of 20 arrays went by number and shape" in report.notes[0]
    with pytest.raises(FileError, match="No array in .* has the name of a weight"):
        load_weights(model, path, by_name=True)


def test_one_array_left_of_a_shape_needs_no_name(tmp_path):
    model = keras.Sequential([keras.Input((3,)), L.Dense(5, name="a"), L.Dense(2, name="b")])
    names = ["first/kernel", "x/bias", "last/kernel", "y/bias"]
    path = write(tmp_path / "w.safetensors", model, lambda i, w: names[i])
    report = load_weights(model, path)
    assert right(model) and "'first/kernel' into 'a'" in report.notes[0]


def test_the_order_in_the_file_means_nothing(tmp_path):
    # safetensors sorts its arrays by name: by position these two layers would be exchanged
    model = keras.Sequential([keras.Input((3,)), L.Dense(3, name="z"), L.Dense(3, name="a")])
    path = write(tmp_path / "w.safetensors", model, lambda i, w: w.path)
    assert not load_weights(model, path).notes
    assert right(model)


def test_what_could_be_two_layers_is_refused_with_both(tmp_path):
    model = nested()
    before = model.get_weights()
    path = write(
        tmp_path / "w.safetensors",
        model,
        lambda i, w: (
            w.path.replace("/d/", "/one/").replace("/e/", "/two/").replace("dense", "three")
        ),
    )
    with pytest.raises(FileError, match="can't be told apart") as caught:
        load_weights(model, path)
    for part in ("/three/bias'", "/two/bias'", "have the shape (4)", "'inner/d'", "'inner/deep/e'"):
        assert part in str(caught.value)
    assert "save_model_weights" in caught.value.hint
    assert len(caught.value.details["layers"]) == len(caught.value.details["arrays"]) > 1
    report = load_weights(model, path, by_name=True)
    assert report.names("loaded") == ["enc", "batch_normalization"]
    assert all((a == b).all() for a, b in zip(before[6:12], model.get_weights()[6:12]))
    # a name that two layers of the model have
    two = keras.Sequential([keras.Input((4,))], name="two")
    for name in ("left", "right"):
        two.add(keras.Sequential([keras.Input((4,)), L.Dense(4, name="d")], name=name))
    arrays = {"d/kernel": np.ones((4, 4), "float32"), "d/bias": np.ones(4, "float32")}
    save_file(arrays, path)
    with pytest.raises(FileError, match="could be that of layer 'left/d' or of layer 'right/d'"):
        load_weights(two, path)
    # once the other has its own, it is told
    save_file(
        {**arrays, "right/d/kernel": arrays["d/kernel"] + 1, "right/d/bias": arrays["d/bias"] + 1},
        path,
    )
    assert set(load_weights(two, path).status) == {"loaded"}
    assert [w.max() for w in two.get_weights()] == [1, 1, 2, 2]


def test_less_and_more_than_the_model_has(tmp_path):
    model = nested()
    path = tmp_path / "w.safetensors"
    arrays = {w.path: np.full(w.shape, i, "float32") for i, w in enumerate(model.weights)}
    save_file({**arrays, "adam/iterations": np.zeros(1, "float32")}, path)
    report = load_weights(model, path)
    assert right(model) and report.names("unused") == ["adam"]
    lacking = {key: array for key, array in arrays.items() if key != "inner/d/bias"}
    save_file(lacking, path)
    with pytest.raises(FileError, match="layer 'inner/d': the file lacks 'bias'"):
        load_weights(model, path)
    report = load_weights(model, path, skip_mismatch=True)
    assert report.names("skipped") == ["inner/d"]
    save_file({**arrays, "inner/d/bias": np.zeros(5, "float32")}, path)
    with pytest.raises(FileError, match=r"'inner/d': shape \(5\) in the file, \(4\) in the model"):
        load_weights(model, path)
    with pytest.raises(FileError, match="No array in .* has the name of a weight") as caught:
        save_file({"": np.zeros(1, "float32"), "/": np.zeros(2, "float32")}, path)
        load_weights(model, path)
    assert "It has '', '/'; the model has 'enc/forward_lstm" in caught.value.hint


def test_matrices_of_pytorch_are_refused(tmp_path):
    model = keras.Sequential([keras.Input((4,)), L.Dense(4, name="fc")])
    path = tmp_path / "w.safetensors"
    save_file({"fc.weight": np.eye(4, dtype="f"), "fc.bias": np.zeros(4, "f")}, path)
    for by_name in (False, True):
        with pytest.raises(
            FileError, match="comes from PyTorch: its array 'fc.weight' would be the kernel"
        ):
            load_weights(model, path, by_name=by_name)


def test_weights_of_the_model_itself_and_of_subclasses(tmp_path):
    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.first = L.Dense(4, name="first")
            self.inner = keras.Sequential([L.Dense(3, name="d")], name="inner")

        def build(self, shape):
            self.scale = self.add_weight(shape=(2,), name="scale")
            self.first.build(shape)
            self.inner.build((None, 4))

        def call(self, x):
            return self.inner(self.first(x))

    model = Own()
    model(np.ones((1, 3), "float32"))
    path = write(tmp_path / "w.safetensors", model, lambda i, w: w.path)
    report = load_weights(model, path)
    assert right(model) and set(report.layer) == {"own", "first", "inner/d"}
    path = write(tmp_path / "w.safetensors", model, lambda i, w: w.path.removeprefix("own/"))
    assert not load_weights(model, path).notes and right(model)


def test_twenty_thousand_names_take_no_long_time(tmp_path):
    model = nested()
    path = tmp_path / "w.safetensors"
    save_file({f"{i}/top/dense/kernel": np.zeros(1, "uint8") for i in range(20_000)}, path)
    start = time.process_time()
    with pytest.raises(FileError, match="No array in .* has the name of a weight of this model"):
        load_weights(model, path)
    assert time.process_time() - start < 10
