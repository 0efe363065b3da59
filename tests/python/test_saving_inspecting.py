"""What a file says about itself, without Keras."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from kerasbridge.errors import FileError
from kerasbridge.saving import (
    export_saved_model,
    inspect_model,
    model_to_json,
    save_model,
    save_weights,
)


@pytest.fixture
def model():
    inner = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2, name="deep")], name="inner")
    inputs = keras.Input((6,), name="in")
    x = keras.layers.Dense(5, activation="relu", name="first")(inputs)
    m = keras.Model(inputs, inner(keras.layers.BatchNormalization(name="norm")(x)), name="net")
    m.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    m.fit(np.ones((4, 6)), np.ones((4, 2)), verbose=0)
    return m


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_whole_model(model, tmp_path, ending):
    path = tmp_path / f"m{ending}"
    save_model(model, path)
    seen = inspect_model(path)
    assert seen["keras_version"] == keras.__version__ and seen["backend"] == keras.config.backend()
    assert seen["model"] == "Functional 'net'"
    layers = {layer["name"]: layer for layer in seen["layers"]}
    assert list(layers) == ["in", "first", "norm", "inner"]
    assert [layer["parameters"] for layer in layers.values()] == [0, 35, 20, 12]
    shapes = [layer["shape"] for layer in layers.values()]
    assert shapes == [[None, 6], [None, 6], [None, 5], [None, 5]]
    assert seen["parameters"] == model.count_params() == 67
    assert seen["compiled"] and seen["optimizer"] == "Adam, learning rate 0.01"
    # plain Keras reads no short names in .h5, so the file holds none
    loss = "mse" if ending == ".keras" else "mean_squared_error"
    assert seen["optimizer_state"] and seen["loss"] == loss and seen["metrics"] == ["mae"]
    assert seen["safe"] and seen["verdict"].startswith("safe") and seen["custom"] == []
    assert seen["size"] == path.stat().st_size and seen["parts"] >= 3
    text = str(seen)
    assert "norm   BatchNormalization" in text and "67 values in" in text


def test_weights_alone_and_architectures(model, tmp_path):
    save_weights(model, tmp_path / "m.weights.h5")
    save_weights(model, tmp_path / "m.h5")
    new, old = inspect_model(tmp_path / "m.weights.h5"), inspect_model(tmp_path / "m.h5")
    assert "layout of Keras 3" in new["what"] and "Keras 1 and 2" in old["what"]
    assert new["parameters"] == old["parameters"] == 67 and not new["compiled"]
    assert [layer["name"] for layer in old["layers"]] == ["first", "inner", "norm"]
    (tmp_path / "m.json").write_text(model_to_json(model))
    seen = inspect_model(tmp_path / "m.json")
    assert seen["what"] == "an architecture without weights"
    assert [layer["class"] for layer in seen["layers"]][1:3] == ["Dense", "BatchNormalization"]


def test_hostile_and_damaged_files(model, tmp_path):
    lambda_model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x, name="l")])
    path = tmp_path / "m.keras"
    save_model(lambda_model, path)
    seen = inspect_model(path)
    assert not seen["safe"] and seen["verdict"] == 'refused unless you allow "lambda"'
    assert "layer 'l' (Lambda)" in seen["findings"][0]
    seen = inspect_model(path, max_size=10)
    assert not seen["safe"] and "claim to hold" in seen["verdict"]
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(FileError, match=r"damaged or truncated \(500 bytes\)"):
        inspect_model(path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match="without a saved_model.pb"):
        inspect_model(tmp_path / "folder")


def test_the_command_starts_no_keras(model, tmp_path, run_python):
    files = [tmp_path / f"m{e}" for e in (".keras", ".safetensors", ".weights.json")]
    save_model(model, files[0])
    for path in files[1:]:
        save_weights(model, path)
    if keras.config.backend() == "tensorflow":
        files.append(tmp_path / "folder")
        export_saved_model(model, files[-1])
    done = run_python(
        "import sys; from kerasbridge.saving.inspecting import main\n"
        f"codes = [main(['inspect', path, '--json']) for path in {[str(f) for f in files]}]\n"
        "print(sum(codes), [m for m in ('keras', 'tensorflow') if m in sys.modules])"
    )
    *tables, last = done.stdout.strip().splitlines()
    assert last == "0 []", done.stderr
    assert json.loads(tables[0])["model"] == "Functional 'net'"
    assert len({json.loads(table)["parameters"] for table in tables[:3]}) == 1
    done = run_python(
        "import runpy, sys; sys.argv = ['saving', 'inspect', 'none.keras']\n"
        "runpy.run_module('kerasbridge.saving', run_name='__main__')"
    )
    assert done.returncode == 2 and "no file 'none.keras'" in done.stderr
