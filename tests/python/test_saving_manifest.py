"""The manifest: what travels with a model, and files that stay plain Keras' own."""

from __future__ import annotations

import json
import os
import zipfile
import zlib

import h5py
import keras
import numpy as np
import pytest
from hostile_files import rezip
from kerasbridge.errors import ArgumentError, FileError
from kerasbridge.saving import load_model, load_weights, manifest, save_model, save_weights
from kerasbridge.saving.manifest import FORMAT, attach, details


@pytest.fixture
def model():
    m = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)])
    m.compile("adam", "mse", metrics=["mae"])
    m.fit(np.ones((4, 3)), np.ones(4), verbose=0)
    return m


def manifest_of(path):
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("kerasbridge.json"))
    with h5py.File(path) as file:
        return json.loads(file.attrs["kerasbridge"])


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_details_come_back_with_the_model(model, tmp_path, ending):
    path = tmp_path / f"m{ending}"
    values = {"epoch": [0, 1], "metrics": {"loss": [0.5, float("inf")]}, "engine": None, "ä": "ü"}
    attach(model, "history", values)
    attach(model, "gone", 1)
    attach(model, "gone", None)
    save_model(model, path)
    back = load_model(path)
    assert details(back) == {"history": values}
    told = manifest_of(path)
    assert told["format"] == FORMAT
    assert told["versions"]["keras"] == keras.__version__
    assert told["versions"]["backend"] == keras.config.backend()
    assert {"kerasbridge", "python", "numpy", "backend_version"} <= set(told["versions"])
    assert all(isinstance(part["crc32"], int) for part in told["parts"].values())
    attach(model, "bad", object())
    with pytest.raises(ArgumentError, match="plain values"):
        save_model(model, path, overwrite=True)
    assert details(load_model(path)) == {"history": values}


def test_plain_keras_reads_every_file_without_this_package(model, tmp_path, run_python):
    x = np.linspace(-1, 1, 6, dtype="float32").reshape(2, 3)
    save_model(model, tmp_path / "m.keras")
    save_model(model, tmp_path / "m.h5")
    save_weights(model, tmp_path / "m.weights.h5")
    np.save(tmp_path / "want.npy", keras.ops.convert_to_numpy(model(x)))
    code = f"""
import keras, numpy as np, sys
x = np.linspace(-1, 1, 6, dtype="float32").reshape(2, 3)
want = np.load(r"{tmp_path}/want.npy")
one = keras.saving.load_model(r"{tmp_path}/m.keras")
two = keras.saving.load_model(r"{tmp_path}/m.h5", compile=False)
three = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)])
three.load_weights(r"{tmp_path}/m.weights.h5")
assert all(np.array_equal(keras.ops.convert_to_numpy(m(x)), want) for m in (one, two, three))
assert int(keras.ops.convert_to_numpy(one.optimizer.iterations)) == 1
assert "kerasbridge" not in sys.modules
print("OK")
"""
    done = run_python(code, PYTHONPATH="")
    assert done.stdout.strip() == "OK", done.stderr[-800:]


def test_a_later_format_is_refused_and_a_manifest_that_is_none(model, tmp_path):
    path, other = tmp_path / "m.keras", tmp_path / "n.keras"
    save_model(model, path)
    later = json.dumps({**manifest_of(path), "format": FORMAT + 1}).encode()
    rezip(path, other, change={"kerasbridge.json": lambda _: later})
    with pytest.raises(FileError, match="later kerasbridge"):
        load_model(other)
    rezip(path, other, change={"kerasbridge.json": lambda _: b'{"format": "one"}'})
    with pytest.raises(FileError, match=r"kerasbridge\.json.*no format number"):
        load_model(other)
    rezip(path, other, drop=["kerasbridge.json"])
    assert details(load_model(other)) == {}


def test_custom_objects_are_listed_with_their_origin(tmp_path):
    @keras.saving.register_keras_serializable(package="mine")
    class Twice(keras.layers.Layer):
        def call(self, x):
            return x * 2

    path = tmp_path / "m.keras"
    save_model(keras.Sequential([keras.Input((2,)), Twice(name="t")]), path)
    (told,) = manifest_of(path)["custom_objects"]
    assert told["name"] == "Twice" and told["registered"] == "mine>Twice"
    assert told["origin"].startswith("Python: test_saving_manifest.") and told["kind"] == "class"
    del keras.saving.get_custom_objects()["mine>Twice"]
    with pytest.raises(
        FileError, match=r"class 'Twice' \(Python: test_saving_manifest\..*layer 't'"
    ):
        load_model(path)
    for objects in ({"Twice": Twice}, {"mine>Twice": Twice}):
        assert load_model(path, objects)(np.ones((1, 2))).shape == (1, 2)


def test_weights_of_a_file_are_checked_too(model, tmp_path):
    path = tmp_path / "m.weights.h5"
    save_weights(model, path)
    with h5py.File(path, "r+") as file:
        file["layers/dense/vars/1"][0] = 5
    with pytest.raises(FileError, match=r"/layers/dense/vars/1.*not what was written"):
        load_weights(model, path)
    load_weights(model, path, allow="changed")
    assert float(model.layers[0].bias[0]) == 5


@pytest.mark.parametrize("ending", [".h5", ".weights.h5"])
def test_checksums_of_a_large_file(tmp_path, monkeypatch, ending):
    """Of memory while `.h5` is written, in several threads of the file for weights alone."""
    known = []
    sums = manifest.part_checksums
    monkeypatch.setattr(
        manifest,
        "part_checksums",
        lambda contents, given=None: known.append(given) or sums(contents, given),
    )
    shared = keras.layers.Dense(1200, name="twice")
    inner = keras.Sequential([keras.Input((1200,)), shared], name="inner")
    start = keras.Input((1200,))
    half = keras.layers.Dense(600, dtype="float16")(shared(inner(start)))
    bfloat = keras.layers.Dense(1200, dtype="bfloat16")(start)
    model = keras.Model(start, [half, bfloat])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    path = (save_model if ending == ".h5" else save_weights)(model, tmp_path / f"m{ending}")
    assert os.path.getsize(path) > 8 * 2**20
    with h5py.File(path, "r") as file:
        parts = json.loads(file.attrs["kerasbridge"])["parts"]
        found = {}
        file.visititems(
            lambda name, item: (
                found.update({f"/{name}": item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    assert set(found) == {name for name in parts if name.startswith("/")}
    for name, values in found.items():
        assert parts[name]["crc32"] == zlib.crc32(values.tobytes())
    if ending == ".h5" and keras.config.backend() == "tensorflow":
        # the float16 kernel, the float32 one in two places, two numbers of Adam for each; none of bfloat16
        assert len(known[0]) == 7
        assert all(parts[name]["crc32"] == value for name, (_, _, value) in known[0].items())


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_values_of_a_large_file_are_compared_beside_the_loading(
    model, tmp_path, monkeypatch, ending
):
    monkeypatch.setattr("kerasbridge.saving.verifying.BESIDE", 0)  # as if it were large
    path = tmp_path / f"m{ending}"
    save_model(model, path)
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(load_model(path)(x), model(x))
    content = bytearray(path.read_bytes())
    content[content.index(np.asarray(model.weights[0]).tobytes())] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(FileError, match="is damaged or truncated"):
        load_model(path)
    if ending == ".h5":
        load_model(path, allow="changed")
