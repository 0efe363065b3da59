"""Keras' own writers of pictures and SavedModels leave the old file or the new one, whole."""

from __future__ import annotations

import os

import keras
import numpy as np
import pytest
from kerasbridge.errors import FileError
from kerasbridge.saving import export_saved_model, load_model, writers


def test_an_image_that_fails_in_the_middle_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    writers.save_img(path, np.zeros((4, 6, 3)))
    good = path.read_bytes()
    assert keras.utils.img_to_array(keras.utils.load_img(path)).shape == (4, 6, 3)

    def fails(target, *_, **__):
        with open(target, "wb") as file:
            file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keras.utils, "save_img", fails)
    with pytest.raises(FileError, match="is full"):
        writers.save_img(path, np.ones((4, 6, 3)))
    assert path.read_bytes() == good and os.listdir(tmp_path) == ["a.png"]
    with pytest.raises(FileError, match="does not exist") as info:
        writers.save_img(tmp_path / "none" / "a.png", np.ones((4, 6, 3)))
    assert info.value.argument == "path"


def test_a_drawing_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "m.png"
    path.write_bytes(b"old")
    monkeypatch.setattr(keras.utils, "plot_model", lambda *_, **__: None)
    with pytest.raises(ImportError, match="pydot"):
        writers.plot_model(keras.Sequential(), to_file=path)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["m.png"]


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="SavedModels are TensorFlow's")
def test_an_archive_is_written_beside_its_target(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    target = tmp_path / "served"

    def archive():
        made = writers.export_archive()
        made.track(model)
        made.add_endpoint("twice", lambda x: 2 * model(x), [keras.InputSpec("float32", (None, 2))])
        return made

    archive().write_out(target, verbose=False)
    x = np.ones((3, 2), "float32")
    np.testing.assert_allclose(load_model(target).predict(x), 2 * model.predict(x, verbose=0))
    model.set_weights([w + 1 for w in model.get_weights()])
    archive().write_out(target, verbose=False)
    np.testing.assert_allclose(load_model(target).predict(x), 2 * model.predict(x, verbose=0))
    assert os.listdir(tmp_path) == ["served"]
    before = sorted(os.listdir(target))
    with pytest.raises(ValueError, match="No endpoints"):
        writers.export_archive().write_out(target, verbose=False)
    assert sorted(os.listdir(target)) == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("x")
    with pytest.raises(FileError, match="holds something else"):
        archive().write_out(tmp_path / "other", verbose=False)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="SavedModels are TensorFlow's")
def test_names_of_inputs_that_are_no_names_of_arguments(tmp_path):
    ends = [keras.Input((2,), name=name) for name in ("in", "x y", "x_y")]
    model = keras.Model(ends, keras.layers.Add()(ends))
    export_saved_model(model, tmp_path / "m")
    back = load_model(tmp_path / "m")
    assert sorted(back.inputs) == ["in_", "x_y", "x_y_"]
    one = np.ones((3, 2), "float32")
    x = {"in_": one, "x_y": 2 * one, "x_y_": 4 * one}
    np.testing.assert_array_equal(back.predict(x), 7 * one)
