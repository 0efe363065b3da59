"""What lookup layers learnt from data is in every file of a whole model."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from kerasbridge.errors import UnsupportedError
from kerasbridge.saving import load_model, model_from_bytes, model_to_bytes, save_model
from kerasbridge.saving.report import ModelFileWarning

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="text in models is made of TensorFlow"
)

WORDS = np.array(["red green", "blue red", "two\nlines", "a\x85b"], dtype=object)


def adapted(layer, data):
    layer.adapt(data)
    return layer


def made(name):
    """(layer, values to look up)"""
    x = np.array([["red"], ["green"], ["two\nlines"], ["other"]], dtype=object)
    if name == "words":
        return adapted(layers.StringLookup(num_oov_indices=2, mask_token=""), WORDS), x
    if name == "text":
        text = layers.TextVectorization(
            output_mode="tf_idf", max_tokens=9, pad_to_max_tokens=True, split="whitespace"
        )
        return adapted(text, WORDS[:2]), x
    numbers = np.array([[3], [5], [3], [9]])
    return adapted(layers.IntegerLookup(output_mode="tf_idf"), numbers), numbers[1:] + 0


@pytest.mark.parametrize("ending", [".h5", ".keras"])
@pytest.mark.parametrize("name", ["words", "text", "numbers"])
def test_what_was_learnt_is_in_the_file(tmp_path, name, ending):
    layer, x = made(name)
    start = keras.Input((1,), dtype="string" if x.dtype == object else "int64")
    inner = keras.Model(start, layer(start))
    model = keras.Model(start, inner(start))
    before, expected = layer.get_config(), np.asarray(layer(x))
    save_model(model, tmp_path / f"m{ending}")
    assert layer.get_config() == before  # and may be adapted again
    for read in (load_model, keras.saving.load_model):
        np.testing.assert_array_equal(np.asarray(read(tmp_path / f"m{ending}")(x)), expected)
    back = model_from_bytes(model_to_bytes(model))
    np.testing.assert_array_equal(np.asarray(back(x)), expected)


def test_an_h5_file_without_the_words_is_told(tmp_path):
    layer, x = made("words")
    start = keras.Input((1,), dtype="string")
    keras.Model(start, layer(start)).save(tmp_path / "keras.h5")
    save_model(keras.Model(start, layers.StringLookup()(start)), tmp_path / "never_adapted.h5")
    for path in tmp_path.iterdir():
        with pytest.warns(ModelFileWarning, match="no vocabulary of string_lookup"):
            load_model(path)


def test_words_that_were_read_from_a_file_are_in_the_file_of_the_model(tmp_path):
    (tmp_path / "words.txt").write_text("red\ngreen\n")
    layer = layers.StringLookup(vocabulary=str(tmp_path / "words.txt"))
    start = keras.Input((1,), dtype="string")
    for ending in (".keras", ".h5"):
        save_model(keras.Model(start, layer(start)), tmp_path / f"m{ending}")
    (tmp_path / "words.txt").unlink()
    for ending in (".keras", ".h5"):
        found = load_model(tmp_path / f"m{ending}").layers[-1].get_vocabulary()
        assert found == ["[UNK]", "red", "green"]


class Noted(keras.layers.Layer):
    def save_assets(self, dir_path):
        with open(f"{dir_path}/note.txt", "w") as file:
            file.write("kept")

    def load_assets(self, dir_path):
        with open(f"{dir_path}/note.txt") as file:
            self.note = file.read()

    def call(self, x):
        return x


def test_files_of_a_layers_own_have_no_place_in_h5(tmp_path):
    model = keras.Sequential([keras.Input((2,)), Noted(name="memo")])
    with pytest.raises(UnsupportedError, match="'memo' .Noted. saves files of its own"):
        save_model(model, tmp_path / "m.h5")
    assert not list(tmp_path.iterdir())
    save_model(model, tmp_path / "m.keras")
    back = load_model(tmp_path / "m.keras", custom_objects={"Noted": Noted})
    assert back.layers[-1].note == "kept"
