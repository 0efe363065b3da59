"""Weights alone: every layout, by name into another model, what is reported, what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile

import h5py
import keras
import numpy as np
import pytest
from kerasbridge.errors import ArgumentError, FileError
from kerasbridge.saving import kept_values, load_model, load_weights, save_model, save_weights
from kerasbridge.saving.door import ModelFileWarning
from kerasbridge.saving.weight_trees import label_layers

L = keras.layers
ENDINGS = [".weights.h5", ".h5", ".hdf5", ".safetensors", ".weights.json", ".keras"]


def made(units=2, encoder=6, names=("encoder", "inner", "bn", "head"), seed=0):
    keras.utils.set_random_seed(seed)
    inner = keras.Sequential([keras.Input((2 * encoder,)), L.Dense(4, name="d")], name=names[1])
    model = keras.Sequential(
        [
            keras.Input((5, 3)),
            L.Bidirectional(L.LSTM(encoder), name=names[0]),
            inner,
            L.BatchNormalization(name=names[2]),
            L.Dense(units, name=names[3]),
        ]
    )
    model.compile("adam", "mse")
    return model


X = np.random.default_rng(0).random((4, 5, 3), "float32")


def save(model, path):
    if str(path).endswith(".keras"):
        return save_model(model, path)
    return save_weights(model, path)


def same(one, two):
    a, b = one.get_weights(), two.get_weights()
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b))


@pytest.fixture
def large(monkeypatch):
    """Every model counts as one of which no copy is kept while weights are loaded."""
    monkeypatch.setattr(kept_values, "SMALL", -1)


@pytest.fixture(scope="module")
def trained():
    model = made()
    model.fit(X, np.ones((4, 2)), epochs=3, verbose=0)
    return model


@pytest.mark.parametrize("ending", ENDINGS)
def test_weights_come_back(tmp_path, ending, trained, monkeypatch):
    path = tmp_path / f"w{ending}"
    save(trained, path)
    for small in (kept_values.SMALL, -1):
        monkeypatch.setattr(kept_values, "SMALL", small)
        other = made(seed=1)
        report = load_weights(other, path)
        assert same(trained, other)
        assert report.names("loaded") == ["encoder", "inner", "bn", "head"]
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (trained(X), other(X))))
        state = ending in (".weights.h5", ".weights.json", ".keras")
        assert int(keras.ops.convert_to_numpy(other.optimizer.iterations)) == (3 if state else 0)


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_large_is_compared_before_a_value_is_written(tmp_path, ending, trained, large):
    path = tmp_path / f"w{ending}"
    save(trained, path)
    wider = made(units=3)
    before = wider.get_weights()
    with pytest.raises(FileError, match=r"layer 'head': shape \(4, 2\) in the file, \(4, 3\)"):
        load_weights(wider, path)
    assert all(np.array_equal(a, b) for a, b in zip(before, wider.get_weights()))
    assert load_weights(wider, path, skip_mismatch=True).names("skipped") == ["head"]


def test_a_load_that_is_stopped_half_way_says_so(tmp_path, trained, large, monkeypatch):
    save_weights(trained, tmp_path / "w.weights.h5")
    other = made(seed=1)

    def stop(store):
        raise KeyboardInterrupt

    monkeypatch.setattr(other.layers[-1], "load_own_variables", stop)
    with (
        pytest.warns(RuntimeWarning, match="stopped half way.*Load weights again"),
        pytest.raises(KeyboardInterrupt),
    ):
        load_weights(other, tmp_path / "w.weights.h5")


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_a_layer_makes_of_its_weights_is_made_anew(tmp_path, ending, large):
    def build():
        norm = L.Normalization(name="norm")
        norm.build((None, 3))
        inner = keras.Sequential([keras.Input((3,)), norm], name="inner")
        return keras.Sequential([keras.Input((3,)), inner, L.Dense(2, name="head")])

    x = np.random.default_rng(0).normal(5, 3, (9, 3)).astype("float32")
    model = build()
    model.layers[0].layers[0].adapt(x)
    save(model, tmp_path / f"w{ending}")
    for by_name in (False, True):
        other = build()
        load_weights(other, tmp_path / f"w{ending}", by_name=by_name)
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (model(x), other(x))))


@keras.saving.register_keras_serializable("tests")
class Halved(L.Layer):
    """Keeps something else than its weights."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(4,), name="scale", initializer="ones")

    def call(self, x):
        return x * self.scale

    def save_own_variables(self, store):
        store["half"] = np.asarray(keras.ops.convert_to_numpy(self.scale))[:2]

    def load_own_variables(self, store):
        self.scale.assign(np.concatenate([store["half"]] * 2))


@pytest.mark.parametrize("ending", [".weights.h5", ".weights.json", ".keras"])
def test_a_layer_that_keeps_its_state_in_its_own_way(tmp_path, ending, large):
    def build(width=3):
        return keras.Sequential(
            [keras.Input((4,)), Halved(name="own"), L.Dense(width, name="head")]
        )

    model = build()
    model.layers[0].scale.assign([2.0, 3.0, 2.0, 3.0])
    save(model, tmp_path / f"w{ending}")
    for arguments in ({}, {"by_name": True}):
        other = build()
        load_weights(other, tmp_path / f"w{ending}", **arguments)
        assert same(model, other)
    with pytest.raises(FileError, match=r"layer 'head': shape \(4, 3\) in the file, \(4, 5\)"):
        load_weights(build(5), tmp_path / f"w{ending}")


@pytest.mark.parametrize("ending", ENDINGS)
def test_by_name_into_another_model(tmp_path, ending):
    path = tmp_path / f"w{ending}"
    model = made()
    save(model, path)
    # other layers, in another order of creation, of other auto-generated names
    keras.utils.set_random_seed(5)
    other = keras.Sequential(
        [
            keras.Input((5, 3)),
            L.Dense(3),
            L.Bidirectional(L.LSTM(6), name="encoder"),
            L.Dense(7, name="head"),
        ]
    )
    before = other.get_weights()
    with pytest.raises(FileError, match=r"layer 'head': shape \(4, 2\) in the file, \(12, 7\)"):
        load_weights(other, path, by_name=True)
    for old, new in zip(before, other.get_weights()):
        np.testing.assert_array_equal(old, new)
    report = load_weights(other, path, by_name=True, skip_mismatch=True)
    for old, new in zip(model.layers[0].get_weights(), other.get_layer("encoder").get_weights()):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(before[0], other.get_weights()[0])
    np.testing.assert_array_equal(before[-2], other.get_weights()[-2])
    assert report.names("loaded") == ["encoder"] and report.names("skipped") == ["head"]
    assert report.names("missing") == [other.layers[0].name]
    assert set(report.names("unused")) in ({"inner/d", "bn"}, {"inner", "bn"})
    assert "shape (4, 2) in the file, (12, 7) in the model" in repr(report)


@pytest.mark.parametrize("ending", [".weights.h5", ".h5", ".keras", ".safetensors"])
def test_without_names_the_position_counts(tmp_path, ending):
    path = tmp_path / f"w{ending}"
    model = made()
    save(model, path)
    renamed = made(names=("a", "b", "c", "d2"), seed=1)
    if ending == ".safetensors":
        load_weights(renamed, path)
        assert same(model, renamed)
    with pytest.raises(FileError, match="belong to no layer of this model"):
        load_weights(made(names=("a", "b", "c", "d2")), path, by_name=True)
    wider = made(units=3, seed=2)
    report = load_weights(wider, path, skip_mismatch=True)
    assert report.names("skipped") == ["head"]
    assert np.array_equal(wider.get_weights()[0], model.get_weights()[0])
    # nothing is half loaded, and no value stands in the message
    before = wider.get_weights()
    with pytest.raises(
        FileError, match=r"layer 'head': shape \(4, 2\) in the file, \(4, 3\) in the model"
    ):
        load_weights(wider, path)
    assert all(np.array_equal(a, b) for a, b in zip(before, wider.get_weights()))


def test_the_optimizer_of_the_target_is_left(tmp_path, trained):
    path = tmp_path / "w.weights.h5"
    other = made(seed=1)
    other.optimizer.build(other.trainable_variables)
    other.optimizer.iterations.assign(1)
    save_weights(trained, path)
    load_weights(other, path, by_name=True)
    assert same(trained, other)
    assert int(keras.ops.convert_to_numpy(other.optimizer.iterations)) == 1
    load_weights(other, path)
    assert int(keras.ops.convert_to_numpy(other.optimizer.iterations)) == 3


@pytest.mark.parametrize("ending", [".weights.h5", ".weights.json"])
def test_the_state_of_another_optimizer_is_told(tmp_path, ending, trained, monkeypatch):
    path = tmp_path / f"w{ending}"
    save(trained, path)
    for small in (kept_values.SMALL, -1):
        monkeypatch.setattr(kept_values, "SMALL", small)
        other = made(seed=1)
        other.compile("sgd", "mse")
        with pytest.warns(ModelFileWarning, match="26 arrays, where this SGD keeps 2") as caught:
            report = load_weights(other, path)
        ours = [one for one in caught if issubclass(one.category, ModelFileWarning)]
        assert same(trained, other) and len(ours) == 1 and len(report.notes) == 1


def test_shared_nested_and_subclassed(tmp_path):
    class Own(keras.Model):
        def __init__(self, units):
            super().__init__(name="own")
            self.first = L.Dense(4, name="first")
            self.last = L.Dense(units, name="last")

        def call(self, x):
            return self.last(self.first(x))

    x = np.ones((2, 3), "float32")
    one, two = Own(2), Own(5)
    one(x), two(x)
    for ending in (".weights.h5", ".h5", ".safetensors"):
        path = tmp_path / f"w{ending}"
        save_weights(one, path)
        report = load_weights(two, path, by_name=True, skip_mismatch=True)
        assert report.names("loaded") == ["first"] and report.names("skipped") == ["last"]
        np.testing.assert_array_equal(one.first.kernel, two.first.kernel)
    with pytest.raises(ArgumentError, match="no weights yet"):
        load_weights(Own(2), path)


def test_safetensors_are_those_of_the_library(tmp_path):
    from safetensors import safe_open
    from safetensors.numpy import save_file

    path = tmp_path / "w.safetensors"
    model = made()
    save_weights(model, path)
    with safe_open(path, "numpy") as file:
        keys = set(file.keys())
        assert {"head/kernel", "head/bias", "bn/moving_mean", "inner/d/kernel"} < keys
        assert file.metadata()["format"] == "keras"
        np.testing.assert_array_equal(file.get_tensor("head/kernel"), model.layers[-1].kernel)
    # of another program: no list of layers, other order, dots in the names
    theirs = {f"head.{n}": np.full(s, 3, "float32") for n, s in (("bias", 2), ("kernel", (4, 2)))}
    save_file(theirs, tmp_path / "t.safetensors")
    load_weights(model, tmp_path / "t.safetensors", by_name=True)
    assert all((w == 3).all() for w in model.layers[-1].get_weights())
    (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:600])
    with pytest.raises(FileError, match="damaged|not a model file|not a file of weights"):
        load_weights(model, tmp_path / "cut.safetensors")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_precisions_survive_in_every_format(tmp_path, dtype, large):
    def build():
        model = keras.Sequential([keras.Input((3,)), L.Dense(2, dtype=dtype)])
        model.compile("adam", "mse")
        model.optimizer.build(model.trainable_variables)
        return model

    model = build()
    for ending in ENDINGS:
        other = build()
        path = tmp_path / f"w{ending}"
        save(model, path)
        load_weights(other, path)
        assert same(model, other) and str(other.layers[0].kernel.dtype) == dtype
    save_model(model, tmp_path / "m.h5")
    for load in (load_model, keras.saving.load_model):
        whole = load(tmp_path / "m.h5")
        assert same(model, whole) and str(whole.layers[0].kernel.dtype) == dtype
    model.layers[0].kernel.assign(np.full((3, 2), np.nan))
    save_model(model, tmp_path / "nan.keras")
    with pytest.warns(ModelFileWarning, match=r"not numbers \(NaN\): layers/dense/vars/0"):
        load_model(tmp_path / "nan.keras")


def test_what_keras_wrote_as_bfloat16_into_h5_is_refused_in_words(tmp_path):
    keras.Sequential([keras.Input((3,)), L.Dense(2, dtype="bfloat16")]).save(tmp_path / "m.h5")
    with pytest.raises(FileError, match="bfloat16 so into .h5 files"):
        load_model(tmp_path / "m.h5")


def test_shards_are_small_and_old_ones_go(tmp_path):
    path = tmp_path / "w.weights.json"
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((256,)), *(L.Dense(256) for _ in range(4))])
    save_weights(model, path, max_shard_size=300_000 / 2**30)
    apart = {path.name, "w_00000.weights.h5"}
    shards = sorted(n for n in os.listdir(tmp_path) if n not in apart)
    assert len(shards) == 4 and all(os.path.getsize(tmp_path / n) < 320_000 for n in shards)
    with pytest.raises(FileError, match="exists already"):
        save_weights(model, path)
    first = model.get_weights()
    model.set_weights([w + 1 for w in first])
    # a set that Keras wrote: its first shard has the name of our empty file
    model.save_weights(path, max_shard_size=300_000 / 2**30)
    load_weights(keras.models.clone_model(model), path)
    open(tmp_path / "w-0123abcd_00001.weights.h5", "w").close()  # of a process that was killed
    save_weights(model, path, overwrite=True, max_shard_size=300_000 / 2**30)
    now = sorted(n for n in os.listdir(tmp_path) if n not in apart)
    assert len(now) == 4 and not set(now) & set(shards)
    assert os.path.getsize(tmp_path / "w_00000.weights.h5") < 5000
    other = keras.models.clone_model(model)
    other.load_weights(path)  # Keras reads it by itself
    assert same(model, other)
    load_weights(other, path)
    assert load_weights(other, path, by_name=True).names("loaded") == [x.name for x in model.layers]
    with pytest.raises(FileError, match="one of several files of weights") as info:
        load_weights(other, tmp_path / now[0])
    assert f"'{path}'" in info.value.hint
    with pytest.raises(ArgumentError, match="One array alone has"):
        save_weights(model, path, overwrite=True, max_shard_size=0.0001)
    wider = keras.Sequential([keras.Input((256,)), *(L.Dense(256) for _ in range(3)), L.Dense(2)])
    before = wider.get_weights()
    with pytest.raises(FileError, match=rf"layer '{wider.layers[-1].name}': shape \(256, 256\) in"):
        load_weights(wider, path)
    assert all(np.array_equal(a, b) for a, b in zip(before, wider.get_weights()))
    assert load_weights(wider, path, skip_mismatch=True).status == ["loaded"] * 3 + ["skipped"]
    whole = (tmp_path / now[1]).read_bytes()
    (tmp_path / now[1]).write_bytes(whole[:-100])
    with pytest.raises(
        FileError, match=f"{now[1]}' is damaged or truncated(.|\n)*that '{path}' names"
    ):
        load_weights(other, path)
    os.unlink(tmp_path / now[1])
    with pytest.raises(FileError, match=f"names the file '{now[1]}', which is missing"):
        load_weights(other, path)
    table = json.loads(path.read_text())
    table["weight_map"]["/layers/dense/vars"] = "../w.weights.h5"
    path.write_text(json.dumps(table))
    with pytest.raises(FileError, match="outside of its folder"):
        load_weights(other, path)
    path.write_text("[]")
    with pytest.raises(FileError, match="not a list of files"):
        load_weights(other, path)


def test_a_full_disk_is_told_before_and_while_writing(tmp_path, monkeypatch):
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "kerasbridge-test", str(place)]
    try:
        done = subprocess.run(command, capture_output=True)
    except OSError:
        pytest.skip("there is no command `mount`")
    if done.returncode != 0:
        pytest.skip("mounting a small disk needs more rights than this process has")
    try:
        model = keras.Sequential([keras.Input((600,)), L.Dense(600)])
        tiny = keras.Sequential([keras.Input((3,)), L.Dense(1)])
        for known in (True, False):
            if not known:  # as where a quota counts that nobody can ask for
                monkeypatch.setattr("kerasbridge.saving.weights.check_room", lambda *_: None)
            for ending in ENDINGS:
                path = place / f"m{ending}"
                save(tiny, path)
                good = sorted(os.listdir(place))
                with pytest.raises(FileError, match="is full"):
                    if ending == ".keras":
                        save_model(model, path, overwrite=True)
                    else:
                        save_weights(model, path, overwrite=True)
                assert sorted(os.listdir(place)) == good
                load_weights(tiny, path)
                for name in good:
                    os.unlink(place / name)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _without_names(path):
    """The layout of Keras 3.0 to 3.5, whose groups have no attribute `name`."""
    with h5py.File(path, "r+") as file:
        file.visititems(lambda _, item: item.attrs.pop("name", None))


def test_files_of_a_keras_that_kept_no_names(tmp_path):
    def pair(names):
        return keras.Sequential(
            [keras.Input((3,)), L.Dense(2, name=names[0]), L.Dense(2, name=names[1])]
        )

    one, path = pair(("first", "second")), str(tmp_path / "w.weights.h5")
    one.save_weights(path)
    _without_names(path)
    other = pair(("first", "new"))
    before = other.get_weights()
    # the keys are alike: without the look for names the second layer would be taken for the other's
    with pytest.raises(FileError, match="places and no names") as caught:
        load_weights(other, path, by_name=True)
    assert caught.value.argument == "by_name"
    assert all(np.array_equal(a, b) for a, b in zip(before, other.get_weights()))
    load_weights(other, path)
    assert same(one, other)
    label_layers(one, path)
    other = pair(("first", "new"))
    before = other.get_weights()
    report = load_weights(other, path, by_name=True)
    assert report.names("loaded") == ["first"] and report.names("unused") == ["second"]
    assert np.array_equal(other.get_weights()[0], one.get_weights()[0])
    assert np.array_equal(other.get_weights()[2], before[2])


def test_names_come_from_the_configuration_of_a_whole_model(tmp_path):
    path, plain = tmp_path / "m.keras", tmp_path / "plain.keras"
    model = made()
    save_model(model, path)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(plain, "w") as new:
        for name in ("metadata.json", "config.json"):
            new.writestr(name, old.read(name))
        (tmp_path / "w.h5").write_bytes(old.read("model.weights.h5"))
        _without_names(tmp_path / "w.h5")
        new.write(tmp_path / "w.h5", "model.weights.h5")
    other = made(seed=1)
    report = load_weights(other, plain, by_name=True)
    assert same(model, other) and not report.names("unused")
    assert {"encoder", "inner/d", "bn", "head"} <= set(report.names("loaded"))


def test_a_list_of_the_older_layout_that_names_what_is_not_there_is_damage(tmp_path):
    import h5py
    from kerasbridge.saving.older_weights import read_lists

    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"dense"]
        file.create_group("dense").attrs["weight_names"] = [b"dense/kernel:0"]
    with pytest.raises(FileError, match="w.h5' is damaged.*names what is not there"):
        with read_lists(path):
            pass
